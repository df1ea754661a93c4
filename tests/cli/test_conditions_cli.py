"""Conditions from ``train --condition`` to ``sample --where``, as a user types them."""

from __future__ import annotations

import csv
import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from rdkit import Chem

import gmkit
from gmkit.artifact.tensors import load_tensors
from gmkit.errors import ArtifactError

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX processes")


@pytest.fixture(scope="module")
def conditioned(command: Any, tiny: list[str]) -> Path:
    """250 molecules conditioned on a computed property."""
    run = command.folder / "conditioned"
    outcome = command("train", *tiny, "--condition", "qed,logp", "--out", run)
    assert outcome.code == 0, outcome.err
    assert "Condition qed: a number from 0.4" in outcome.out
    assert "Condition logp: a number from -0.6" in outcome.out
    example = outcome.err.split("--where ")[1].split()[0]
    assert example.startswith("qed=0.")
    again = command("sample", run, "--where", example, "--json")
    assert again.code == 0, again.err
    return run


CHAINS = [("C" * n, f"{n}, C" if n > 1 else "methane", 0.1 * n) for n in range(1, 6)]
"""SMILES, a group whose name needs quotes, a number."""


@pytest.fixture(scope="module")
def chains(command: Any) -> Path:
    """Carbon chains conditioned on columns of a CSV file, which decide them wholly."""
    data, run = command.folder / "chains.csv", command.folder / "chains"
    with data.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["smiles", "group", "size"])
        writer.writerows(CHAINS * 60)
        writer.writerow(["CCO", "", 0.1])
    settings = [
        "codec.tokens=0",
        "training.steps=150",
        "training.batch_size=32",
        "training.threads=1",
        "training.learning_rate=1e-2",
        "trunk.width=32",
        "trunk.depth=1",
        "family.latent=2",
        # five molecules in all: by content all of one may lie in another part than training
        "data.valid=0",
        "data.test=0",
    ]
    words = [word for setting in settings for word in ("--set", setting)]
    outcome = command(
        *("train", "--domain", "molecules", "--data", data, "--out", run, *words),
        *("--condition", "group", "--condition", "size"),
    )
    assert outcome.code == 0, outcome.err
    assert "Condition group: one of 2, C, 3, C, 4, C, 5, C, methane" in outcome.out
    assert "--where group=methane" in outcome.err
    assert "1 unusable records set aside" in outcome.err
    assert "missing value of a condition" in (run / "rejects.csv").read_text()
    return run


# ------------------------------------------------------------ drawing


def test_samples_have_what_was_asked(command: Any, conditioned: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.parquet"
    words = ["sample", conditioned, "-n", 30, "--where", "qed=0.9", "--out", out]
    assert command(*words).code == 0
    table = pq.read_table(out)
    assert table.schema.names == ["smiles", "qed", "logp"]
    assert set(table["qed"].to_pylist()) == {0.9}
    assert len(set(table["logp"].to_pylist())) > 5
    first = out.read_bytes()
    assert command(*words).code == 0
    assert out.read_bytes() == first
    assert command(*words, "--seed", 5).code == 0
    assert not pq.read_table(out).equals(table)


def test_without_where_conditions_are_those_of_training(conditioned: Path) -> None:
    run = gmkit.load(conditioned)
    table = run.sample(200)
    known = run.dataset().table("train")
    for name in ("qed", "logp"):
        distance = np.abs(np.subtract.outer(table[name].to_numpy(), known[name].to_numpy()))
        assert distance.min(1).max() < 1e-4


def test_the_file_formats_of_the_domain_take_them(
    command: Any, conditioned: Path, tmp_path: Path
) -> None:
    for name in ("s.csv", "s.smi", "s.sdf", "s.jsonl"):
        words = ["-n", 5, "--where", "qed=0.9,logp=2", "--out", tmp_path / name]
        outcome = command("sample", conditioned, *words)
        assert outcome.code == 0, outcome.err
    rows = list(csv.DictReader((tmp_path / "s.csv").open()))
    assert {(float(row["qed"]), float(row["logp"])) for row in rows} == {(0.9, 2.0)}


def test_a_model_obeys(command: Any, chains: Path) -> None:
    """Where the condition decides the record, nearly all samples are that record."""
    for smiles, group, size in CHAINS:
        where = f'group="{group}",size={size:.1f}'
        rows = command("sample", chains, "-n", 40, "--where", where, "--json").json["rows"]
        assert [row["group"] for row in rows] == [group] * 40
        assert [row["size"] for row in rows] == [pytest.approx(size)] * 40
        obeyed = [Chem.CanonSmiles(row["smiles"] or "C" * 99) == smiles for row in rows]
        assert sum(obeyed) >= 32, where


def test_what_is_not_asked_agrees_with_what_is(chains: Path) -> None:
    table = gmkit.load(chains).sample(50, where={"group": "4, C"})
    assert table["size"].to_pylist() == [pytest.approx(0.4)] * 50


def test_python_and_command_line_draw_the_same(
    command: Any, conditioned: Path, tmp_path: Path
) -> None:
    out = tmp_path / "s.parquet"
    assert command("sample", conditioned, "-n", 9, "--where", "qed=0.7", "--out", out).code == 0
    run = gmkit.load(conditioned)
    expected = pq.read_table(out)
    assert run.sample(9, where="qed=0.7").equals(expected)
    assert run.sample(9, where={"qed": 0.7}).equals(expected)
    assert pa.Table.from_batches(run.sample_batches(9, where=["qed=0.7"])).equals(expected)
    assert run.write_samples(tmp_path / "w.parquet", 9, where={"qed": "0.7"}) == 9
    assert pq.read_table(tmp_path / "w.parquet").equals(expected)


def test_the_evaluation_tells_how_close_samples_come(command: Any, conditioned: Path) -> None:
    outcome = command("evaluate", conditioned, "-n", 60, "--json")
    assert outcome.code == 0, outcome.err
    found = outcome.json["figures"]
    for name in ("qed", "logp"):
        assert 0 < found[f"{name} error"]["value"] < 5
        assert found[f"{name} error"]["floor"] == 0
        assert found[f"{name} error by chance"]["value"] > 0


def test_far_values_are_drawn_with_a_note(command: Any, conditioned: Path) -> None:
    outcome = command("sample", conditioned, "-n", 2, "--where", "qed=3", "--json")
    assert outcome.code == 0
    assert [row["qed"] for row in outcome.json["rows"]] == [3.0, 3.0]
    assert "qed=3 is far outside what the model has seen: a number from 0.4" in outcome.err
    run = gmkit.load(conditioned)
    with pytest.warns(UserWarning, match="far outside"):
        run.sample(1, where={"qed": 3})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run.sample(1, where={"qed": 0.8})


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--where", "qad=1"], "no condition 'qad'"),
        (["--where", "qed=good"], "qed='good' is no number"),
        (["--where", "qed>0.8"], "'qed>0.8' compares"),
        (["--where", "qed"], "'qed' is not name=value"),
        (["--where", "qed=1", "--where", "qed=2"], "gives 'qed' twice"),
        (["--set", "latent=3"], "option 'latent' cannot be changed for a drawing"),
        (["--set", "latent"], "'latent' is not key=value"),
    ],
)
def test_errors_are_told(command: Any, conditioned: Path, words: list[str], told: str) -> None:
    outcome = command("sample", conditioned, *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert told in outcome.err


def test_unknown_groups_are_told_with_those_there_are(command: Any, chains: Path) -> None:
    outcome = command("sample", chains, "--where", "group=methan")
    assert outcome.code == 2
    assert "it is one of 2, C, 3, C" in outcome.err
    assert "Did you mean 'methane'?" in outcome.err


def test_a_model_without_conditions_says_so(command: Any, trained: Any) -> None:
    outcome = command("sample", trained.run, "--where", "qed=1")
    assert outcome.code == 2
    assert "trained without conditions" in outcome.err
    assert "--condition qed" in outcome.err
    assert not (trained.run / "conditions.safetensors").exists()


# ------------------------------------------------------------ training


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--condition", "qud"], 3, "no column 'qud' for the condition, nor is it a property"),
        (["--condition", "qed,qed"], 2, "condition 'qed' was given twice"),
        (["--condition", "qed,"], 2, "a condition has no name"),
        (["--condition", "smiles"], 2, "'smiles' is what the model makes"),
        (
            ["--condition", "name"],
            3,
            "none of 250 records can be used; row 0, column 'name': missing",
        ),
    ],
)
def test_conditions_that_cannot_be(
    command: Any, tiny: list[str], tmp_path: Path, words: list[str], code: int, told: str
) -> None:
    outcome = command("train", *tiny, *words, "--out", tmp_path / "run")
    assert outcome.code == code, outcome.err
    assert told in outcome.err
    assert not (tmp_path / "run").exists()


def test_evaluation_takes_conditions_in(command: Any, conditioned: Path, tmp_path: Path) -> None:
    run = shutil.copytree(conditioned, tmp_path / "run")
    outcome = command("evaluate", run, "-n", 30, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["figures"]["bound (nats)"]["value"] > 0
    facts = json.loads((run / "manifest.json").read_text())
    assert set(facts["conditions"]) == {"qed", "logp"}
    assert "conditions.safetensors" in facts["files"]


def test_the_likelihood_depends_on_the_condition(chains: Path) -> None:
    run = gmkit.load(chains)
    columns = {"smiles": ["CCC"], "group": ["3, C"], "size": [0.3]}
    right = run.log_prob(pa.table(columns), samples=4)
    wrong = run.log_prob(pa.table({**columns, "group": ["5, C"], "size": [0.5]}), samples=4)
    assert float(right) > float(wrong) + 1
    assert run.reconstruct(pa.table(columns)).to_pydict() == {**columns, "size": [0.3]}


def test_the_card_shows_how_to_ask(conditioned: Path) -> None:
    card = (conditioned / "README.md").read_text()
    assert "| qed | a number from 0.4" in card
    assert "--where qed=0." in card
    assert "where='qed=0." in card


@pytest.mark.slow
def test_a_resumed_run_is_the_straight_one(command: Any, conditioned: Path, tmp_path: Path) -> None:
    """Taken up before its last steps: the same conditions, weights and samples."""
    run = shutil.copytree(conditioned, tmp_path / "run")
    files = ("conditions.safetensors", "model.safetensors", "samples.parquet")
    for name in ("manifest.json", *files):
        (run / name).unlink()
    shutil.rmtree(max((run / "checkpoints").glob("step-*")))
    outcome = command("train", "--resume", run)
    assert outcome.code == 0, outcome.err
    for name in files:
        assert (run / name).read_bytes() == (conditioned / name).read_bytes(), name


def test_damaged_conditions_are_refused(command: Any, conditioned: Path, tmp_path: Path) -> None:
    run = shutil.copytree(conditioned, tmp_path / "run")
    path = run / "conditions.safetensors"
    kept = load_tensors(path)
    assert {name: value.dtype for name, value in kept.items()} == {
        "qed": torch.float32,
        "logp": torch.float32,
    }
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert "conditions.safetensors" in command("sample", run).err
    path.unlink()
    outcome = command("sample", run, "--no-verify")
    assert outcome.code == 5
    assert "conditions.safetensors" in outcome.err
    with pytest.raises(ArtifactError, match=r"conditions\.safetensors"):
        gmkit.load(run)
