"""Everything that may be named as data, and every way in which it may be wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gmkit.api import DatasetInfo
from gmkit.data.source import Source, open_source
from gmkit.errors import ConfigError, GmkitError, PluginError

Open = Callable[..., Source]


@pytest.fixture
def opened(registry: Any, molecules: Any) -> Open:
    """``open_source`` with the fake domain and registry."""

    def opened(data: Any, column: str = "", domain: Any = molecules) -> Source:
        return open_source(data, domain=domain, registry=registry, column=column)

    return opened


def rows(source: Source) -> list[dict[str, Any]]:
    return [row for batch in source.batches() for row in batch.to_pylist()]


def refused(opened: Open, *args: Any, **options: Any) -> str:
    with pytest.raises(GmkitError) as caught:
        opened(*args, **options)
    return str(caught.value)


# ---------------------------------------------------------------- what may be given


def test_a_file_keeps_its_further_columns(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("SMILES,activity\nCCO,1.5\nN,2\n")
    source = opened(path)
    assert (source.name, source.files, source.count()) == ("mine.csv", (path,), 2)
    assert source.schema.names == ["smiles", "activity"]
    assert rows(source) == [
        {"smiles": "CCO", "activity": 1.5},
        {"smiles": "N", "activity": 2.0},
    ]
    assert rows(source) == rows(source)


def test_a_folder_is_one_source_in_the_order_of_names(opened: Open, tmp_path: Path) -> None:
    for name, value in (("b.csv", "N"), ("a.csv", "CCO")):
        (tmp_path / name).write_text(f"smiles\n{value}\n")
    for other in ("_SUCCESS", ".hidden.csv", "README.md"):
        (tmp_path / other).write_text("not data")
    source = opened(str(tmp_path))
    assert [r["smiles"] for r in rows(source)] == ["CCO", "N"]
    assert [f.name for f in source.files] == ["a.csv", "b.csv"]
    assert source.count() == 2


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_batches_have_one_size_however_the_file_is_cut(
    opened: Open, tmp_path: Path, size: int
) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"smiles": [f"C{i}" for i in range(20)]}), path, row_group_size=6)
    batches = list(opened(path).batches(size))
    assert [b.num_rows for b in batches[:-1]] == [size] * (len(batches) - 1)
    assert [v for b in batches for v in b["smiles"].to_pylist()] == [f"C{i}" for i in range(20)]


def test_dictionaries_that_differ_between_batches_are_joined(opened: Open) -> None:
    one, two = (pa.array(v).dictionary_encode() for v in (["a", "b"], ["c", "a"]))
    table = pa.table({"smiles": ["C"] * 4, "kind": pa.chunked_array([one, two])})
    (batch,) = opened(table).batches()
    assert batch["kind"].to_pylist() == ["a", "b", "c", "a"]


def test_tables_in_memory(opened: Open) -> None:
    table = pa.table({"mol": pa.array(["CCO", None], pa.large_string()), "x": [1, 2]})
    for data in (table, table.to_batches()[0]):
        source = opened(data)
        assert source.schema.field("smiles").type == pa.string()
        assert rows(source) == [{"smiles": "CCO", "x": 1}, {"smiles": None, "x": 2}]
        assert source.count() == 2
    assert rows(opened(["CCO", "N"])) == [{"smiles": "CCO"}, {"smiles": "N"}]


def test_pandas_frames_leave_their_index_behind(opened: Open) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"smiles": ["C", "N", "O"], "x": [1, 2, 3]})
    source = opened(frame[frame.x > 1])
    assert source.schema.names == ["smiles", "x"]
    assert [r["smiles"] for r in rows(source)] == ["N", "O"]


def test_embedded_data_sets(opened: Open, registry: Any, tmp_path: Path) -> None:
    path = tmp_path / "wehi.csv"
    path.write_text("id,structure,remark\n1,CCO,x\n2,N,y\n")
    registry.infos = [
        DatasetInfo(
            name="screening", domain="molecules", licence="BSD", loader="a:b", column="structure",
            default=True,
        )
    ]  # fmt: skip
    registry.made = lambda: path
    for data in (None, "screening"):
        source = opened(data)
        assert source.name == "screening"
        assert [r["smiles"] for r in rows(source)] == ["CCO", "N"]
        assert source.schema.names == ["id", "smiles", "remark"]


def test_generated_data_sets_can_be_read_again(opened: Open, registry: Any) -> None:
    def make() -> Iterator[pa.RecordBatch]:
        for start in range(3):
            yield pa.record_batch({"smiles": ["C" * (start + 1)]})

    registry.infos = [DatasetInfo(name="made", domain="molecules", licence="-", loader="a:b")]
    registry.made = make
    source = opened("made")
    assert source.files == ()
    assert source.count() is None
    assert [r["smiles"] for r in rows(source)] == ["C", "CC", "CCC"]
    assert rows(source) == rows(source)
    assert source.fingerprint() == opened("made").fingerprint()


def test_a_path_wins_over_a_data_set_of_that_name(
    opened: Open, registry: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "a.csv").write_text("smiles\nO\n")
    monkeypatch.chdir(tmp_path)
    registry.infos = [DatasetInfo(name="made", domain="molecules", licence="-", loader="a:b")]
    assert rows(opened("made")) == [{"smiles": "O"}]


# ---------------------------------------------------------------- the main column


@pytest.mark.parametrize(
    ("header", "column", "value"),
    [
        ("id,smiles,mol", "", "b"),
        ("id,mol,smiles", "id", "a"),
        ("id,Canonical_SMILES,other", "", "b"),
        ("id, MOL ,other", "", "b"),
    ],
)
def test_the_main_column_is_found(
    opened: Open, tmp_path: Path, header: str, column: str, value: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{header}\na,b,c\n")
    assert rows(opened(path, column))[0]["smiles"] == value


def test_a_column_that_has_the_name_already_is_kept(opened: Open) -> None:
    table = pa.table({"smiles": ["raw"], "clean": ["CCO"]})
    assert rows(opened(table, "clean")) == [{"smiles.original": "raw", "smiles": "CCO"}]


def test_the_only_text_column_will_do(opened: Open) -> None:
    assert rows(opened(pa.table({"x": [1], "structure": ["CCO"]})))[0]["smiles"] == "CCO"


def test_without_a_domain_columns_stay_as_they_are(opened: Open) -> None:
    source = opened(pa.table({"x": [1], "y": ["a"]}), domain=None)
    assert rows(source) == [{"x": 1, "y": "a"}]


def test_a_wrong_column_is_answered_with_the_nearest(opened: Open) -> None:
    table = pa.table({"smile": ["C"], "name": ["a"]})
    assert refused(opened, table, "smilles") == (
        "table in memory: has no column 'smilles'; it has 'smile', 'name'\nDid you mean 'smile'?"
    )
    said = refused(opened, table)
    assert "has no column 'smiles', nor one known to mean it; it has 'smile', 'name'" in said
    assert "Did you mean 'smile'? Name the one to use: --column NAME." in said


def test_a_domain_of_whole_rows_takes_no_column(opened: Open, molecules: Any) -> None:
    molecules.column = ""
    with pytest.raises(ConfigError, match="uses whole rows and has no main column"):
        opened(pa.table({"x": [1]}), "x")


# ---------------------------------------------------------------- what is wrong with it


def test_missing_paths(opened: Open, registry: Any, tmp_path: Path) -> None:
    (tmp_path / "molecules.csv").write_text("smiles\nC\n")
    registry.infos = [DatasetInfo(name="zinc-250k", domain="molecules", licence="-", loader="a:b")]
    assert "Did you mean 'molecules.csv'?" in refused(opened, tmp_path / "molecule.csv")
    assert "Did you mean 'zinc-250k'?" in refused(opened, "zinc250k")
    said = refused(opened, tmp_path / "no" / "such.csv")
    assert "no such file, folder or data set" in said
    assert f"There is no folder {tmp_path / 'no'}" in said
    assert "Data sets: zinc-250k" in refused(opened, tmp_path / "qqqqqqqqqqqqqq")
    assert "no path that can be looked up" in refused(opened, "x" * 5_000)


def test_unknown_endings(opened: Open, registry: Any, tmp_path: Path, molecules: Any) -> None:
    path = tmp_path / "set.smi"
    path.write_text("C\n")
    said = refused(opened, path)
    assert "ends in '.smi'; can be read: .arrow, .csv" in said
    assert "pip install gmkit[molecules]" in said
    registry.known = [molecules.info]
    assert "add --domain molecules" in refused(opened, path, domain=None)
    (tmp_path / "bare").write_text("C\n")
    assert "has no ending" in refused(opened, tmp_path / "bare")


def test_domains_bring_formats(opened: Open, tmp_path: Path, molecules: Any) -> None:
    class Lines:
        def schema(self, path: Path) -> pa.Schema:
            return pa.schema([("smiles", pa.string())])

        def count(self, path: Path) -> None:
            return None

        def read(self, path: Path, columns: Any, batch_rows: int) -> Iterator[pa.RecordBatch]:
            yield pa.record_batch({"smiles": path.read_text().split()})

    molecules.formats = lambda: {".smi": Lines()}
    path = tmp_path / "set.smi"
    path.write_text("C\nN\n")
    source = opened(path)
    assert source.count() is None
    assert [r["smiles"] for r in rows(source)] == ["C", "N"]


def test_folders_without_data(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "notes.docx").write_text("x")
    assert "no file in this folder can be read; can be read: .arrow" in refused(opened, tmp_path)


def test_folders_of_mixed_columns(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("smiles,x\nC,1\n")
    (tmp_path / "b.csv").write_text("smiles,x\nC,high\n")
    said = refused(opened, tmp_path)
    assert "b.csv: column 'x' is string here, 'x' is int64 in a.csv" in said
    (tmp_path / "b.csv").write_text("smiles,x,y\nC,1,2\n")
    assert "3 columns here, 2 in a.csv" in refused(opened, tmp_path)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (pa.table({"smiles": pa.array([], pa.string())}), "has no rows"),
        (pa.table({}), "has no columns"),
        (
            pa.Table.from_arrays([pa.array(["C"])] * 2, names=["smiles", "smiles"]),
            "column 'smiles': two columns have this name",
        ),
    ],
)
def test_nothing_to_read(opened: Open, tmp_path: Path, table: pa.Table, says: str) -> None:
    pq.write_table(table, tmp_path / "t.parquet")
    said = refused(opened, tmp_path / "t.parquet")
    assert says in said
    assert "t.parquet" in said
    assert says in refused(opened, table)


def test_empty_files_and_headers_alone(opened: Open, tmp_path: Path) -> None:
    for name in ("a.csv", "a.parquet", "a.jsonl", "a.arrow"):
        (tmp_path / name).touch()
        assert refused(opened, tmp_path / name) == f"{tmp_path / name}: is empty"
    (tmp_path / "b.csv").write_text("smiles\n")
    assert "has no rows" in refused(opened, tmp_path / "b.csv")


def test_things_that_are_no_data(opened: Open) -> None:
    assert "data of type int cannot be read" in refused(opened, 7)
    assert refused(opened, ["C", 7]) == "row 1: int where a string is expected"
    assert "needs a domain with a main column" in refused(opened, ["C"], domain=None)


def test_no_data_and_no_default(opened: Open) -> None:
    assert "domain 'molecules' has no default data set" in refused(opened, None)
    assert "no data given" in refused(opened, None, domain=None)


def test_a_loader_that_fails_is_named(opened: Open, registry: Any) -> None:
    def broken() -> Path:
        raise RuntimeError("no chemistry today")

    registry.infos = [DatasetInfo(name="made", domain="molecules", licence="-", loader="a:b")]
    registry.made = broken
    with pytest.raises(PluginError, match="the loader of data set 'made' failed: no chemistry"):
        opened("made")


# ---------------------------------------------------------------- the fingerprint


def test_fingerprints_tell_content_and_nothing_else(opened: Open, tmp_path: Path) -> None:
    def of(name: str, text: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return opened(path).fingerprint()

    one = of("one.csv", "smiles\nC\n")
    assert one == of("two.csv", "smiles\nC\n")
    assert one == of("sub/three.csv", "smiles\nC\n")
    assert one != of("four.csv", "smiles\nN\n")
    assert one != of("five.tsv", "smiles\nC\n")
    assert len(one) == 64


def test_fingerprints_of_tables_do_not_depend_on_their_chunks(opened: Open) -> None:
    whole = pa.table({"smiles": ["a", "b", "c"], "x": [1, None, 3]})
    parts = pa.concat_tables([whole.slice(0, 1), whole.slice(1)])
    assert parts.column(0).num_chunks == 2
    assert opened(parts).fingerprint() == opened(whole).fingerprint()
    assert opened(whole.slice(1)).fingerprint() != opened(whole).fingerprint()
    assert opened(whole.slice(1)).fingerprint() == opened(whole.slice(1)).fingerprint()
