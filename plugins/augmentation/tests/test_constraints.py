"""What the user declares holds in every new row, or is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

Run = Callable[..., Any]


@pytest.fixture
def invoices(tmp_path: Path) -> Path:
    """Lines of invoices: a net amount, a tax, their sum in 9 of 10 rows, and two small keys."""
    rng = np.random.default_rng(0)
    net = np.round(rng.gamma(2, 50, 500), 2)
    tax = np.round(net * rng.choice([0.05, 0.2], 500), 2)
    place = rng.permutation(30 * 200)[:500]
    table = pa.table(
        {
            "invoice": place // 200,
            "line": place % 200,
            "net": net,
            "tax": tax,
            "total": np.where(rng.random(500) < 0.9, np.round(net + tax, 2), 0.0),
            "units": pa.array(rng.integers(1, 20, 500), pa.int16()),
            "packs": pa.array(rng.integers(1, 20, 500), pa.int32()),
            "size": rng.choice(["S", "M", "L"], 500),
            "colour": rng.choice(["red", "blue"], 500),
        }
    )
    table = table.filter(
        ~(
            (pa.compute.equal(table["size"], "L")).to_numpy()
            & (pa.compute.equal(table["colour"], "red")).to_numpy()
        )
    )
    path = tmp_path / "invoices.parquet"
    pq.write_table(table, path)
    return path


def new(run: Run, path: Path, *words: Any) -> pa.Table:
    out = path.with_name("out.parquet")
    outcome = run("augment", path, "--only-synthetic", "--no-report", "--out", out, *words)
    assert outcome.code == 0, outcome.err
    found = pq.read_table(out)
    assert found.schema.equals(pq.read_schema(path))
    return found


def test_sums(run: Run, invoices: Path) -> None:
    found = new(run, invoices, "--constraint", "total=net+tax", "-n", 700)
    wanted = np.round(found["net"].to_numpy() + found["tax"].to_numpy(), 9)
    assert np.array_equal(found["total"].to_numpy(), wanted)
    found = new(run, invoices, "--constraint", "units=packs+line", "-n", 100)
    assert found["units"].to_pylist() == [
        p + n for p, n in zip(found["packs"].to_pylist(), found["line"].to_pylist(), strict=True)
    ]


def test_unique_keys_are_neither_the_datas_nor_twice(run: Run, invoices: Path) -> None:
    found = new(run, invoices, "--constraint", "unique(invoice, line)", "-n", 200)
    pairs = [tuple(row.values()) for row in found.select(["invoice", "line"]).to_pylist()]
    data = pq.read_table(invoices).select(["invoice", "line"]).to_pylist()
    assert len(set(pairs)) == 200
    assert not set(pairs) & {tuple(row.values()) for row in data}


def test_fixed_combinations(run: Run, invoices: Path) -> None:
    found = new(run, invoices, "--model", "copula", "--constraint", "fixed(size,colour)", "-n", 900)
    pairs = {tuple(row.values()) for row in found.select(["size", "colour"]).to_pylist()}
    assert ("L", "red") not in pairs
    assert len(pairs) == 5


def test_a_range_and_a_file(run: Run, invoices: Path) -> None:
    rules = invoices.with_name("columns.toml")
    rules.write_text('constraints = ["20<net<=90", "tax<net"]\n')
    found = new(run, invoices, "--columns", rules, "-n", 300)
    net = found["net"].to_numpy()
    assert (net > 20).all() and (net <= 90).all()
    assert (found["tax"].to_numpy() < net).all()


@pytest.mark.parametrize(
    ("rules", "code", "told"),
    [
        (["net<5", "net>=5"], 2, "no row can meet both net>=5 and net<5"),
        (["5<net<5"], 2, "no row can meet both net>5 and net<5"),
        (["size=S", "size!=S"], 2, "no row can meet both size=S and size!=S"),
        (["net<tax", "tax<total", "total<net"], 2, "would be less than itself"),
        (["total=net+size"], 2, "column 'size' is string, no number"),
        (["net=net+tax"], 2, "cannot be a part of itself"),
        (["unique(net,prize)"], 3, "a column that the table does not have"),
        (["net>100000"], 3, "rows drawn keep net>100000"),
        (["unique(size,colour)"], 3, "rows drawn keep unique(size, colour)"),
    ],
)
def test_what_cannot_be_is_refused(
    run: Run, invoices: Path, rules: list[str], code: int, told: str
) -> None:
    words = [word for rule in rules for word in ("--constraint", rule)]
    outcome = run("augment", invoices, "--no-report", *words)
    assert outcome.code == code, outcome.err
    assert told in re.sub(r"[│\s]+", " ", outcome.err)
    assert not invoices.with_name("invoices.augmented.parquet").exists()
