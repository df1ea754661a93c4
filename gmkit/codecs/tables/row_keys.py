"""What makes two rows the same."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from gmkit.codecs.tables.numbers import plain_column

_BETWEEN, _MISSING = b"\x1f", b"\x00"


def row_keys(records: pa.RecordBatch) -> pa.Array:
    """Bytes (N,), equal for rows whose values are all equal."""
    texts = [_text(plain_column(column)) for column in records.columns]
    between = pa.scalar(_BETWEEN, pa.large_binary())
    return pc.binary_join_element_wise(
        *texts, between, null_handling="replace", null_replacement=_MISSING
    )


def _text(column: pa.Array) -> pa.Array:
    if pa.types.is_large_binary(column.type):
        return column
    if pa.types.is_binary(column.type) or pa.types.is_fixed_size_binary(column.type):
        return column.cast(pa.large_binary())
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), pa.large_binary())
    if pa.types.is_float16(column.type):
        column = column.cast(pa.float32())
    return column.cast(pa.large_string()).cast(pa.large_binary())
