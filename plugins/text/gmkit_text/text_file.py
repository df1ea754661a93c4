"""Text files: a document each, or for large ones a document for each megabyte or so.

UTF-8 alone is read. What is not is told with the byte at which it begins, for a text read in the
wrong encoding trains a model of nonsense.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa

from gmkit.errors import DataError

CHUNK = 1 << 20
"""Bytes of a document from which a longer file is cut, at the end of a line where there is one."""
_LINE = 1 << 16
"""Bytes that are looked through for that end."""
_SCHEMA = pa.schema([("text", pa.string()), ("file", pa.string())])
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""What some files begin with, longest first."""


@dataclass(frozen=True)
class TextFile:
    """The format of ``.txt`` and ``.md``, with ``gz`` inside gzip: ``text`` and ``file``."""

    gz: bool = False

    def schema(self, path: Path) -> pa.Schema:
        """``text`` and the file's name."""
        return _SCHEMA

    def count(self, path: Path) -> int | None:
        """Unknown before reading."""
        return None

    def read(
        self, path: Path, columns: Sequence[str] | None, batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        """A record for each document; line ends become ``\\n``."""
        for text in documents(path, gz=self.gz):
            batch = pa.RecordBatch.from_arrays([[text], [path.name]], schema=_SCHEMA)
            yield batch if columns is None else batch.select(list(columns))

    def open_writer(self, path: Path, schema: pa.Schema) -> TextWriter:
        """Writes the column ``text``. Raises DataError when there is none."""
        if "text" not in schema.names:
            raise DataError(
                "a text file needs a column 'text'",
                file=str(path),
                hint="Write .parquet or .jsonl, which hold any columns.",
            )
        return TextWriter(path, gz=self.gz)


class TextWriter:
    """Texts one after the other, a blank line between; .jsonl keeps exactly where each ends."""

    def __init__(self, path: Path, *, gz: bool) -> None:
        self._file = path.open("wb")
        self._out: IO[bytes] | gzip.GzipFile = self._file
        if gz:  # no name and no time in the header
            self._out = gzip.GzipFile(filename="", mode="wb", fileobj=self._file, mtime=0)
        self._any = False

    def write(self, batch: pa.RecordBatch) -> None:
        """Append records."""
        for text in batch.column("text").to_pylist():
            gap = "\n\n" if self._any else ""
            self._out.write(f"{gap}{text or ''}".encode())
            self._any = True

    def close(self) -> None:
        """Complete the file."""
        try:
            if self._any:
                self._out.write(b"\n")
            self._out.close()
        finally:
            self._file.close()


def documents(path: Path, *, gz: bool = False) -> Iterator[str]:
    """The texts of a file in flat memory. Raises DataError naming the byte that is no text."""
    offset, found = 0, False
    with ExitStack() as stack:
        try:
            file: IO[bytes] = stack.enter_context(path.open("rb"))
            if gz:
                file = stack.enter_context(gzip.GzipFile(fileobj=file))  # type: ignore[arg-type]
            while raw := _chunk(file):
                text = _decoded(raw, offset, path)
                offset += len(raw)
                if text.strip():
                    found = True
                    yield text
        except (EOFError, zlib.error, OSError) as error:
            raise DataError(f"cannot be read: {error}", file=str(path)) from error
    if not found:
        raise DataError("is empty" if not offset else "holds only blanks", file=str(path))


def _chunk(file: IO[bytes]) -> bytes:
    """The next document's bytes: up to the line's end where that is near, else to the end of a
    character."""
    raw = file.read(CHUNK)
    if len(raw) < CHUNK:
        return raw
    raw += file.readline(_LINE)
    for back in range(1, 4):  # a character that has begun, and how many bytes it wants
        lead = raw[-back]
        if lead & 0xC0 == 0xC0:
            wanted = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
            return raw + file.read(max(0, wanted - back))
        if lead < 0x80:
            break
    return raw


def _decoded(raw: bytes, offset: int, path: Path) -> str:
    """Text of bytes that begin at ``offset`` of the file. Raises DataError."""
    if not offset:
        for mark, name in _MARKS.items():
            if raw.startswith(mark):
                raise DataError(
                    f"is {name} text, expected UTF-8", file=str(path), hint=_convert(path, name)
                )
    zero = raw.find(b"\0")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        if 0 <= zero < error.start:
            raise _binary(path, offset + zero) from error
        byte = raw[error.start]
        raise DataError(
            f"byte {offset + error.start:,} (0x{byte:02x}) is not UTF-8 text",
            file=str(path),
            hint=_convert(path, "WINDOWS-1252") + " (if that is its encoding)",
        ) from error
    if zero >= 0:
        raise _binary(path, offset + zero)
    text = text if offset else text.removeprefix("\ufeff")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _binary(path: Path, place: int) -> DataError:
    return DataError(
        f"is binary, not text: byte {place:,} is 0",
        file=str(path),
        hint="Give text files; tables are .parquet, .csv or .jsonl.",
    )


def _convert(path: Path, encoding: str) -> str:
    return f"Convert it: iconv -f {encoding} -t UTF-8 {path.name} > utf8-{path.name}"
