"""Tables and options that cannot work: one message that says what to do, nothing left behind."""

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
RNG = np.random.default_rng(0)


def write(folder: Path, **columns: Any) -> Path:
    path = folder / "t.parquet"
    pq.write_table(pa.table(columns), path, write_page_checksum=True)
    return path


def refused(outcome: Any, code: int, *texts: str) -> None:
    told = re.sub(r"[│\s]+", " ", outcome.err)
    assert outcome.code == code, outcome.err
    assert "Traceback" not in outcome.err
    for text in texts:
        assert text in told


def works(run: Run, path: Path, *words: Any) -> pa.Table:
    out = path.with_name("out.parquet")
    outcome = run("augment", path, "--only-synthetic", "--out", out, *words)
    assert outcome.code == 0, outcome.err
    found = pq.read_table(out)
    assert found.schema.equals(pq.read_schema(path), check_metadata=True)
    return found


def test_an_unknown_file(run: Run, tmp_path: Path) -> None:
    refused(run("augment", tmp_path / "no.parquet"), 3, "no.parquet")


def test_a_damaged_file_is_told_with_its_row_group(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path, x=RNG.normal(size=5000), y=RNG.normal(size=5000))
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 3] ^= 0xFF
    path.write_bytes(raw)
    refused(run("augment", path), 3, "row group 0")
    assert [p.name for p in tmp_path.iterdir() if p.name != "cache"] == ["t.parquet"]


def test_two_columns_of_one_name(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table = pa.Table.from_arrays([pa.array([1, 2]), pa.array([3, 4])], names=["x", "x"])
    pq.write_table(table, path)
    refused(run("augment", path), 3, "column 'x'", "two columns have this name")


def test_nested_columns(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path, x=[[1], [2, 3]], y=[1, 2])
    refused(run("augment", path), 3, "column 'x'", "nested values (list<", "leave it out")


def test_nested_columns_of_many_rows(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path, x=[{"a": 1}] * 80, y=list(range(80)))
    refused(run("augment", path), 3, "column 'x'", "nested values (struct<")


def test_texts_as_views(run: Run, tmp_path: Path) -> None:
    views = pa.array(["a", "b", None] * 100, pa.string_view())
    path = write(tmp_path, x=views, y=RNG.normal(size=300))
    assert pq.read_schema(path).field("x").type == pa.string_view()
    assert works(run, path, "--target", "x", "-n", 50)["x"].null_count < 50


def test_no_rows(run: Run, tmp_path: Path) -> None:
    refused(run("augment", write(tmp_path, x=pa.array([], pa.int64()))), 3, "has no rows")


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_very_few_rows(run: Run, tmp_path: Path, rows: int) -> None:
    path = write(tmp_path, x=list(range(rows)), y=["a"] * rows, z=[0.5 * i for i in range(rows)])
    assert works(run, path, "-n", 7).num_rows == 7


def test_nothing_known_at_all(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path, x=pa.nulls(30), y=pa.nulls(30, pa.float64()))
    found = works(run, path)
    assert found["x"].null_count == found["y"].null_count == 30


def test_no_name(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array(RNG.normal(size=50))], names=[""]), path)
    assert works(run, path).num_rows == 50


def test_infinities_and_huge_integers(run: Run, tmp_path: Path) -> None:
    x = RNG.normal(size=300)
    x[:9] = [np.inf, -np.inf, np.nan] * 3
    big = [int(v) for v in RNG.integers(-(2**63), 2**63 - 1, 300)]
    found = works(run, write(tmp_path, x=x, big=pa.array(big, pa.int64())), "-n", 500)
    assert min(big) <= min(found["big"].to_pylist())
    assert max(found["big"].to_pylist()) <= max(big)


def test_very_many_categories(run: Run, tmp_path: Path) -> None:
    names = [f"user {n % 9000}" for n in range(20_000)]
    path = write(tmp_path, name=names, y=RNG.integers(0, 2, 20_000))
    kinds = tmp_path / "columns.toml"
    kinds.write_text('[columns]\nname = "category"\n')
    found = works(run, path, "--columns", kinds, "-n", 300, "--no-report")
    assert set(found["name"].to_pylist()) <= set(names)


def test_a_delimiter_of_its_own_and_ragged_lines(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n1,2,3\n")
    refused(run("augment", path), 3, "line 3 has 3 fields where the first has 2")


@pytest.mark.parametrize(
    ("words", "code", "texts"),
    [
        (["--where", "y>100"], 3, ["no row of the data has y>100", "y is"]),
        (["--where", "x=c"], 3, ["no row of the data has x=c"]),
        (["--where", "z=1"], 3, ["column 'z'", "--where names a column"]),
        (["--where", "y=many"], 2, ["'many' is no value of the column 'y'"]),
        (["--where", "y"], 2, ["is not name=value"]),
        (["--where", "y>3,y<2"], 3, ["y>3, y<2"]),
        (["--balance", "z"], 3, ["--balance names a column"]),
        (["--balance", "x=a:2"], 2, ["'2' is no share between 0 and 1"]),
        (["--balance", "y"], 2, ["are no classes"]),
        (["--balance", "x", "-n", "5"], 2, ["contradict each other"]),
        (["--balance", "x", "--where", "x=a"], 2, ["both say what the rows shall be"]),
        (["--no-harm"], 2, ["--target COLUMN"]),
        (["--no-harm", "--target", "x", "-n", "5"], 2, ["how many rows to add"]),
        (["--target", "Y"], 3, ["--target names a column", "Did you mean 'y'?"]),
        (["--constraint", "y<=w"], 2, ["'w' is no value of the column 'y'"]),
        (["--model", "forest"], 4, ["unknown family 'forest'"]),
        (["--model", "gan", "--where", "x=c"], 3, ["no row of the data has x=c"]),
        (["--set", "family.leaf=0"], 2, ["family.leaf"]),
        (["--out", "nowhere/out.parquet"], 3, ["nowhere"]),
        (["--out", "out.xyz"], 3, [".xyz"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_options_that_cannot_be(
    run: Run, tmp_path: Path, words: list[str], code: int, texts: list[str]
) -> None:
    path = write(tmp_path, x=["a", "b"] * 150, y=np.round(RNG.random(300) * 50, 3))
    steps = ["--set", "training.steps=2"] if "gan" in words else []
    refused(run("augment", path, *words, *steps), code, *texts)
    assert [p.name for p in tmp_path.iterdir() if p.name != "cache"] == ["t.parquet"]


def test_what_was_augmented_before(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path, x=RNG.normal(size=50), _gmkit_origin=["original"] * 50)
    refused(run("augment", path), 2, "comes from gmkit augment")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[columns]\nx = 'colour'\n", "is no kind of column"),
        ("[columns]\nz = 'number'\n", "which the data does not have"),
        ("x = 'number'\n", "has no table [columns]"),
        ("[columns]\nx = 'number'\n", "cannot be a number"),
        ("[columns\n", "is not TOML"),
    ],
)
def test_a_wrong_columns_file(run: Run, tmp_path: Path, text: str, told: str) -> None:
    path = write(tmp_path, x=["a", "b"] * 20, y=RNG.normal(size=40))
    (tmp_path / "columns.toml").write_text(text)
    refused(run("augment", path, "--columns", tmp_path / "columns.toml"), 2, told)
