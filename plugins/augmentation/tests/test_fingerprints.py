"""Copies of single rows are found by hashes: the same as by looking at the rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
from gmkit_augmentation.fingerprints import SingleRows
from hypothesis import given
from hypothesis import strategies as st

VALUES: list[tuple[pa.DataType, Any]] = [
    (pa.int64(), st.sampled_from([None, 0, 1, -(2**63)])),
    (pa.float64(), st.sampled_from([None, 0.0, -0.0, math.nan, math.inf, 1.5])),
    (pa.string(), st.sampled_from([None, "", "a", "b"])),
    (pa.bool_(), st.sampled_from([None, True, False])),
]


def plain(value: Any) -> Any:
    return "nan" if isinstance(value, float) and math.isnan(value) else value


@st.composite
def pairs(draw: st.DrawFn) -> tuple[pa.Table, pa.RecordBatch]:
    kinds = draw(st.lists(st.sampled_from(VALUES), min_size=1, max_size=3))

    def columns(rows: int) -> list[pa.Array]:
        lists = [draw(st.lists(v, min_size=rows, max_size=rows)) for _, v in kinds]
        return [pa.array(values, kind) for values, (kind, _) in zip(lists, kinds, strict=True)]

    names = [str(n) for n in range(len(kinds))]
    parts = [pa.record_batch(columns(draw(st.integers(1, 8))), names=names) for _ in range(2)]
    return pa.Table.from_batches(parts), pa.record_batch(columns(6), names=names)


@given(pairs())
def test_what_equals_a_row_that_occurs_once(pair: tuple[pa.Table, pa.RecordBatch]) -> None:
    table, batch = pair
    rows = [tuple(map(plain, row.values())) for row in table.to_pylist()]
    wanted = [rows.count(tuple(map(plain, row.values()))) == 1 for row in batch.to_pylist()]
    assert SingleRows(table, table.column_names).mask(batch).tolist() == wanted


def test_views_dictionaries_and_no_columns() -> None:
    texts = pa.array(["a", "b", "b", "c"])
    table = pa.table({"x": texts.dictionary_encode(), "y": [1, 2, 2, 3], "z": texts})
    batch = table.combine_chunks().to_batches()[0]
    assert SingleRows(table, ["x", "y"]).mask(batch).tolist() == [True, False, False, True]
    assert not SingleRows(table, []).mask(batch).any()
    other = pa.record_batch([np.array([3, 9]), pa.array(["c", "d"])], names=["y", "z"])
    assert SingleRows(table, ["y", "z"]).mask(other).tolist() == [True, False]
