"""Each format gives back what was written, and says what it cannot read."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gmkit.data import delimited, json_lines
from gmkit.data.formats import CORE_FORMATS, ending
from gmkit.data.sink import Sink
from gmkit.errors import DataError

QUICK = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
NAMES = st.text(LETTERS, min_size=1, max_size=8).filter(lambda s: s.strip() and s[0] != "\ufeff")
# Text that a reader without types cannot take for a number, a date or a missing value.
WORDS = st.text(LETTERS, max_size=12).map(lambda s: f"x{s}")
FINITE = st.floats(allow_nan=False, allow_infinity=False)
DATES = st.dates(datetime.date(1900, 1, 1), datetime.date(2100, 1, 1))
TIMES = st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1))
PLAIN: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.float64(), FINITE.map(lambda x: x + 0.5 if x == round(x) and abs(x) < 1e15 else x)),
    (pa.string(), WORDS),
    (pa.bool_(), st.booleans()),
]
TYPED = [
    *PLAIN,
    (pa.int8(), st.integers(-128, 127)),
    (pa.uint32(), st.integers(0, 2**32 - 1)),
    (pa.float32(), st.floats(width=32)),
    (pa.string(), st.text(LETTERS)),
    (pa.large_string(), WORDS),
    (pa.binary(), st.binary(max_size=9)),
    (pa.binary(3), st.binary(min_size=3, max_size=3)),
    (pa.date32(), DATES),
    (pa.date64(), DATES),
    (pa.time32("s"), st.times().map(lambda t: t.replace(microsecond=0))),
    (pa.timestamp("s"), TIMES.map(lambda t: t.replace(microsecond=0))),
    (pa.timestamp("us", "Europe/Berlin"), TIMES),
    (pa.duration("us"), st.timedeltas(datetime.timedelta(-99), datetime.timedelta(99))),
    (pa.decimal128(12, 2), st.integers(-999, 999).map(lambda i: Decimal(i).scaleb(-2))),
    (pa.list_(pa.int32()), st.lists(st.integers(-9, 9), max_size=3)),
    (pa.list_(pa.float32(), 2), st.lists(st.just(0.5), min_size=2, max_size=2)),
    (pa.struct([("a", pa.int8()), ("b", pa.string())]), st.just({"a": 1, "b": "z"})),
    (pa.dictionary(pa.int8(), pa.string()), st.sampled_from("abc")),
    (pa.null(), st.none()),
]


@st.composite
def tables(draw: st.DrawFn, kinds: list[tuple[pa.DataType, Any]], *, full_row: bool) -> pa.Table:
    """A table of 0–20 rows with nulls; ``full_row``: the first row has none (types by content)."""
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    rows = draw(st.integers(1 if full_row else 0, 20))
    columns, fields = [], []
    for name in names:
        kind, values = draw(st.sampled_from(kinds))
        column = draw(st.lists(st.none() | values, min_size=rows, max_size=rows))
        if full_row:
            column[0] = draw(values)
        columns.append(pa.array(column, kind))
        meta = {"unit": "kg"} if draw(st.booleans()) else None
        fields.append(pa.field(name, kind, metadata=meta))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, {"origin": "test"}))


def write(path: Path, table: pa.Table, rows: int = 7) -> None:
    with Sink(path, table.schema, CORE_FORMATS) as sink:
        for batch in table.to_batches(max_chunksize=rows):
            sink.write(batch)


def read(path: Path, columns: list[str] | None = None, rows: int = 5) -> pa.Table:
    form = CORE_FORMATS[ending(path, CORE_FORMATS) or ""]
    batches = list(form.read(path, columns, rows))
    assert all(0 < batch.num_rows <= rows for batch in batches)
    return pa.Table.from_batches(batches, batches[0].schema if batches else form.schema(path))


def same(one: pa.Table, other: pa.Table) -> bool:
    """Equal values, NaN equal to NaN, −0.0 to 0.0."""

    def key(value: Any) -> Any:
        return "nan" if isinstance(value, float) and math.isnan(value) else value

    left, right = ([{k: key(v) for k, v in r.items()} for r in t.to_pylist()] for t in (one, other))
    return left == right


@QUICK
@given(tables(TYPED, full_row=False))
def test_parquet_gives_back_schema_and_values(tmp_path: Path, table: pa.Table) -> None:
    path = tmp_path / "t.parquet"
    write(path, table)
    assert CORE_FORMATS[".parquet"].schema(path).equals(table.schema, check_metadata=True)
    assert CORE_FORMATS[".parquet"].count(path) == table.num_rows
    back = read(path)
    assert back.schema.equals(table.schema, check_metadata=True)
    assert same(back, table)


@QUICK
@given(tables([k for k in TYPED if not pa.types.is_dictionary(k[0])], full_row=False))
def test_arrow_gives_back_schema_and_values(tmp_path: Path, table: pa.Table) -> None:
    path = tmp_path / "t.arrow"
    write(path, table)
    back = read(path)
    assert back.schema.equals(table.schema, check_metadata=True)
    assert same(back, table)
    assert CORE_FORMATS[".arrow"].count(path) == table.num_rows


@pytest.mark.parametrize("end", [".csv", ".tsv", ".csv.gz", ".jsonl", ".jsonl.gz"])
def test_text_formats_give_back_names_types_and_values(end: str, tmp_path: Path) -> None:
    @settings(QUICK, max_examples=15)
    @given(tables(PLAIN, full_row=True))
    def check(table: pa.Table) -> None:
        path = tmp_path / f"t{end}"
        write(path, table)
        back = read(path)
        assert back.schema.names == table.schema.names
        assert back.schema.types == table.schema.types
        assert same(back, table)
        assert CORE_FORMATS[end].count(path) == table.num_rows

    check()


def test_parquet_is_written_with_checksums_in_few_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write(path, pa.table({"i": range(50_000)}), rows=100)
    footer = pq.ParquetFile(path).metadata
    assert footer.num_row_groups == 1
    assert footer.row_group(0).column(0).compression == "ZSTD"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 4] ^= 1
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"t\.parquet: row group 0: .*damaged"):
        read(path)


def test_columns_can_be_chosen_in_any_order(tmp_path: Path) -> None:
    table = pa.table({"a": [1, 2], "b": ["x", "y"], "c": [0.5, 1.5]})
    for end in (".parquet", ".arrow", ".csv", ".jsonl"):
        write(tmp_path / f"t{end}", table)
        assert read(tmp_path / f"t{end}", ["c", "a"]).to_pydict() == {"c": [0.5, 1.5], "a": [1, 2]}


def test_arrow_stream_layout_is_read(tmp_path: Path) -> None:
    table = pa.table({"a": [1, 2, 3]})
    path = tmp_path / "s.arrow"
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table)
    assert read(path).equals(table)
    assert CORE_FORMATS[".arrow"].count(path) is None


def test_ending_is_the_longest_and_any_case() -> None:
    assert ending(Path("a.CSV.GZ"), CORE_FORMATS) == ".csv.gz"
    assert ending(Path("a.txt"), CORE_FORMATS) is None
    assert ending(Path(".csv"), CORE_FORMATS) is None


# ---------------------------------------------------------------- CSV as it is found


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("\ufeffa,b\n1,x\n", [{"a": 1, "b": "x"}]),
        ("a;b\n1;2,5\n", [{"a": 1, "b": "2,5"}]),
        ("a\tb\n1\tx y\n", [{"a": 1, "b": "x y"}]),
        ("a|b\n1|x\n", [{"a": 1, "b": "x"}]),
        ("a,b\r\n1,x\r\n2,y\n3,z\r4,w", [{"a": i, "b": c} for i, c in enumerate("xyzw", 1)]),
        ('a,b\n1,"x\ny, ""z"""\n\n2,\n', [{"a": 1, "b": 'x\ny, "z"'}, {"a": 2, "b": None}]),
        ('size\n5" pipe\n', [{"size": '5" pipe'}]),
        ("a,b\nNA,NA\n1,\n", [{"a": None, "b": None}, {"a": 1, "b": None}]),
        ("smiles\nC1=CC=CC=C1\nN\n", [{"smiles": "C1=CC=CC=C1"}, {"smiles": "N"}]),
    ],
)  # fmt: skip
def test_csv_oddities_are_read(tmp_path: Path, text: str, rows: list[dict[str, Any]]) -> None:
    path = tmp_path / "odd.csv"
    path.write_text(text, encoding="utf-8", newline="")
    assert read(path).to_pylist() == rows


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "odd.csv: is empty"),
        (b"\xef\xbb\xbf \n", "is empty"),
        (b"a,b\n1,\xe9\n", "byte 0xE9 at offset 6 is not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "is UTF-16"),
        (b"a,b\n1,x\xc3", "ends within a UTF-8 character"),
        (b"id,b,id\n1,2,3\n", "column 'id': 1 column name(s) occur more than once"),
        (b'a,b\n"x\ny",1\n2,3,4\n', "line 4 has 3 fields where the first has 2"),
        (b"a,b\n1,2\n3\n", "line 3 has 1 fields where the first has 2"),
        (b'a,b\n1,"x\n2,y\n', "the quote opened in line 2 is never closed"),
    ],
)
def test_csv_faults_are_named(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "odd.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


def test_invalid_utf8_across_blocks_is_placed(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_bytes(b"a\n" + b"x" * ((1 << 20) - 3) + b"\xc3" + b"y\n")
    with pytest.raises(DataError, match=rf"byte 0xC3 at offset {(1 << 20) - 1} is not UTF-8"):
        read(path)


def test_csv_types_hold_every_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 2_000)
    path = tmp_path / "late.csv"
    early = "".join(f"{i},2020-01-01,true,\n" for i in range(1_000))
    path.write_text(f"a,b,c,d\n{early}2.5,soon,maybe,7\n")
    table = read(path)
    assert [str(t) for t in table.schema.types] == ["double", "string", "string", "int64"]
    assert table.slice(1_000).to_pylist() == [{"a": 2.5, "b": "soon", "c": "maybe", "d": 7}]
    assert CORE_FORMATS[".csv"].count(path) == 1_001


def test_a_changed_file_is_surveyed_anew(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a\n1\n")
    assert CORE_FORMATS[".csv"].count(path) == 1
    path.write_text("a\n1\n2\n")
    assert CORE_FORMATS[".csv"].count(path) == 2


def test_csv_quotes_only_where_needed(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    write(path, pa.table({"smiles": ["CCO", None, "N"], "q": [0.5, 1.0, None]}))
    assert path.read_text() == "smiles,q\nCCO,0.5\n,1\nN,\n"


def test_a_single_column_keeps_its_missing_values(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    write(path, pa.table({"s": ["a", None, "", "NA"]}))
    assert read(path)["s"].to_pylist() == ["a", None, "", "NA"]


# ---------------------------------------------------------------- JSON lines


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ('{"a":1}\n\n{"a":\n', "line 3 is not JSON"),
        ('{"a":1}\n[1]\n', "line 2 is a JSON list, not an object"),
        ('{"a":1}\n{"a":"x"}\n', "Column(/a) changed from number to string"),
        ('{"a":1,"a":2}\n', "specified twice"),
        ('{"a":"\xe9"}\n', "byte 0xE9 at offset 6 is not UTF-8"),
    ],
)
def test_json_faults_are_named(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text(text, encoding="latin1")
    with pytest.raises(DataError) as caught:
        read(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


def test_json_keys_and_types_are_unified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "CHUNK_BYTES", 64)
    path = tmp_path / "late.jsonl"
    path.write_text('{"a":1,"t":"2020-01-01"}\n' * 20 + '{"a":2.5,"b":[1,null]}\n')
    table = read(path)
    assert table.schema.field("t").type == pa.string()
    assert table.num_rows == 21
    assert table.slice(20).to_pylist() == [{"a": 2.5, "t": None, "b": [1, None]}]


def test_json_writes_nan_as_missing_and_refuses_infinity(tmp_path: Path) -> None:
    write(tmp_path / "t.jsonl", pa.table({"a": [float("nan"), 1.5]}))
    assert (tmp_path / "t.jsonl").read_text() == '{"a": null}\n{"a": 1.5}\n'
    with pytest.raises(DataError, match="column 'a': an infinite value"):
        write(tmp_path / "u.jsonl", pa.table({"a": [float("inf")]}))
    assert not (tmp_path / "u.jsonl").exists()


@pytest.mark.parametrize("end", [".csv", ".jsonl"])
def test_bytes_are_refused_by_text_formats(tmp_path: Path, end: str) -> None:
    table = pa.table({"image": [b"\xff"]})
    with pytest.raises(DataError, match=r"column 'image': .*binary.*\nWrite \.parquet instead"):
        write(tmp_path / f"t{end}", table)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("end", [".csv.gz", ".jsonl.gz", ".parquet", ".arrow"])
def test_truncated_files_are_refused(tmp_path: Path, end: str) -> None:
    path = tmp_path / f"t{end}"
    write(path, pa.table({"a": range(500), "s": [f"text {i * i}" for i in range(500)]}))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"damaged or truncated"):
        read(path)


def test_equal_records_give_equal_bytes(tmp_path: Path) -> None:
    table = pa.table({"a": range(100), "s": ["x"] * 100})
    for end in CORE_FORMATS:
        write(tmp_path / f"one{end}", table)
        write(tmp_path / f"two{end}", table)
        one, two = (tmp_path / f"{name}{end}" for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes(), end
