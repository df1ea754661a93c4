"""``train``, ``sample`` and ``evaluate`` as a user types them, from option to bytes."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import textwrap
import time
import tomllib
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rdkit import Chem

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX processes")


@pytest.fixture(scope="module")
def smiles(tiny: list[str]) -> list[str]:
    """The first 60 molecules of ``tiny``."""
    return Path(tiny[3]).read_text().split()[:60]


@pytest.fixture(scope="module")
def base(tiny: list[str]) -> list[str]:
    """``tiny`` without its data, and shorter."""
    return [*tiny[:2], *tiny[4:], "--set", "training.steps=3"]


# ------------------------------------------------------------ what is printed


def test_train_json_is_one_object(trained: Any) -> None:
    outcome = trained.outcome
    assert outcome.out.count("\n") == 1
    facts = outcome.json
    assert facts["run"] == str(trained.run)
    assert (facts["domain"], facts["family"], facts["seed"], facts["steps"]) == (
        "molecules",
        "vae",
        0,
        12,
    )
    assert facts["data"]["rows"] == 250
    assert 0 <= facts["metrics"]["validity"] <= 1
    assert facts["packages"]["torch"]


def test_train_leaves_a_whole_run(trained: Any) -> None:
    names = {path.name for path in trained.run.iterdir()}
    assert names >= {
        "model.safetensors",
        "config.toml",
        "codec.json",
        "metrics.jsonl",
        "evaluation.json",
        "samples.parquet",
        "samples.svg",
        "README.md",
        "manifest.json",
        "checkpoints",
    }
    assert not any(name.startswith(".") for name in names)
    config = tomllib.loads((trained.run / "config.toml").read_text())
    assert config["training"]["steps"] == 12
    assert Path(config["data"]["source"]).is_absolute()


def test_train_for_people(command: Any, base: list[str], smiles: list[str], tmp_path: Path) -> None:
    (tmp_path / "my.smi").write_text("\n".join(smiles))
    words = ["train", *base, "--data", "my.smi", "--out", "run"]
    outcome = command(*words, cwd=tmp_path, env={"COLUMNS": "80"})
    assert outcome.code == 0, outcome.err
    assert "Validity" in outcome.out
    assert "SMILES" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert "Next: gmkit sample run -n 1000 --out samples.parquet" in outcome.err
    assert "\x1b" not in outcome.out + outcome.err


def test_quiet_says_nothing_on_stderr(
    command: Any, base: list[str], smiles: list[str], tmp_path: Path
) -> None:
    (tmp_path / "my.csv").write_text("\n".join(["mol,weight", *(f"{s},1.0" for s in smiles)]))
    words = ["train", *base, "--data", "my.csv", "--column", "mol", "--out", "run", "--quiet"]
    outcome = command(*words, cwd=tmp_path)
    assert (outcome.code, outcome.err) == (0, "")
    assert "run" in outcome.out


def test_a_size_asked_for_is_in_the_plan(command: Any, tmp_path: Path) -> None:
    words = ["train", "--domain", "molecules", "--out", tmp_path / "run", "--dry-run", "--json"]
    plain, sized = command(*words).json, command(*words, "--size", "base").json
    assert plain["config"]["trunk"]["width"] == 128
    assert sized["config"]["trunk"]["size"] == "base" and "width" not in sized["config"]["trunk"]
    assert command(*words, "--size", "huge").code == 2


def test_dry_run_writes_nothing(command: Any, tiny: list[str], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    words = ["train", *tiny, "--out", tmp_path / "run", "--dry-run"]
    outcome = command(*words, env={"GMKIT_CACHE": str(cache)})
    assert outcome.code == 0, outcome.err
    shown = tomllib.loads(outcome.out)
    assert shown["training"]["steps"] == 12
    facts = command(*words, "--json", env={"GMKIT_CACHE": str(cache)}).json
    assert facts["config"]["family"]["latent"] == 4
    assert facts["data"] == {
        "name": "moses_train_250.smi",
        "rows": None,
        "columns": ["smiles", "name"],
    }
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------ the same again


@pytest.mark.slow
def test_a_runs_config_gives_its_weights_again(command: Any, trained: Any, tmp_path: Path) -> None:
    run = tmp_path / "again"
    config = trained.run / "config.toml"
    outcome = command("train", "--config", config, "--out", run, "--quiet", cwd=tmp_path)
    assert outcome.code == 0, outcome.err
    assert weights(run) == weights(trained.run)
    assert (run / "samples.parquet").read_bytes() == (trained.run / "samples.parquet").read_bytes()


def test_the_seed_decides(command: Any, tiny: list[str], trained: Any, tmp_path: Path) -> None:
    run = tmp_path / "other"
    assert command("train", *tiny, "--seed", 1, "--out", run, "--json").json["seed"] == 1
    assert weights(run) != weights(trained.run)


def weights(run: Path) -> bytes:
    return (run / "model.safetensors").read_bytes()


def test_a_time_budget_ends_training(command: Any, tiny: list[str], tmp_path: Path) -> None:
    """It counts from the command's beginning, and steps no longer decide."""
    words = [*tiny[:4], *tiny[6:]]  # without training.steps
    assert "training.steps=12" not in words
    began = time.monotonic()
    outcome = command("train", *words, "--time-budget", "3s", "--out", tmp_path / "run", "--json")
    assert outcome.code == 0, outcome.err
    assert 2.5 < outcome.json["seconds"] < 6
    assert time.monotonic() - began < 60
    assert outcome.json["steps"] > 12
    config = tomllib.loads((tmp_path / "run" / "config.toml").read_text())
    assert (config["training"]["steps"], config["training"]["time_budget"]) == (0, 3.0)


# ------------------------------------------------------------ what is learnt from


def test_a_data_set_by_name_and_a_default_folder(
    command: Any, base: list[str], tmp_path: Path
) -> None:
    words = ["train", *base, "--data", "nci-5k", "--set", "data.limit=60", "--json"]
    outcome = command(*words, cwd=tmp_path)
    assert outcome.code == 0, outcome.err
    assert outcome.json["data"]["name"] == "nci-5k"
    assert outcome.json["data"]["rows"] <= 60
    assert (tmp_path / "runs" / "molecules-vae" / "manifest.json").exists()


@pytest.mark.slow
def test_default_folders_are_numbered(command: Any, base: list[str], tmp_path: Path) -> None:
    words = ["train", *base, "--data", "nci-5k", "--set", "data.limit=60", "--json"]
    runs = [command(*words, cwd=tmp_path).json["run"] for _ in range(3)]
    assert runs == ["runs/molecules-vae", "runs/molecules-vae-2", "runs/molecules-vae-3"]
    (tmp_path / runs[1] / "manifest.json").unlink()
    resumed = command("train", "--resume", "--json", cwd=tmp_path)
    assert resumed.json["run"] == runs[1]


SCRIPT = """
    import sys
    import gmkit
    assert not {"torch", "numpy", "pyarrow"} & set(sys.modules)
    import pandas

    smiles = open("my.smi").read().split()
    options = {"domain": "molecules", "settings": sys.argv[1:]}
    frames = [pandas.DataFrame({"SMILES": smiles}), smiles]
    try:
        import polars
        frames.append(polars.DataFrame({"smiles": smiles}))
    except ImportError:
        pass
    # No __main__ guard: worker processes must not run this file again.
    print("once")
    runs = [gmkit.train(data=d, out=f"run-{i}", **options) for i, d in enumerate(frames)]
    tables = [run.sample(5, seed=3) for run in runs]
    assert all(table.equals(tables[0]) for table in tables)
    again = gmkit.load("run-1")
    assert again.sample(5, seed=3).equals(tables[0])
    assert again.encode(smiles[:4]).shape == (4, 4)
    assert again.log_prob(smiles[:4]).isfinite().all()
    assert again.reconstruct(smiles[:4]).num_rows == 4
    try:
        again.evaluate(10)
    except gmkit.DataError as error:
        print(error.hint)
    print(again.dataset(smiles).records.num_rows)
"""


@pytest.mark.slow
def test_a_plain_script_and_tables_in_memory(
    command: Any, base: list[str], smiles: list[str], tmp_path: Path
) -> None:
    pytest.importorskip("pandas")
    (tmp_path / "my.smi").write_text("\n".join(smiles))
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    settings = [word for word in base if "=" in word]
    done = subprocess.run(
        [sys.executable, "script.py", *settings],
        cwd=tmp_path,
        env=command.env,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    hint = "Give the original with --data, or train a new run on this one."
    assert done.stdout.splitlines() == ["once", hint, "60"]


@pytest.mark.slow
def test_a_script_whose_data_need_workers(command: Any, tmp_path: Path) -> None:
    """The 10,000 default molecules, in two processes, from a file without a guard."""
    (tmp_path / "script.py").write_text(
        textwrap.dedent("""
            import gmkit
            print("once")
            run = gmkit.train(
                domain="molecules",
                out="run",
                settings=["training.steps=2", "trunk.width=16", "trunk.depth=1"],
            )
            print(run.manifest.data.rows)
        """)
    )
    env = {**command.env, "GMKIT_WORKERS": "2", "GMKIT_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["once", "10000"]


# ------------------------------------------------------------ sample


def rows_of(path: Path) -> list[str]:
    """The SMILES that a file holds."""
    match path.suffix:
        case ".parquet":
            return pq.read_table(path)["smiles"].to_pylist()
        case ".csv":
            with path.open(newline="") as file:
                return [row["smiles"] for row in csv.DictReader(file)]
        case ".jsonl":
            return [json.loads(line)["smiles"] for line in path.read_text().splitlines()]
        case ".smi":
            return [line.split()[0] for line in path.read_text().splitlines() if line.strip()]
        case _:
            return [Chem.MolToSmiles(m) for m in Chem.SDMolSupplier(str(path)) if m is not None]


@pytest.mark.parametrize("end", [".parquet", ".csv", ".jsonl", ".smi", ".sdf"])
def test_samples_in_every_format(command: Any, trained: Any, tmp_path: Path, end: str) -> None:
    out = tmp_path / f"s{end}"
    outcome = command("sample", trained.run, "-n", 30, "--out", out, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["file"] == str(out)
    assert outcome.json["rows"] + outcome.json["left_out"] == 30
    found = rows_of(out)
    assert len(found) == outcome.json["rows"]
    if end in (".parquet", ".csv", ".jsonl"):
        shown = command("sample", trained.run, "-n", 30, "--json").json["rows"]
        assert found == [row["smiles"] for row in shown]


def test_the_same_seed_gives_the_same_bytes(command: Any, trained: Any, tmp_path: Path) -> None:
    def drawn(name: str, *words: object) -> bytes:
        out = tmp_path / name
        outcome = command("sample", trained.run, "-n", 40, "--out", out, "--quiet", *words)
        assert (outcome.code, outcome.err) == (0, "")
        return out.read_bytes()

    first = drawn("a.parquet", "--seed", 5)
    assert drawn("b.parquet", "--seed", 5) == first
    assert drawn("c.parquet", "--seed", 6) != first
    assert drawn("d.parquet", "--seed", 5, "--temperature", 0.2) != first


def test_without_out_samples_are_shown(command: Any, trained: Any) -> None:
    outcome = command("sample", trained.run, "-n", 4)
    assert outcome.code == 0
    assert "SMILES" in outcome.out
    assert f"Next: gmkit sample {trained.run}" in outcome.err
    rows = command("sample", trained.run, "--json", "-n", 50)
    assert len(rows.json["rows"]) == 50
    assert rows.err == ""


# ------------------------------------------------------------ evaluate


def test_evaluate(command: Any, trained: Any, tmp_path: Path) -> None:
    run = trained.copy(tmp_path / "run")
    outcome = command("evaluate", run, "-n", 40, "--json")
    assert outcome.code == 0, outcome.err
    facts = outcome.json
    assert facts["samples"] == 40
    assert facts["figures"]["novelty"]["floor"] == 0
    assert facts["figures"]["bound (nats)"]["value"] > 0
    assert 0 <= facts["figures"]["reconstruction"]["value"] <= 1
    assert json.loads((run / "evaluation.json").read_text()) == {
        name: value for name, value in facts.items() if name != "run"
    }
    # The run was sealed again with the new figures in it.
    shown = command("sample", run, "-n", 2, "--json")
    assert shown.code == 0, shown.err
    assert "bound (nats)" in json.loads((run / "manifest.json").read_text())["metrics"]
