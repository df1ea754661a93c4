"""A column in one piece."""

from __future__ import annotations

import pyarrow as pa

from gmkit.codecs.tables.numbers import plain_column


def whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The same values, as one array."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    joined = column.combine_chunks()
    if isinstance(joined, pa.ChunkedArray):  # too large for one, or none at all
        joined = pa.concat_arrays(joined.chunks) if joined.num_chunks else pa.nulls(0, column.type)
    return joined


def plain_whole(rows: pa.RecordBatch | pa.Table, name: str) -> pa.Array:
    """A column's plain values, as one array."""
    return plain_column(whole(rows.column(name)))
