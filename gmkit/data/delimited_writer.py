"""Writing delimited text so that it reads back as the same values."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as compute
import pyarrow.csv as pc

from gmkit.errors import DataError

NULLS = ["", "#N/A", "#N/A N/A", "#NA", "N/A", "NA", "NULL", "n/a", "null"]
"""Unquoted values read as missing. NaN is not among them: it is a value of real columns."""


class DelimitedWriter:
    """A header line, then records; strings are quoted in batches where one needs it."""

    def __init__(self, path: Path, schema: pa.Schema, delimiter: str, gzip: bool) -> None:
        """Raises DataError for a type that text cannot hold."""
        self._schema = pa.schema([_text_field(field) for field in schema])
        self._special = f'["\\r\\n{delimiter}]|^$|^({"|".join(NULLS[1:])})$'
        self._stream = pa.output_stream(str(path), compression="gzip" if gzip else None)
        header = delimiter.join(_quoted(name) for name in schema.names) + "\n"
        self._stream.write(header.encode())
        # A lone missing value would be an empty line, which readers skip.
        null = "NA" if len(schema) == 1 else ""
        self._writers = {
            style: pc.CSVWriter(
                self._stream,
                self._schema,
                write_options=pc.WriteOptions(
                    include_header=False, delimiter=delimiter, quoting_style=style, null_string=null
                ),
            )
            for style in ("none", "needed")
        }

    def write(self, batch: pa.RecordBatch) -> None:
        """Append records."""
        batch = batch.cast(self._schema)
        quote = any(self._needs_quotes(column) for column in batch.columns)
        self._writers["needed" if quote else "none"].write_batch(batch)

    def close(self) -> None:
        """Complete the file."""
        for writer in self._writers.values():
            writer.close()
        self._stream.close()

    def _needs_quotes(self, column: pa.Array) -> bool:
        if not _is_text(column.type):
            return False
        found = compute.any(compute.match_substring_regex(column, self._special)).as_py()
        return bool(found)


def _quoted(name: str) -> str:
    """A column name that neither readers nor the search for the delimiter can mistake."""
    return name if re.fullmatch(r'[^",;\t|\r\n]+', name) else '"' + name.replace('"', '""') + '"'


def _text_field(field: pa.Field) -> pa.Field:
    """The field as pyarrow's writer takes it."""
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_string_view(kind):
        kind = pa.large_string()
    unfit = (pa.types.is_nested, pa.types.is_binary, pa.types.is_large_binary)
    fixed = pa.types.is_fixed_size_binary(kind) or pa.types.is_binary_view(kind)
    extension = isinstance(kind, pa.BaseExtensionType)
    if fixed or extension or any(test(kind) for test in unfit):
        raise DataError(
            f"a value of type {kind} cannot be written as delimited text",
            column=field.name,
            hint="Write .parquet instead.",
        )
    return field.with_type(kind)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
