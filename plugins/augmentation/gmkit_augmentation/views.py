"""Tables with Arrow's view types, of which rows cannot be taken yet: read as the plain types,
written as what they were."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from gmkit.codecs.tables.numbers import plain_column
from gmkit.data.source import Source


def workable(schema: pa.Schema) -> pa.Schema:
    """The schema with large strings and binaries in place of views."""
    for place, field in enumerate(schema):
        if (kind := _plain(field.type)) is not None:
            schema = schema.set(place, field.with_type(kind))
    return schema


def _plain(kind: pa.DataType) -> pa.DataType | None:
    if pa.types.is_dictionary(kind):
        values = _plain(kind.value_type)
        return values and pa.dictionary(kind.index_type, values, kind.ordered)
    if pa.types.is_string_view(kind):
        return pa.large_string()
    return pa.large_binary() if pa.types.is_binary_view(kind) else None


class Workable:
    """A source whose batches have the workable schema."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.name = source.name
        self.stored = source.schema
        self.schema = workable(source.schema)

    def count(self) -> int | None:
        """Rows, where that is known."""
        return self._source.count()

    def batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        """As the source's."""
        for batch in self._source.batches(rows):
            yield converted(batch, self.schema)


def converted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The same values in the types of ``schema``."""
    columns = []
    for column, field in zip(batch.columns, schema, strict=True):
        if not column.type.equals(field.type):
            plain = plain_column(column)
            kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
            if pa.types.is_dictionary(field.type):
                coded = plain.dictionary_encode()
                column = pa.DictionaryArray.from_arrays(
                    coded.indices.cast(field.type.index_type),
                    coded.dictionary.cast(kind),
                    ordered=field.type.ordered,
                )
            else:
                column = plain.cast(kind)
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=schema)
