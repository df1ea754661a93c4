"""What a synthetic row must be: no copy of a single row of the data, and within all rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from gmkit.codecs.tables.columns import Column, Identifier, Text
from gmkit.codecs.tables.row_keys import row_keys
from gmkit_augmentation.conditions import Condition, Mask, all_of
from gmkit_augmentation.rules import Rules

ROUNDS = 20
"""Attempts for a row; a table of few possible rows has no others."""


class Guard:
    """Draws again what must not stay. What occurs often in the data is a copy of nobody."""

    def __init__(
        self,
        rows: pa.Table,
        columns: dict[str, Column],
        rules: Rules,
        conditions: Sequence[Condition] = (),
        fixed: frozenset[str] = frozenset(),
    ) -> None:
        """``conditions``: that every row must meet. ``fixed``: columns that no rule may change."""
        self.rules, self.conditions, self.fixed = rules, conditions, fixed
        # identifiers and texts are no part of what is learned: alike without them is alike
        self._told = [n for n, c in columns.items() if not isinstance(c, Identifier | Text)]
        counts: Counter[bytes] = Counter()
        for batch in rows.to_batches() if self._told else ():
            counts.update(self._keys(batch))
        self._single = {key for key, count in counts.items() if count == 1}
        self.copies_redrawn = self.copies_left = 0
        self.breaches_redrawn = self.breaches_left = 0

    def kept(self, batch: pa.RecordBatch, fresh: Iterator[pa.RecordBatch]) -> pa.RecordBatch:
        """As many rows; those that must not stay replaced by rows of ``fresh``. What is still
        there after ``ROUNDS`` stays and is counted."""
        batch = self.rules.repaired(batch, self.fixed)
        copies, breaches = self._faults(batch)
        wrong = copies | breaches
        if not wrong.any():
            return batch
        place = np.flatnonzero(breaches).tolist() + np.flatnonzero(copies & ~breaches).tolist()
        spare: list[pa.RecordBatch] = []
        found = 0
        for _ in range(ROUNDS):
            others = self.rules.repaired(next(fresh), self.fixed)
            proper = others.filter(pa.array(~np.logical_or(*self._faults(others))))
            spare.append(proper.slice(0, len(place) - found))
            found += len(spare[-1])
            if found == len(place):
                break
        healed = np.zeros(len(batch), bool)
        healed[place[:found]] = True
        self.copies_redrawn += int((healed & copies).sum())
        self.copies_left += int((~healed & copies).sum())
        self.breaches_redrawn += int((healed & breaches).sum())
        self.breaches_left += int((~healed & breaches).sum())
        order = np.arange(len(batch))
        order[place[:found]] = len(batch) + np.arange(found)
        together = pa.Table.from_batches([batch, *spare]).take(pa.array(order))
        return together.combine_chunks().to_batches()[0]

    def _faults(self, batch: pa.RecordBatch) -> tuple[Mask, Mask]:
        """Copies, and rows that break a rule or a condition."""
        copies = np.zeros(len(batch), bool)
        if self._told:
            copies = np.fromiter((k in self._single for k in self._keys(batch)), bool, len(batch))
        return copies, ~(self.rules.mask(batch) & all_of(self.conditions, batch))

    def _keys(self, batch: pa.RecordBatch) -> list[bytes]:
        keys: list[bytes] = row_keys(batch.select(self._told)).to_pylist()
        return keys
