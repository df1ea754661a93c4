"""The quick benchmarks run, and what they write becomes a page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def run(script: str, *arguments: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "0"}
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / script), *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_text_is_judged_by_its_last_tenth(tmp_path: Path) -> None:
    corpus, out = tmp_path / "corpus.txt", tmp_path / "results.jsonl"
    corpus.write_text("The cat sat on the mat, and the dog lay by the log.\n" * 400)
    small = ["--set", "trunk.width=16", "--set", "trunk.depth=1", "--steps", "3", "-n", "4"]
    run("text.py", "--corpus", str(corpus), "--json", str(out), "--models", "vae", *small)
    (found,) = results(out)
    goals = {goal["name"]: goal["value"] for goal in found["goals"]}
    assert 0 < goals["vae: KL"] < goals["vae: bound"] < 5
    row = found["tables"][0]["rows"][0]
    assert row[0].startswith("gmkit vae")
    assert row[2] == "0.00 M"


@pytest.mark.slow
def test_tricks_are_taken_one_by_one(tmp_path: Path) -> None:
    corpus, out = tmp_path / "corpus.txt", tmp_path / "results.jsonl"
    corpus.write_text("The cat sat on the mat, and the dog lay by the log.\n" * 400)
    small = ["--set", "trunk.width=16", "--set", "trunk.depth=1", "--steps", "40"]
    run("text_tricks.py", "--corpus", str(corpus), "--json", str(out), *small)
    rows = results(out)[0]["tables"][0]["rows"]
    assert len(rows) == 8 and rows[0][2] == "+0.000"
    assert len({row[1] for row in rows}) > 3


@pytest.mark.slow
def test_designs_are_judged_without_peers(tmp_path: Path) -> None:
    folder, out = tmp_path / "run", tmp_path / "results.jsonl"
    sets = ("training.steps=5", "data.limit=300", "trunk.width=16", "trunk.depth=1")
    words = ["train", "--domain", "molecules", "--out", str(folder)]
    words += [word for pair in sets for word in ("--set", pair)]
    subprocess.run([sys.executable, "-m", "gmkit", *words], check=True, capture_output=True)
    few = ["--calls", "40", "--start", str(folder), "--json", str(out)]
    run("design.py", "--tasks", "osimertinib_mpo", "qed", *few)
    tables = results(out)[0]["tables"]
    assert [table["title"] for table in tables] == [
        "osimertinib_mpo, 40 calls",
        "qed, 40 calls",
    ]
    assert 0.5 < float(tables[1]["rows"][0][1]) < 1


def results(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("benchmarks") / "results.jsonl"
    run("startup.py", "--repeats", "1", "--json", str(file))
    tiny = ["--rounds", "1", "--steps", "3", "--batch-size", "4", "--cases", "flat"]
    run("loop.py", *tiny, "--json", str(file))
    return file


@pytest.mark.slow
def test_results_name_machine_command_and_goals(measured: Path) -> None:
    startup, loop = results(measured)
    assert (startup["benchmark"], loop["benchmark"]) == ("startup", "loop")
    assert startup["command"] == "python benchmarks/startup.py --repeats 1"
    assert startup["machine"]["cores"] >= 1
    assert startup["machine"]["packages"]["torch"]
    assert startup["load"]["before"] >= 0
    heavy = {goal["name"]: goal for goal in startup["goals"]}["gmkit --help, heavy modules"]
    assert (heavy["value"], heavy["met"]) == (0, True)


@pytest.mark.slow
def test_the_loop_is_split_into_sections(measured: Path) -> None:
    sections, turns = results(measured)[1]["tables"]
    values = {row[0]: row[1] for row in sections["rows"]}
    assert all(float(values[n]) > 0 for n in ("forward", "backward", "batch", "clip, guard", "EMA"))
    assert turns["columns"][3:6] == ["bare", "featured", "trainer"]


@pytest.mark.slow
def test_the_report_marks_what_was_missed(measured: Path, tmp_path: Path) -> None:
    lines = results(measured)
    lines[0]["goals"][0] |= {"value": 999.0, "bound": 200.0, "at_most": True, "met": False}
    lines[0]["quiet"] = False
    old = {**lines[0], "title": "An older run of the same command"}
    file, page = tmp_path / "results.jsonl", tmp_path / "page.md"
    file.write_text("".join(json.dumps(line) + "\n" for line in [old, *lines]), encoding="utf-8")
    run("report.py", str(file), "--out", str(page))
    text = page.read_text(encoding="utf-8")
    assert "| gmkit --help, median | 999 ms | ≤ 200 ms | **missed** |" in text
    assert "The machine was not quiet" in text
    assert text.index("## Start-up") < text.index("## Training-loop overhead")
    assert "An older run" not in text
