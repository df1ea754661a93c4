"""What tests of tables share: a table of every sort of column, and the command line."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import settings

from gmkit.cli.main import main

settings.register_profile("tables", deadline=None)
settings.load_profile("tables")


class Outcome(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Callable[..., Outcome]]:
    """``run("augment", path)`` → exit code, stdout, stderr."""
    monkeypatch.setenv("GMKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GMKIT_WORKERS", "1")
    monkeypatch.setenv("GMKIT_OFFLINE", "1")

    def command(*words: Any) -> Outcome:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return Outcome(code, *capsys.readouterr())

    yield command


def orders(rows: int = 400, seed: int = 0) -> pa.Table:
    """Orders: an identifier, dates in order, a category that decides another, amounts in fives,
    zeros, missing values, a decimal, a boolean, a note and a constant."""
    rng = np.random.default_rng(seed)
    city = rng.choice(["Rome", "Oslo", "Lima"], rows, p=[0.6, 0.3, 0.1])
    country = {"Rome": "IT", "Oslo": "NO", "Lima": "PE"}
    start = dt.date(2020, 1, 1).toordinal() + rng.integers(0, 500, rows)
    end = start + rng.integers(0, 30, rows)
    amount = 5 * rng.integers(1, 200, rows) * (1 + (city == "Oslo"))
    discount = np.where(rng.random(rows) < 0.7, 0.0, np.round(rng.random(rows) * 50, 2))
    rating = [None if rng.random() < 0.2 else int(r) for r in rng.integers(1, 6, rows)]
    schema = pa.schema(
        [
            pa.field("order", pa.string(), nullable=False),
            pa.field("city", pa.dictionary(pa.int8(), pa.string())),
            pa.field("country", pa.string(), metadata={"standard": "ISO 3166"}),
            pa.field("start", pa.date32()),
            pa.field("end", pa.date32()),
            pa.field("amount", pa.int32(), nullable=False),
            pa.field("discount", pa.float64()),
            pa.field("price", pa.decimal128(10, 2)),
            pa.field("rating", pa.int8()),
            pa.field("paid", pa.bool_()),
            pa.field("note", pa.large_string()),
            pa.field("currency", pa.string()),
        ],
        {"owner": "sales"},
    )
    columns = [
        [f"ORD-{n:05d}" for n in rng.permutation(rows)],
        pa.array(city).dictionary_encode().cast(pa.dictionary(pa.int8(), pa.string())),
        [country[c] for c in city],
        [dt.date.fromordinal(int(d)) for d in start],
        [dt.date.fromordinal(int(d)) for d in end],
        pa.array(amount, pa.int32()),
        discount,
        pa.array(np.round(amount * 1.1 + rng.normal(size=rows), 2).astype(str)).cast(
            pa.decimal128(10, 2)
        ),
        pa.array(rating, pa.int8()),
        rng.random(rows) < 0.9,
        pa.array([f"please deliver parcel {n} to the back door" for n in range(rows)], pa.string()),
        ["EUR"] * rows,
    ]
    arrays = [
        (c if isinstance(c, pa.Array) else pa.array(c)).cast(f.type)
        for c, f in zip(columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


@pytest.fixture
def table() -> pa.Table:
    """400 orders."""
    return orders()


@pytest.fixture
def stored(table: pa.Table, tmp_path: Path) -> Path:
    """The orders in a parquet file."""
    path = tmp_path / "orders.parquet"
    pq.write_table(table, path)
    return path
