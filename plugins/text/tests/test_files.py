"""Text files and folders of them: what is read, what is refused and with which words."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pytest
from gmkit_text import text_file
from gmkit_text.domain import TextDomain
from gmkit_text.text_file import TextFile, documents

from gmkit.data.sink import Sink
from gmkit.data.source import open_source
from gmkit.errors import DataError
from gmkit.plugins import registry


def read(path: Path) -> list[dict[str, object]]:
    source = open_source(path, domain=registry().domain("text"), registry=registry())
    return [row for batch in source.batches() for row in batch.to_pylist()]


def test_a_file_is_a_document(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffžluť\r\nkůň\rx\n".encode())
    assert read(path) == [{"text": "žluť\nkůň\nx\n", "file": "a.txt"}]
    zipped = tmp_path / "b.TXT.gz"
    zipped.write_bytes(gzip.compress(b"abc"))
    assert read(zipped) == [{"text": "abc", "file": "b.TXT.gz"}]


@pytest.mark.parametrize("line", ["a line of words\n", "€𝄞", "x"])
def test_large_files_are_cut_and_lose_nothing(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_file, "CHUNK", 100)
    monkeypatch.setattr(text_file, "_LINE", 40)
    path = tmp_path / "a.txt"
    path.write_text(line * 200, encoding="utf-8")
    parts = list(documents(path))
    assert "".join(parts) == line * 200
    assert len(parts) > 1
    if line.endswith("\n"):
        assert all(part.endswith("\n") for part in parts)


@pytest.mark.parametrize(
    ("content", "told", "hint"),
    [
        (b"", "is empty", ""),
        (b" \n \n", "holds only blanks", ""),
        ("abc é".encode("latin-1"), r"byte 4 \(0xe9\) is not UTF-8 text", "iconv -f WINDOWS-1252"),
        ("abc".encode("utf-16"), "is UTF-16 text, expected UTF-8", "iconv -f UTF-16"),
        ("abc".encode("utf-32"), "is UTF-32 text", "iconv -f UTF-32"),
        (b"abc\0def", "is binary, not text: byte 3 is 0", "tables are .parquet"),
        (b"\x89PNG\r\n\x1a\n\0\0", r"byte 0 \(0x89\) is not UTF-8", "iconv"),
        (b"ab\0\xff", "is binary, not text: byte 2 is 0", ""),
    ],
)
def test_what_is_no_text(content: bytes, told: str, hint: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"bad\.txt: {told}") as found:
        read(path)
    assert hint in found.value.hint


def test_the_place_of_a_bad_byte_is_that_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_file, "CHUNK", 64)
    path = tmp_path / "a.txt"
    path.write_bytes(b"some words\n" * 100 + b"\xe9 more\n")
    with pytest.raises(DataError, match=r"byte 1,100 \(0xe9\)"):
        list(documents(path))


def test_damaged_gzip(tmp_path: Path) -> None:
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"abc" * 1000)[:-12])
    with pytest.raises(DataError, match="cannot be read"):
        read(path)


def test_folders_label_by_sub_folder(tmp_path: Path) -> None:
    for name, text in {
        "a/x.txt": "one",
        "b/deep/y.md": "two",
        "z.txt": "three",
        "e.txt": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden/no.txt").write_text("no")
    assert read(tmp_path) == [
        {"text": "one", "file": "a/x.txt", "label": "a"},
        {"text": "two", "file": "b/deep/y.md", "label": "b"},
        {"text": "three", "file": "z.txt", "label": None},
    ]


def test_a_flat_folder_has_no_labels(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("one")
    assert read(tmp_path) == [{"text": "one", "file": "x.txt"}]


def test_a_folder_of_empty_files(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(DataError, match="all 1 text files are empty"):
        read(tmp_path)


def test_one_bad_file_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("fine")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"b\.txt: is UTF-16"):
        read(tmp_path)


def test_tables_by_their_column(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"content": "one", "n": 1}\n{"content": null, "n": 2}\n')
    assert read(path) == [{"text": "one", "n": 1}, {"text": None, "n": 2}]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    batch = pa.RecordBatch.from_pydict({"text": ["one\ntwo", "three"]})
    for name in ("a.txt", "a.txt.gz"):
        with Sink(tmp_path / name, batch.schema, TextDomain().formats()) as sink:
            sink.write(batch)
        assert read(tmp_path / name)[0]["text"] == "one\ntwo\n\nthree\n"
    with pytest.raises(DataError, match="needs a column 'text'"):
        TextFile().open_writer(tmp_path / "b.txt", pa.schema([("a", pa.int64())]))
