"""The guard against copies: a synthetic row that is one single row of the data is drawn again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from gmkit_augmentation.row_keys import row_keys

ROUNDS = 10
"""Attempts for a row; a table of few possible rows has no others."""


class CopyGuard:
    """Knows the rows that occur once in the data. What occurs often tells of nobody."""

    def __init__(self, rows: pa.Table) -> None:
        counts: Counter[bytes] = Counter()
        for batch in rows.to_batches():
            counts.update(row_keys(batch).to_pylist())
        self._single = {key for key, count in counts.items() if count == 1}
        self.redrawn = 0
        """Copies that another row was drawn for."""
        self.left = 0
        """Copies that stayed, for only copies were drawn in their place."""

    def kept(self, batch: pa.RecordBatch, fresh: Iterator[pa.RecordBatch]) -> pa.RecordBatch:
        """As many rows, copies replaced by rows of ``fresh``."""
        copies = self._copies(batch)
        if not copies.any():
            return batch
        place = np.flatnonzero(copies)
        spare: list[pa.RecordBatch] = []
        found = 0
        for _ in range(ROUNDS):
            others = next(fresh)
            proper = others.filter(pa.array(~self._copies(others)))
            spare.append(proper.slice(0, len(place) - found))
            found += len(spare[-1])
            if found == len(place):
                break
        self.redrawn += found
        self.left += len(place) - found
        order = np.arange(len(batch))
        order[place[:found]] = len(batch) + np.arange(found)
        together = pa.Table.from_batches([batch, *spare]).take(pa.array(order))
        return together.combine_chunks().to_batches()[0]

    def _copies(self, batch: pa.RecordBatch) -> np.ndarray:
        return np.fromiter((k in self._single for k in row_keys(batch).to_pylist()), bool, len(batch))
