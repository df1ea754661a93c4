"""A source that is read several times, from memory after the first where that is little."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from gmkit.data.source import Source

MOST = 160 << 20
"""Bytes."""


def kept(source: Source, most: int = MOST) -> Source:
    """The same records; up to ``most`` bytes of them stay once they were read to the end."""
    held: list[pa.RecordBatch] = []
    whole = False

    def read(rows: int) -> Iterator[pa.RecordBatch]:
        nonlocal whole
        if whole:
            for batch in held:
                for begin in range(0, len(batch), rows):
                    yield batch.slice(begin, rows)
            return
        held.clear()
        size = 0
        for batch in source.batches(rows):
            size += batch.nbytes
            if size <= most:
                held.append(batch)
            yield batch
        whole = size <= most
        if not whole:
            held.clear()

    return Source(source.name, source.schema, read, files=source.files, count=source.count())
