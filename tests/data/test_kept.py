"""A source that is read several times."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from gmkit.data.kept import kept
from gmkit.data.source import Source


def counted(rows: int) -> tuple[Source, list[int]]:
    table = pa.table({"x": list(range(rows))})
    reads: list[int] = []

    def read(size: int) -> Iterator[pa.RecordBatch]:
        reads.append(size)
        yield from table.to_batches(max_chunksize=size)

    return Source("made", table.schema, read, count=rows), reads


def numbers(source: Source, size: int) -> list[list[int]]:
    return [batch.column(0).to_pylist() for batch in source.batches(size)]


def test_what_is_little_is_read_once() -> None:
    source, reads = counted(100)
    again = kept(source)
    assert numbers(again, 40) == numbers(source, 40)
    reads.clear()
    for size in (7, 40, 64, 1000):
        assert numbers(again, size) == numbers(source, size)
    assert len(reads) == 4  # the source's own


def test_what_is_much_is_read_again_and_a_broken_off_reading_counts_for_nothing() -> None:
    source, reads = counted(100)
    again = kept(source, most=300)
    assert numbers(again, 40) == numbers(again, 40) == numbers(source, 40)
    assert len(reads) == 3
    again = kept(source)
    next(again.batches(40))
    assert numbers(again, 40) == numbers(source, 40)
