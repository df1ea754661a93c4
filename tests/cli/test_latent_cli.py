"""``reconstruct`` and ``interpolate`` as a user types them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
from rdkit import Chem

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX processes")


def test_interpolate(command: Any, trained: Any, tmp_path: Path) -> None:
    words = ["interpolate", trained.run, "CCO", "c1ccccc1O", "--steps", "5"]
    rows = command(*words, "--json").json["rows"]
    assert len(rows) == 5
    assert all(Chem.MolFromSmiles(row["smiles"]) is not None for row in rows)
    shown = command(*words)
    assert shown.code == 0 and "SMILES" in shown.out and "Next: gmkit interpolate" in shown.err
    (tmp_path / "end.smi").write_text("c1ccccc1O\n")
    words[3] = tmp_path / "end.smi"
    written = command(*words, "--out", tmp_path / "way.csv")
    assert written.out == f"5 records in {tmp_path / 'way.csv'}\n"
    assert csv.read_csv(tmp_path / "way.csv").to_pylist() == rows


def test_a_record_that_is_none_is_told(command: Any, trained: Any) -> None:
    outcome = command("interpolate", trained.run, "CCO", "c1ccccc1Ox")
    assert outcome.code == 3 and "SMILES syntax error" in outcome.err
    assert "Traceback" not in outcome.err


def test_reconstruct(command: Any, trained: Any, tmp_path: Path) -> None:
    held_out = command("reconstruct", trained.run, "-n", "3", "--json").json
    assert held_out["rows"] == len(held_out["before"]) == len(held_out["after"]) == 3
    same = sum(a == b for a, b in zip(held_out["before"], held_out["after"], strict=True))
    assert held_out["unchanged"] == same
    (tmp_path / "my.smi").write_text("CCO\nc1ccccc1O\n")
    out = tmp_path / "back.parquet"
    outcome = command("reconstruct", trained.run, tmp_path / "my.smi", "--out", out)
    assert outcome.code == 0, outcome.err
    assert f"2 records in {out}" in outcome.out
    assert pq.read_table(out).num_rows == 2
    shown = command("reconstruct", trained.run, tmp_path / "my.smi")
    assert "Went in:" in shown.out and "of 2 came back unchanged" in shown.out
