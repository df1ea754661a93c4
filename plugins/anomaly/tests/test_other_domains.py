"""Records that are no rows of a table: molecules, images, text; some of which cannot be judged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gmkit_anomaly.encoded import Encoded

from gmkit.codecs import Reject

Run = Callable[..., Any]
ALKANES = ["C" * n + "O" for n in range(1, 16)] * 3
QUICK = ("--domain", "molecules", "--scorer", "neighbours")


def molecules(path: Path) -> Path:
    """45 alcohols; row 4 is no molecule, 9 is missing."""
    smiles: list[str | None] = list(ALKANES)
    smiles[4], smiles[9] = "C1CC(", None
    pq.write_table(pa.table({"smiles": smiles, "name": [f"m{i}" for i in range(45)]}), path)
    return path


def test_what_is_no_molecule_is_set_aside_and_told(run: Run, tmp_path: Path) -> None:
    data = molecules(tmp_path / "data.parquet")
    outcome = run("detect-anomalies", data, *QUICK, "--json")
    assert outcome.code == 0, outcome.err
    found = pq.read_table("data.scored.parquet")
    assert found.num_rows == 45 and found["name"].to_pylist()[4] == "m4"
    for name in ("anomaly_score", "p_value", "is_anomaly"):
        gone = np.flatnonzero(np.asarray(found[name].is_null()))
        assert gone.tolist() == [4, 9], name
    assert (outcome.json["rejected"], outcome.json["rows"]) == (2, 45)
    assert "2 records could not be judged" in outcome.err
    lines = Path("data.scored.rejects.csv").read_text().splitlines()
    assert lines[0] == "row,column,value,reason"
    assert [line.split(",")[0] for line in lines[1:]] == ["4", "9"]
    assert "C1CC(" in lines[1]
    assert Path(outcome.json["report"]).exists()


def test_molecules_are_told_by_their_properties(run: Run, tmp_path: Path) -> None:
    groups = ("C", "O", "N", "F", "Cl", "CC", "OC", "C#N", "C(=O)O", "C(=O)N")
    smiles = [f"{a}c1ccc({b})cc1" for a in ("C", "CC", "CO", "CN", "F", "Cl") for b in groups]
    smiles[20], smiles[40] = "[Na+].[Cl-]", "C" * 30
    pq.write_table(pa.table({"smiles": smiles}), tmp_path / "data.parquet")
    outcome = run("detect-anomalies", "data.parquet", "--domain", "molecules", "--json")
    assert outcome.code == 0, outcome.err
    top = {one["row"]: one for one in outcome.json["top"][:2]}
    assert set(top) == {20, 40}
    why = {row: {r["column"]: r for r in one["reasons"]} for row, one in top.items()}
    assert {"fragments", "charged"} & set(why[20])
    assert why[40]["largest_ring"]["value"] == "0"
    assert why[40]["largest_ring"]["expected"].startswith(("5.", "6"))


def test_a_token_never_learned_is_surprising_and_no_error(run: Run, tmp_path: Path) -> None:
    train, new = tmp_path / "train.parquet", tmp_path / "new.parquet"
    tokens = ("--set", "codec.condition=[]")  # not told by its properties
    pq.write_table(pa.table({"smiles": ALKANES}), train)
    pq.write_table(pa.table({"smiles": ["CCO", "CCS", "CCCO", "NCl"]}), new)
    outcome = run("detect-anomalies", new, "--train", train, *QUICK, *tokens, "--json")
    assert outcome.code == 0, outcome.err
    found = pq.read_table("new.scored.parquet")
    assert found["is_anomaly"].to_pylist()[1::2] == [True, True]
    scores = found["anomaly_score"].to_numpy()
    assert scores[[1, 3]].min() > scores[[0, 2]].max()
    assert "'[S]' does not occur in the training data" in found["reasons"][1].as_py()
    pq.write_table(pa.table({"smiles": ["CCS"]}), new)
    alone = run("detect-anomalies", new, "--train", train, *QUICK, *tokens, "--json")
    assert alone.json["top"][0]["score"] == outcome.json["top"][0]["score"]


def test_strict_fails_at_the_first(run: Run, tmp_path: Path) -> None:
    train = tmp_path / "train.parquet"
    pq.write_table(pa.table({"smiles": ALKANES}), train)
    data = molecules(tmp_path / "data.parquet")
    outcome = run("detect-anomalies", data, "--train", train, *QUICK, "--strict")
    assert outcome.code == 3
    assert "row 4" in outcome.err and "--strict" in outcome.err
    assert not Path("data.scored.parquet").exists()
    assert not Path("data.scored.rejects.csv").exists()


def test_nothing_usable_is_an_error(run: Run, tmp_path: Path) -> None:
    train, data = tmp_path / "train.parquet", tmp_path / "data.parquet"
    pq.write_table(pa.table({"smiles": ALKANES}), train)
    pq.write_table(pa.table({"smiles": ["(", ")"]}), data)
    outcome = run("detect-anomalies", data, "--train", train, *QUICK)
    assert outcome.code == 3
    assert "no record of it could be judged" in outcome.err


def test_a_document_is_as_unusual_as_its_most_unusual_window(run: Run, tmp_path: Path) -> None:
    usual = "the cat sat on the mat and the dog sat on the rug. " * 12
    texts = [usual[i : i + 300] for i in range(40)]
    texts[7] = texts[7][:140] + "0123456789 !?%$#@& 9876543210 +*~^ " + texts[7][140:]
    texts[3] = ""
    pq.write_table(pa.table({"text": texts}), tmp_path / "data.parquet")
    words = ("--domain", "text", "--scorer", "neighbours", "--no-report", "--json")
    outcome = run("detect-anomalies", "data.parquet", *words)
    assert outcome.code == 0, outcome.err
    assert outcome.json["top"][0]["row"] == 7
    assert outcome.json["rejected"] == 1
    found = pq.read_table("data.scored.parquet")
    assert found.num_rows == 40 and found["anomaly_score"].null_count == 1


def test_pieces_become_records() -> None:
    some = Encoded({}, np.array([0, 0, 2, 2, 2]), 3, [Reject(1, "text", "", "is empty")])
    assert not some.whole and some.counts.tolist() == [2, 0, 3]
    found = some.highest(np.array([1.0, 5.0, 2.0, 9.0, 3.0]))
    assert found[[0, 2]].tolist() == [5.0, 9.0] and np.isnan(found[1])
    whole = Encoded({}, np.arange(2), 2)
    assert whole.highest(np.array([3.0, 1.0])).tolist() == [3.0, 1.0]


@pytest.mark.parametrize("model", ["vae", "trees"])
def test_another_family_says_what_it_would_have_expected(
    run: Run, tmp_path: Path, model: str
) -> None:
    rng = np.random.default_rng(0)
    kind = rng.choice(["small", "large"], 300)
    size = np.where(kind == "small", 1.0, 50.0) + rng.normal(0, 0.3, 300)
    table = pa.table({"kind": kind.tolist(), "size": size})
    pq.write_table(table, tmp_path / "train.parquet")
    new = pa.table({"kind": ["small"] * 20, "size": [1.0] * 19 + [50.0]})
    pq.write_table(new, tmp_path / "new.parquet")
    words = ("--train", "train.parquet", "--model", model, "--no-report", "--json")
    if model == "vae":
        words += ("--set", "training.steps=150", "--set", "trunk.width=32")
    outcome = run("detect-anomalies", "new.parquet", *words, "--contamination", "0.02")
    assert outcome.code == 0, outcome.err
    reason = outcome.json["top"][0]["reasons"][0]
    assert outcome.json["top"][0]["row"] == 19
    assert reason["expected"], reason
    if reason["column"] == "kind":
        assert (reason["value"], reason["expected"]) == ("small", "large")
    else:
        assert float(reason["expected"].split(" to ")[0]) < 10
