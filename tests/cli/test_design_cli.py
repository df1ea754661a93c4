"""``gmkit design`` as a user types it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pyarrow.csv as csv
import pytest
from rdkit import Chem

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX processes")


def test_design(command: Any, trained: Any, tmp_path: Path) -> None:
    words = ["design", "--start", trained.run, "--maximise", "qed", "--budget", "60"]
    out = tmp_path / "found"
    facts = command(*words, "--out", out, "--json").json
    assert facts["calls"] == 60 and len(facts["rows"]) == 10
    assert {path.name for path in out.iterdir()} == {
        "calls.csv",
        "designed.csv",
        "best.csv",
        "best.svg",
        "curve.svg",
    }
    calls, ranked = csv.read_csv(out / "calls.csv"), csv.read_csv(out / "designed.csv")
    assert calls.column("call").to_pylist() == list(range(1, 61))
    fitness = ranked.column("fitness").to_pylist()
    assert fitness == sorted(fitness, reverse=True)
    assert facts["best"] == pytest.approx(fitness[0])
    smiles = ranked.column("smiles").to_pylist()
    assert len(set(smiles)) == 60
    assert all(Chem.MolToSmiles(Chem.MolFromSmiles(text)) == text for text in smiles)
    assert "similarity" in csv.read_csv(out / "best.csv").schema.names
    again = command(*words, "--out", tmp_path / "again")
    assert (tmp_path / "again" / "calls.csv").read_bytes() == (out / "calls.csv").read_bytes()
    assert "Next: gmkit design --start" in again.err


def test_seeds_come_first(command: Any, trained: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.smi").write_text("CCO\nc1ccccc1O\n")
    words = ["design", "--start", trained.run, "--target", "logp=1", "--budget", "12"]
    outcome = command(*words, "--seeds", tmp_path / "mine.smi", "--out", tmp_path / "d")
    assert outcome.code == 0, outcome.err
    first = csv.read_csv(tmp_path / "d" / "calls.csv").column("smiles").to_pylist()[:2]
    assert sorted(first) == ["CCO", "Oc1ccccc1"]


def test_every_record_holds_the_scaffold(command: Any, trained: Any, tmp_path: Path) -> None:
    words = ["design", "--start", trained.run, "--maximise", "qed", "--budget", "40"]
    outcome = command(*words, "--scaffold", "*c1ccc(*)cc1", "--out", tmp_path / "d")
    assert outcome.code == 0, outcome.err
    smiles = csv.read_csv(tmp_path / "d" / "calls.csv").column("smiles").to_pylist()
    core = Chem.MolFromSmarts("[!#1]c1[cH][cH]c([!#1])[cH][cH]1")
    assert len(set(smiles)) == 40
    assert all(Chem.MolFromSmiles(text).HasSubstructMatch(core) for text in smiles)


def test_an_oracle_that_breaks_loses_nothing(command: Any, trained: Any, tmp_path: Path) -> None:
    script = tmp_path / "score.py"
    script.write_text(
        "import sys, pathlib\n"
        f"count = pathlib.Path({str(tmp_path / 'count')!r})\n"
        "n = int(count.read_text()) if count.exists() else 0\n"
        "count.write_text(str(n + 1))\n"
        "for line in sys.stdin:\n    print(len(line.strip()) if n < 2 else 'nan')\n"
    )
    words = ["design", "--start", trained.run, "--oracle", f"{sys.executable} {script}"]
    outcome = command(*words, "--budget", "60", "--out", tmp_path / "d")
    assert outcome.code == 3
    assert "answered 'nan'" in outcome.err and "Traceback" not in outcome.err
    calls = csv.read_csv(tmp_path / "d" / "calls.csv")
    lengths = [float(len(text)) for text in calls.column("smiles").to_pylist()]
    assert calls.num_rows > 10 and calls.column("score").to_pylist() == lengths


def test_a_broken_search_goes_on_without_asking_again(
    command: Any, trained: Any, tmp_path: Path
) -> None:
    script, seen = tmp_path / "score.py", tmp_path / "seen"
    script.write_text(
        "import sys, pathlib\n"
        f"seen, good = pathlib.Path({str(seen)!r}), pathlib.Path({str(tmp_path / 'mended')!r})\n"
        "lines = sys.stdin.read().split()\n"
        "asked = seen.read_text().split() if seen.exists() else []\n"
        "if len(asked) >= 20 and not good.exists():\n    sys.exit('no licence')\n"
        "seen.write_text('\\n'.join(asked + lines))\n"
        "for line in lines:\n    print(len(line))\n"
    )
    words = ["design", "--start", trained.run, "--oracle", f"{sys.executable} {script}"]
    folder = tmp_path / "d"
    outcome = command(*words, "--budget", "50", "--out", folder)
    assert outcome.code == 3 and "no licence" in outcome.err
    assert f"go on with --resume {folder}" in " ".join(outcome.err.split())
    before = csv.read_csv(folder / "calls.csv").column("smiles").to_pylist()
    (tmp_path / "mended").touch()
    again = command(*words, "--budget", "50", "--resume", folder, "--json")
    assert again.code == 0, again.err
    calls = csv.read_csv(folder / "calls.csv")
    smiles = calls.column("smiles").to_pylist()
    assert again.json["calls"] == len(set(smiles)) == 50
    assert smiles[: len(before)] == before
    assert sorted(seen.read_text().split()) == sorted(smiles)  # each was asked for once
    assert calls.column("call").to_pylist() == list(range(1, 51))


def test_a_folder_without_calls_cannot_be_resumed(
    command: Any, trained: Any, tmp_path: Path
) -> None:
    words = ["design", "--start", trained.run, "--maximise", "qed", "--resume", tmp_path]
    outcome = command(*words)
    assert outcome.code == 3 and "holds no calls.csv" in outcome.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing is asked for"),
        (["--maximise", "qde"], "'qde' cannot be measured"),
        (["--maximise", "similarity:C1CC"], "is no molecule"),
        (["--require", "contains:c1"], "is no SMARTS"),
        (["--target", "logp"], "is no target"),
        (["--maximise", "qed", "--oracle", "true"], "an oracle is the whole objective"),
        (["--maximise", "qed", "--scaffold", "c1cc"], "is no molecule"),
        (["--maximise", "qed", "--domain", "images"], "is a model of molecules"),
    ],
)
def test_refused(
    command: Any, trained: Any, tmp_path: Path, words: list[str], message: str
) -> None:
    outcome = command("design", "--start", trained.run, *words, "--out", tmp_path / "d")
    assert outcome.code == 2 and message in outcome.err
    assert not (tmp_path / "d").exists()


def test_without_a_model_a_domain_is_needed(command: Any) -> None:
    outcome = command("design", "--maximise", "qed")
    assert outcome.code == 2 and "--domain molecules" in outcome.err
