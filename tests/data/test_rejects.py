"""The reject file."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from gmkit.codecs import Reject
from gmkit.data.rejects import RejectFile
from gmkit.errors import DataError


def test_rejects_are_rows_with_reasons(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"
    with RejectFile(path) as rejects:
        rejects.add([Reject(3, "smiles", 'C(\n"', "does not parse: open bracket")])
        assert not path.exists()
        rejects.add([])
        rejects.add(
            [
                Reject(5, "smiles", "X", "does not parse: atom X"),
                Reject(9, "smiles", "", "is empty"),
            ]
        )
    assert rejects.count == 3
    assert rejects.reasons == {"does not parse": 2, "is empty": 1}
    with path.open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["row", "column", "value", "reason"],
            ["3", "smiles", 'C(\n"', "does not parse: open bracket"],
            ["5", "smiles", "X", "does not parse: atom X"],
            ["9", "smiles", "", "is empty"],
        ]
    assert [p.name for p in tmp_path.iterdir()] == ["rejects.csv"]


def test_no_rejects_no_file(tmp_path: Path) -> None:
    with RejectFile(tmp_path / "rejects.csv") as rejects:
        rejects.add([])
    assert rejects.count == 0
    assert list(tmp_path.iterdir()) == []


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), RejectFile(tmp_path / "rejects.csv") as rejects:
        rejects.add([Reject(0, "a", "b", "c")])
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "rejects.csv"
    with (
        pytest.raises(DataError, match=r"rejects\.csv: 1 rejected records cannot be written"),
        RejectFile(path) as rejects,
    ):
        rejects.add([Reject(0, "a", "b", "c")])
