"""Files appear whole, by rename, or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pyarrow as pa
import pytest

from gmkit.data.formats import CORE_FORMATS
from gmkit.data.parquet import ParquetWriter
from gmkit.data.sink import Sink
from gmkit.errors import DataError

TABLE = pa.table({"a": [1, 2, 3]})
(BATCH,) = TABLE.to_batches()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_file_appears_at_the_end(tmp_path: Path) -> None:
    with Sink(tmp_path / "t.csv", TABLE.schema, CORE_FORMATS) as sink:
        sink.write(BATCH)
        sink.write(BATCH)
        assert not (tmp_path / "t.csv").exists()
        assert sink.rows == 6
    assert names(tmp_path) == ["t.csv"]
    assert (tmp_path / "t.csv").read_text() == "a\n1\n2\n3\n1\n2\n3\n"


@pytest.mark.parametrize("end", [".parquet", ".csv", ".jsonl.gz", ".arrow"])
def test_an_exception_leaves_the_previous_file(tmp_path: Path, end: str) -> None:
    path = tmp_path / f"t{end}"
    path.write_text("before")
    with (
        pytest.raises(KeyboardInterrupt),
        Sink(path, TABLE.schema, CORE_FORMATS) as sink,
    ):
        sink.write(BATCH)
        raise KeyboardInterrupt
    assert path.read_text() == "before"
    assert names(tmp_path) == [path.name]


def test_no_rows_make_an_empty_table(tmp_path: Path) -> None:
    with Sink(tmp_path / "t.parquet", TABLE.schema, CORE_FORMATS):
        pass
    assert CORE_FORMATS[".parquet"].count(tmp_path / "t.parquet") == 0


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("t.xls", "ends in '.xls'; one of .arrow, .csv"),
        ("t", "has no ending"),
        ("t.parqet", "Did you mean '.parquet'?"),
        ("none/t.csv", "none does not exist\nMake it first."),
        ("file/t.csv", "file is not a folder"),
        ("folder.csv", "exists and is no regular file"),
    ],
)
def test_places_that_cannot_be_written(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.csv").mkdir()
    before = names(tmp_path)
    with pytest.raises(DataError) as caught:
        Sink(tmp_path / name, TABLE.schema, CORE_FORMATS)
    assert says in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)
    assert names(tmp_path) == before


def test_devices_are_not_replaced() -> None:
    with pytest.raises(DataError, match="no regular file"):
        Sink(Path("/dev/null"), TABLE.schema, {"l": CORE_FORMATS[".csv"]})


def test_overwriting_can_be_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").touch()
    with pytest.raises(DataError, match="exists already"):
        Sink(tmp_path / "t.csv", TABLE.schema, CORE_FORMATS, overwrite=False)


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "real" / "t.csv")
    with Sink(tmp_path / "link.csv", TABLE.schema, CORE_FORMATS) as sink:
        sink.write(BATCH)
    assert (tmp_path / "link.csv").is_symlink()
    assert names(tmp_path / "real") == ["t.csv"]


def test_records_are_cast_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    with Sink(path, pa.schema([("a", pa.float64())]), CORE_FORMATS) as sink:
        sink.write(BATCH)
    assert CORE_FORMATS[".parquet"].schema(path).field("a").type == pa.float64()
    with (
        pytest.raises(DataError, match="records do not fit the columns to be written"),
        Sink(path, pa.schema([("b", pa.int64())]), CORE_FORMATS) as sink,
    ):
        sink.write(BATCH)
    assert CORE_FORMATS[".parquet"].schema(path).names == ["a"]


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    schema = pa.schema([("a", pa.int64()), ("a", pa.int64())])
    with pytest.raises(DataError, match="column 'a': two columns have this name"):
        Sink(tmp_path / "t.csv", schema, CORE_FORMATS)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("moment", ["write", "close"])
def test_faults_of_the_disk_are_told_with_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, moment: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    path = tmp_path / "t.parquet"
    path.write_text("before")
    monkeypatch.setattr(ParquetWriter, moment, fail)
    with pytest.raises(DataError) as caught, Sink(path, TABLE.schema, CORE_FORMATS) as sink:
        sink.write(BATCH)
    said = str(caught.value)
    assert f"{path}: cannot be written: {os.strerror(code)}, after" in said
    assert "an earlier file of that name is untouched" in said
    assert ("bytes more are needed" in said) == (code in (errno.ENOSPC, errno.EDQUOT))
    assert path.read_text() == "before"
    assert names(tmp_path) == ["t.parquet"]


def test_leftovers_of_dead_processes_are_swept(tmp_path: Path) -> None:
    (tmp_path / ".t.csv.tmp-999999999").touch()
    (tmp_path / f".t.csv.tmp-{os.getppid()}").touch()
    with Sink(tmp_path / "t.csv", TABLE.schema, CORE_FORMATS):
        pass
    assert names(tmp_path) == [f".t.csv.tmp-{os.getppid()}", "t.csv"]
