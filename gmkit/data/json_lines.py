"""JSON lines: ``.jsonl`` and ``.ndjson``, plain or gzip-compressed, UTF-8, one object a line.

JSON has no dates: strings stay strings, whatever they look like. Names and types are unified over
the whole file in one pass when it is opened.
"""

from __future__ import annotations

import codecs
import datetime
import gzip
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.json as pj

from gmkit.data.faults import readable
from gmkit.errors import DataError

CHUNK_BYTES = 8 << 20
"""Parsed at a time, cut after a line."""
LINE_BYTES = 256 << 20
"""A longer line is refused."""


@dataclass(frozen=True)
class JsonLines:
    """One JSON object a line; a key that a line lacks is a missing value."""

    gzip: bool = False

    def schema(self, path: Path) -> pa.Schema:
        """Every key of the file with a type that holds all its values."""
        return self._survey(path)[0]

    def count(self, path: Path) -> int | None:
        """Rows, counted when the types were inferred."""
        return self._survey(path)[1]

    def read(
        self, path: Path, columns: Sequence[str] | None, batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Records in order."""
        schema, _ = self._survey(path)
        names = schema.names if columns is None else list(columns)
        with readable(path):
            for line, chunk in _chunks(path, self.gzip):
                table = _parse(path, line, chunk, schema).select(names)
                yield from table.to_batches(max_chunksize=batch_rows)

    def open_writer(self, path: Path, schema: pa.Schema) -> JsonLinesWriter:
        """A writer of one object a line."""
        return JsonLinesWriter(path, schema, self.gzip)

    def _survey(self, path: Path) -> tuple[pa.Schema, int]:
        with readable(path):
            facts = path.stat()
            return _survey(path, facts.st_mtime_ns, facts.st_size, self.gzip)


class JsonLinesWriter:
    """Writes dates, times and decimals as strings, NaN as null."""

    def __init__(self, path: Path, schema: pa.Schema, zipped: bool) -> None:
        """Raises DataError for bytes, which JSON cannot hold."""
        for field in schema:
            if _holds_bytes(field.type):
                raise DataError(
                    f"a value of type {field.type} cannot be written as JSON",
                    column=field.name,
                    hint="Write .parquet instead.",
                )
        # mtime 0: the same records give the same bytes.
        self._raw = path.open("wb")
        self._file: IO[bytes] = (
            gzip.GzipFile(filename="", fileobj=self._raw, mode="wb", mtime=0)  # type: ignore[assignment]
            if zipped
            else self._raw
        )

    def write(self, batch: pa.RecordBatch) -> None:
        """Append records. Raises DataError for an infinite value."""
        lines = [_line(row) for row in batch.to_pylist()]
        if lines:
            self._file.write(("\n".join(lines) + "\n").encode())

    def close(self) -> None:
        """Complete the file."""
        try:
            self._file.close()
        finally:
            self._raw.close()


@lru_cache(maxsize=64)
def _survey(path: Path, mtime_ns: int, size: int, zipped: bool) -> tuple[pa.Schema, int]:
    schema, rows = pa.schema([]), 0
    for line, chunk in _chunks(path, zipped):
        table = _parse(path, line, chunk, None)
        found = pa.schema([field.with_type(_undated(field.type)) for field in table.schema])
        try:
            schema = pa.unify_schemas([schema, found], promote_options="permissive")
        except pa.ArrowException as fault:
            raise DataError(
                f"from line {line} on a key has another type than before: {fault}", file=str(path)
            ) from fault
        rows += table.num_rows
    if not rows and not schema.names:
        raise DataError("is empty", file=str(path))
    return schema, rows


def _chunks(path: Path, zipped: bool) -> Iterator[tuple[int, bytes]]:
    """Whole lines of about CHUNK_BYTES together, each chunk with the number of its first line."""
    line, offset, rest = 1, 0, b""
    with gzip.open(path, "rb") if zipped else path.open("rb") as file:
        while True:
            block = file.read(CHUNK_BYTES)
            if offset == 0 and not rest:
                block = block.removeprefix(codecs.BOM_UTF8)
            rest += block
            cut = rest.rfind(b"\n") + 1 if block else len(rest)
            chunk, rest = rest[:cut], rest[cut:]
            if len(rest) > LINE_BYTES:
                raise DataError(f"line {line} is over {LINE_BYTES >> 20} MB", file=str(path))
            _check_encoding(path, chunk, offset)
            if chunk.strip():
                yield line, chunk
            line += chunk.count(b"\n")
            offset += len(chunk)
            if not block:
                return


def _check_encoding(path: Path, chunk: bytes, offset: int) -> None:
    try:
        chunk.decode()
    except UnicodeDecodeError as fault:
        raise DataError(
            f"byte 0x{chunk[fault.start]:02X} at offset {offset + fault.start} is not UTF-8",
            file=str(path),
            hint=f"Save it as UTF-8, for example: iconv -f latin1 -t utf-8 {path.name} > new.jsonl",
        ) from None


def _parse(path: Path, line: int, chunk: bytes, schema: pa.Schema | None) -> pa.Table:
    try:
        return pj.read_json(
            pa.py_buffer(chunk),
            pj.ReadOptions(use_threads=False, block_size=len(chunk) + 1),
            pj.ParseOptions(
                explicit_schema=schema,
                unexpected_field_behavior="infer" if schema is None else "error",
            ),
        )
    except pa.ArrowInvalid as fault:
        raise _located(path, line, chunk, fault) from fault


def _located(path: Path, first: int, chunk: bytes, fault: pa.ArrowInvalid) -> DataError:
    """Name the line at fault: one that is no JSON object, else what pyarrow says."""
    for number, text in enumerate(chunk.splitlines(), first):
        if not text.strip():
            continue
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as problem:
            return DataError(f"line {number} is not JSON: {problem}", file=str(path))
        if not isinstance(value, dict):
            return DataError(
                f"line {number} is a JSON {type(value).__name__}, not an object",
                file=str(path),
                hint='Each line must be an object: {"name": value, …}.',
            )
    said = str(fault).removeprefix("JSON parse error: ")
    return DataError(f"in the lines from {first} on: {said}", file=str(path))


def _undated(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_undated(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_undated(field.type)) for field in kind])
    return kind


def _holds_bytes(kind: pa.DataType) -> bool:
    tests = (
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_fixed_size_binary,
        pa.types.is_binary_view,
    )
    if any(test(kind) for test in tests):
        return True
    if pa.types.is_dictionary(kind):
        return _holds_bytes(kind.value_type)
    return any(_holds_bytes(kind.field(i).type) for i in range(kind.num_fields))


def _line(row: dict[str, Any]) -> str:
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False, default=_plain)
    except ValueError:
        finite = {name: _finite(value, name) for name, value in row.items()}
        return json.dumps(finite, ensure_ascii=False, default=_plain)


def _finite(value: Any, column: str) -> Any:
    if isinstance(value, float) and math.isinf(value):
        raise DataError(
            "an infinite value cannot be written as JSON",
            column=column,
            hint="Write .parquet or .csv instead.",
        )
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(part, column) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part, column) for part in value]
    return value


def _plain(value: Any) -> Any:
    dated = isinstance(value, (datetime.date, datetime.time))
    return value.isoformat() if dated else str(value)
