"""Whatever the schema of a table, new rows have it: names, order, types, nullability, metadata."""

from __future__ import annotations

import datetime as dt
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from gmkit_augmentation.augmenting import Request, augment
from gmkit_augmentation.learning import Plan
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gmkit.observer import Observer

TYPES: dict[pa.DataType, Any] = {
    pa.int8(): st.integers(-(2**7), 2**7 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float32(): st.floats(width=32),
    pa.float64(): st.floats(),
    pa.bool_(): st.booleans(),
    pa.string(): st.text(max_size=6),
    pa.large_string(): st.sampled_from(["x", "y"]),
    pa.string_view(): st.text(max_size=4),
    pa.binary(): st.binary(max_size=3),
    pa.date32(): st.dates(),
    pa.timestamp("us", "Asia/Tokyo"): st.datetimes(
        dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1), timezones=st.just(dt.UTC)
    ),
    pa.time32("s"): st.times().map(lambda t: t.replace(microsecond=0)),
    pa.duration("s"): st.integers(0, 10**6).map(lambda s: dt.timedelta(seconds=s)),
    pa.decimal128(20, 4): st.decimals(-(10**12), 10**12, places=4),
    pa.dictionary(pa.int8(), pa.string()): st.sampled_from(["a", "b", "c"]),
    pa.null(): st.none(),
}


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Any names but equal ones, 1 … 80 rows, some of few different values, some null."""
    count, rows = draw(st.integers(1, 4)), draw(st.integers(1, 80))
    names = draw(st.lists(st.text(max_size=5), min_size=count, max_size=count, unique=True))
    fields, columns = [], []
    for name in names:
        kind = draw(st.sampled_from(list(TYPES)))
        nullable = kind == pa.null() or draw(st.booleans())
        metadata = draw(st.sampled_from([None, {"unit": "kg"}]))
        values = draw(st.lists(TYPES[kind], min_size=1, max_size=12))
        if nullable:
            values.append(None)
        order = draw(st.lists(st.integers(0, len(values) - 1), min_size=rows, max_size=rows))
        fields.append(pa.field(name, kind, nullable, metadata))
        columns.append(pa.array([values[i] for i in order], kind))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, {"owner": "me"}))


@given(
    tables(), st.integers(0, 30), st.sampled_from(["trees", "trees", "mixture", "copula", "smote"])
)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_new_rows_have_the_tables_schema(table: pa.Table, rows: int, model: str) -> None:

    with tempfile.TemporaryDirectory() as place:
        path, out = Path(place) / "t.parquet", Path(place) / "o.parquet"
        pq.write_table(table, path)
        stored = pq.read_schema(path)
        request = Request(str(path), out, rows, only_synthetic=True, plan=Plan(model=model))
        augment(request, Observer())
        found = pq.read_table(out)
        assert found.schema.equals(stored, check_metadata=True)
        assert found.num_rows == rows
        assert pq.read_schema(out).equals(stored, check_metadata=True)
        found.validate(full=True)
        for field, column in zip(found.schema, found.columns, strict=True):
            assert field.nullable or column.null_count == 0
