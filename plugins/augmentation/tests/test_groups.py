"""Rows that belong together are learned and drawn as whole groups."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def customers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Firms order often and much, others seldom and little; days go up, amounts go on; the first
    order is paid in cash."""
    rng = np.random.default_rng(0)
    columns: dict[str, list[Any]] = {n: [] for n in ("customer", "firm", "day", "amount", "pay")}
    for number in range(300):
        firm = bool(rng.random() < 0.3)
        day, level = int(rng.integers(18_000, 18_300)), rng.gamma(4, 50 if firm else 5)
        for place in range(1 + int(rng.poisson(7 if firm else 2))):
            day += int(rng.integers(0, 30))
            values = [f"C{number:04d}", firm, day, round(level * rng.uniform(0.9, 1.1), 2)]
            values.append("card" if place else "cash")
            for name, value in zip(columns, values, strict=True):
                columns[name].append(value)
    days = pa.array(columns["day"], pa.int32()).view(pa.date32())
    table = pa.table({**columns, "day": days})
    path = tmp_path_factory.mktemp("groups") / "customers.parquet"
    pq.write_table(table.sort_by("day"), path)  # rows of a group need not stand together
    return path


def grouped(table: pa.Table) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in table.to_pylist():
        found.setdefault(row["customer"], []).append(row)
    return found


def test_groups_are_like_the_datas(run: Run, customers: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    words = ["--group-key", "customer", "--only-synthetic", "-n", 900, "--out", out]
    outcome = run("augment", customers, *words, "--json")
    assert outcome.code == 0, outcome.err
    found, data = pq.read_table(out), pq.read_table(customers)
    assert found.num_rows == 900
    assert found.schema.equals(data.schema)
    new, old = grouped(found), grouped(data)
    assert not set(new) & set(old)
    sizes = {firm: [] for firm in (False, True)}  # type: ignore[var-annotated]
    for rows in new.values():
        assert len({row["firm"] for row in rows}) == 1
        days = [row["day"] for row in rows]
        assert days == sorted(days)
        sizes[rows[0]["firm"]].append(len(rows))
    assert 6 < np.mean(sizes[True]) < 10
    assert 2 < np.mean(sizes[False]) < 4
    first = Counter(rows[0]["pay"] for rows in new.values())
    assert first["cash"] > 0.9 * len(new)
    steps = [(a["amount"], b["amount"]) for rows in new.values() for a, b in pairwise(rows)]
    assert np.corrcoef(np.log(np.array(steps)).T)[0, 1] > 0.8
    assert Path(outcome.json["report"]).exists()
    assert "customer → firm" in outcome.json["rules"]


def test_the_same_seed_gives_the_same_groups(run: Run, customers: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"{n}.parquet" for n in "ab"]
    for out in files:
        words = ["--group-key", "customer", "-n", 50, "--no-report", "--seed", 4, "--out", out]
        assert run("augment", customers, *words).code == 0
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--group-key", "client"], 3, "--group-key names a column"),
        (["--group-key", "amount"], 2, "identifiers are whole numbers or texts"),
        (["--group-key", "pay"], 2, "2 groups in"),
        (["--group-key", "customer", "--where", "firm=true"], 2, "--where is about single rows"),
    ],
)
def test_what_cannot_be_grouped(
    run: Run, customers: Path, tmp_path: Path, words: list[str], code: int, told: str
) -> None:
    outcome = run("augment", customers, "--out", tmp_path / "o.parquet", *words)
    assert outcome.code == code, outcome.err
    assert told in re.sub(r"[│\s]+", " ", outcome.err)
    assert not list(tmp_path.glob("o.*"))


def test_what_holds_in_every_row_holds_in_new_groups(run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    visitor = rng.integers(0, 80, 500)
    begin, net = rng.integers(0, 10_000, 500), rng.integers(1, 900, 500)
    end, tax = begin + rng.integers(0, 300, 500), rng.integers(1, 300, 500)
    columns = {"begin": begin, "end": end, "net": net, "tax": tax, "total": net + tax}
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"visitor": [f"V{n:03d}" for n in visitor], **columns}), path)
    words = ["--group-key", "visitor", "--only-synthetic", "-n", 400, "--no-report", "--json"]
    outcome = run("augment", path, *words)
    assert outcome.code == 0, outcome.err
    assert {"begin ≤ end", "total = net + tax"} <= set(outcome.json["rules"])
    assert outcome.json["guard"]["breaches_left"] == 0
    found = pq.read_table(tmp_path / "t.augmented.parquet").to_pylist()
    assert all(row["begin"] <= row["end"] for row in found)
    assert all(row["net"] + row["tax"] == row["total"] for row in found)
