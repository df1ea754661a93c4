"""What codecs of sequences share: their column of text, and their stored counts of lengths."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from gmkit.errors import ArtifactError, DataError


def text_column(records: pa.RecordBatch, name: str, what: str) -> list[str | None]:
    """The column ``name`` as strings; ``what`` it should hold is for the message. Raises DataError
    when it is missing or no text."""
    hint = f"Name the column that holds {what}: --column NAME."
    if name not in records.schema.names:
        known = ", ".join(records.schema.names) or "none"
        raise DataError(f"no column {name!r} among {known}", hint=hint)
    column = records.column(name)
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
        raise DataError(f"holds {kind}, not text", column=name, hint=hint)
    texts: list[str | None] = column.to_pylist()
    return texts


def length_counts(counts: Any, length: int, what: str) -> list[int]:
    """How many of ``what`` have 0 … ``length`` tokens, as stored. Raises ArtifactError."""
    if not isinstance(counts, list) or len(counts) != length + 1:
        raise ArtifactError(f"lengths are not counts of 0 … {length} tokens")
    if not all(type(count) is int and 0 <= count < 2**53 for count in counts) or not any(counts):
        raise ArtifactError(f"lengths are not counts of {what}")
    return counts
