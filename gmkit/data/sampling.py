"""A fair sample of a source's rows, in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import pyarrow as pa

from gmkit.data.arrow_arrays import arrow_array
from gmkit.observer import Observer
from gmkit.seeds import derive


class Rows(Protocol):
    """What is sampled: a ``Source``, or what stands before one."""

    @property
    def schema(self) -> pa.Schema:
        """Of every batch."""

    def count(self) -> int | None:
        """Rows, where they are known."""

    def batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        """All of them, so many at a time."""


def sampled_rows(
    source: Rows,
    limit: int,
    seed: int,
    observer: Observer,
    pick: Callable[[pa.RecordBatch, float], np.ndarray] | None = None,
) -> pa.Table:
    """All rows, or about ``limit`` of them at random, in their order. ``pick``: (rows, share) →
    which to take, where rows must not be chosen one by one."""
    total = source.count()
    rng = np.random.default_rng(derive(seed, "rows"))
    chosen = None
    if total is not None and total > limit and pick is None:
        chosen = np.sort(rng.choice(total, limit, replace=False))
    parts: list[pa.RecordBatch] = []
    begin = 0
    for batch in source.batches(65_536):
        end = begin + len(batch)
        if chosen is not None:
            low, high = np.searchsorted(chosen, [begin, end])
            batch = batch.take(arrow_array(chosen[low:high] - begin))
        elif pick is not None and total is not None and total > limit:
            batch = batch.filter(arrow_array(pick(batch, limit / total)))
        parts.append(batch)
        begin = end
        observer.advance(begin, total)
    table = pa.Table.from_batches(parts, source.schema)
    if table.num_rows > limit and pick is None:  # a format that does not know its number of rows
        rows = np.sort(rng.choice(table.num_rows, limit, replace=False))
        table = table.take(arrow_array(rows))
    return table
