"""The most abnormal records, kept while others pass."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmkit.data.arrow_arrays import arrow_array


class Oddest:
    """Of all records added so far the ``count`` with the highest scores; of equals the earlier."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.first: pa.RecordBatch | None = None
        """The first batch, for a look at its columns."""
        self.rows: list[int] = []
        """Places in the source, highest score first,"""
        self.records: pa.RecordBatch | None = None
        """the records there, as they were judged,"""
        self.names: pa.RecordBatch | None = None
        """and what they are called."""
        self._scores = np.empty(0)

    def add(
        self,
        begin: int,
        records: pa.RecordBatch,
        scores: NDArray[np.float64],
        names: pa.RecordBatch | None = None,
    ) -> None:
        """``records``, of which the first is in row ``begin``; NaN of those without a score."""
        if self.first is None:
            self.first, self.records = records, records.slice(0, 0)
            self.names = None if names is None else names.slice(0, 0)
        least = self._scores[-1] if len(self.rows) == self._count else -np.inf
        found = np.flatnonzero(scores > least)  # False for NaN
        if not len(found):
            return
        found = found[np.argsort(-scores[found], kind="stable")][: self._count]
        both = np.concatenate([self._scores, scores[found]])
        order = np.argsort(-both, kind="stable")[: self._count]
        places = [*self.rows, *(begin + found).tolist()]
        self.records = _joined(self.records, records, found, order)
        self.names = _joined(self.names, names, found, order)
        self.rows = [places[i] for i in order.tolist()]
        self._scores = both[order]


def _joined(
    kept: pa.RecordBatch | None,
    new: pa.RecordBatch | None,
    found: NDArray[np.int64],
    order: NDArray[np.int64],
) -> pa.RecordBatch | None:
    """What is kept and the ``found`` of the new, of these those of ``order``."""
    if kept is None or new is None:
        return None
    return pa.concat_batches([kept, new.take(arrow_array(found))]).take(arrow_array(order))
