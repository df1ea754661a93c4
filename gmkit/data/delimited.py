"""Delimited text: ``.csv`` and ``.tsv``, plain or gzip-compressed, UTF-8.

Types are inferred from the whole file, not its first block: a column of whole numbers with one 3.5
at the end is a column of reals. That costs one pass when the file is opened, in which encoding and
quotes are checked as well; the second pass, the reading, then cannot meet a surprise.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.csv as pc

from gmkit.data.delimited_writer import NULLS, DelimitedWriter
from gmkit.data.faults import readable
from gmkit.errors import DataError

BLOCK_BYTES = 16 << 20
"""Read at a time; no record may be longer."""
DELIMITERS = ",;\t|"
_WIDER = {pa.null(): pa.int64(), pa.int64(): pa.float64()}
_CONVERSION = re.compile(r"In CSV column #(\d+): ")


@dataclass(frozen=True)
class Delimited:
    """``delimiter``: empty to find it among comma, semicolon, tab and bar."""

    delimiter: str = ""
    gzip: bool = False

    def schema(self, path: Path) -> pa.Schema:
        """Names by the first line, types by all values. Raises DataError as the module says."""
        return self._survey(path).schema

    def count(self, path: Path) -> int | None:
        """Rows, counted when the types were inferred."""
        return self._survey(path).rows

    def read(
        self, path: Path, columns: Sequence[str] | None, batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Records in order."""
        survey = self._survey(path)
        names = survey.schema.names if columns is None else list(columns)
        with readable(path), _parser(path, self.gzip, survey.delimiter, survey.schema, names) as p:
            for batch in p:
                for start in range(0, batch.num_rows, batch_rows):
                    yield batch.slice(start, batch_rows)

    def open_writer(self, path: Path, schema: pa.Schema) -> DelimitedWriter:
        """A writer with commas, or tabs for ``.tsv``."""
        return DelimitedWriter(path, schema, self.delimiter or ",", self.gzip)

    def _survey(self, path: Path) -> Survey:
        with readable(path):
            facts = path.stat()
            return _survey(path, facts.st_mtime_ns, facts.st_size, self.delimiter, self.gzip)


@dataclass(frozen=True)
class Survey:
    """What one pass over a file told."""

    delimiter: str
    schema: pa.Schema
    rows: int


@lru_cache(maxsize=64)
def _survey(path: Path, mtime_ns: int, size: int, delimiter: str, zipped: bool) -> Survey:
    odd_quotes = _check_bytes(path, zipped)
    if not delimiter:
        with _text(path, zipped) as text:
            delimiter = sniff(text.read(1 << 16))
    if odd_quotes:
        _locate(path, zipped, delimiter)
    types: dict[str, pa.DataType] = {}
    while True:
        try:
            schema, rows = _infer(path, zipped, delimiter, types)
            return Survey(delimiter, schema, rows)
        except pa.ArrowInvalid as fault:
            _widen(types, fault, path, zipped, delimiter)


def _infer(
    path: Path, zipped: bool, delimiter: str, types: dict[str, pa.DataType]
) -> tuple[pa.Schema, int]:
    """One pass; ``types`` receives what the first block suggests for columns not yet in it."""
    with _parser(path, zipped, delimiter, types) as parser:
        names = parser.schema.names
        double = [name for name, times in Counter(names).items() if times > 1]
        if double:
            raise DataError(
                f"{len(double)} column name(s) occur more than once: {double[:5]}",
                file=str(path),
                column=double[0],
                hint="Rename them in the first line.",
            )
        types.update(zip(names, parser.schema.types, strict=True))
        return parser.schema, sum(batch.num_rows for batch in parser)


def _widen(
    types: dict[str, pa.DataType], fault: pa.ArrowInvalid, path: Path, zipped: bool, delimiter: str
) -> None:
    """Give the column that failed a type that holds more; anything else is told."""
    match = _CONVERSION.match(str(fault))
    name = list(types)[int(match[1])] if match and int(match[1]) < len(types) else None
    if name is None or types[name] == pa.string():
        _locate(path, zipped, delimiter)
        raise fault
    types[name] = _WIDER.get(types[name], pa.string())


@contextmanager
def _parser(
    path: Path,
    zipped: bool,
    delimiter: str,
    types: pa.Schema | dict[str, pa.DataType],
    names: Sequence[str] = (),
) -> Iterator[pc.CSVStreamingReader]:
    with pa.input_stream(str(path), compression="gzip" if zipped else None) as stream:
        parser = pc.open_csv(
            stream,
            pc.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
            pc.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            pc.ConvertOptions(
                column_types=types,
                include_columns=list(names),
                null_values=NULLS,
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        with parser:
            yield parser


def sniff(head: str) -> str:
    """The delimiter with which most records are as wide as the first, the widest of equals."""
    whole = head[: head.rfind("\n") + 1] or head

    def fit(delimiter: str) -> tuple[float, int]:
        try:
            rows = [row for row in csv.reader(io.StringIO(whole), delimiter=delimiter) if row]
        except csv.Error:
            return 0.0, 0
        width = len(rows[0]) if rows else 0
        if width < 2:
            return 0.0, 0
        return sum(len(row) == width for row in rows) / len(rows), width

    return max(DELIMITERS, key=fit)


def _bytes(path: Path, zipped: bool) -> IO[bytes]:
    return gzip.open(path, "rb") if zipped else path.open("rb")  # type: ignore[return-value]


def _text(path: Path, zipped: bool) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        _bytes(path, zipped), encoding="utf-8-sig", errors="replace", newline=""
    )


def _check_bytes(path: Path, zipped: bool) -> bool:
    """Refuse empty files and other encodings; return whether the number of quotes is odd."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = quotes = 0
    blank = True
    with _bytes(path, zipped) as file:
        while block := file.read(1 << 20):
            if offset == 0 and block[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                raise _encoding(path, "is UTF-16 (byte order mark at byte 0)", "utf-16")
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(block)
            except UnicodeDecodeError as fault:
                where = offset - pending + fault.start
                byte = fault.object[fault.start]
                raise _encoding(
                    path, f"byte 0x{byte:02X} at offset {where} is not UTF-8", "latin1"
                ) from None
            blank = blank and not block.removeprefix(codecs.BOM_UTF8).strip()
            quotes += block.count(b'"')
            offset += len(block)
    if decoder.getstate()[0]:
        raise _encoding(path, f"ends within a UTF-8 character at offset {offset}", "utf-8")
    if blank:
        raise DataError("is empty", file=str(path))
    return quotes % 2 == 1


def _encoding(path: Path, message: str, likely: str) -> DataError:
    return DataError(
        message,
        file=str(path),
        hint=f"Save it as UTF-8, for example: iconv -f {likely} -t utf-8 {path.name} > new.csv",
    )


def _locate(path: Path, zipped: bool, delimiter: str) -> None:
    """Raise DataError with the line of the first ragged row or open quote; return if none."""
    with _text(path, zipped) as text:
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        width, start = 0, 1
        try:
            for row in reader:
                width = width or len(row)
                if row and len(row) != width:
                    raise DataError(
                        f"line {start} has {len(row)} fields where the first has {width}",
                        file=str(path),
                        hint=f"Fields are separated by {delimiter!r}; quote those that hold one.",
                    )
                start = reader.line_num + 1
        except csv.Error as fault:
            if "unexpected end of data" in str(fault):
                raise DataError(
                    f"the quote opened in line {start} is never closed", file=str(path)
                ) from None
