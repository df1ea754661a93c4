"""A fair sample of a source's rows, in memory."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from gmkit.data.source import Source
from gmkit.observer import Observer
from gmkit.randomness import derive


def sampled_rows(source: Source, limit: int, seed: int, observer: Observer) -> pa.Table:
    """All rows, or ``limit`` of them at random, in their order."""
    total = source.count()
    rng = np.random.default_rng(derive(seed, "rows"))
    chosen = None
    if total is not None and total > limit:
        chosen = np.sort(rng.choice(total, limit, replace=False))
    parts: list[pa.RecordBatch] = []
    begin = 0
    for batch in source.batches(65_536):
        end = begin + len(batch)
        if chosen is not None:
            low, high = np.searchsorted(chosen, [begin, end])
            batch = batch.take(pa.array(chosen[low:high] - begin))
        parts.append(batch)
        begin = end
        observer.advance(begin, total)
    table = pa.Table.from_batches(parts, source.schema)
    if table.num_rows > limit:  # a format that does not know its number of rows
        rows = np.sort(rng.choice(table.num_rows, limit, replace=False))
        table = table.take(pa.array(rows))
    return table
