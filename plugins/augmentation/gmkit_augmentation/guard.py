"""What a synthetic row must be: no copy of a single row of the data, and within all rules.

Copies and breaches of what was found in the data are drawn again up to ``ROUNDS`` times, then stay
and are counted. What the user declared holds in every row: it is drawn until it does, and an error
where the model has no such rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from gmkit.codecs.tables.columns import Column, Identifier, Text
from gmkit.errors import DataError
from gmkit_augmentation.conditions import Condition, Mask, all_of
from gmkit_augmentation.constraints import Seen
from gmkit_augmentation.fingerprints import SingleRows
from gmkit_augmentation.rules import Rules

ROUNDS = 20
"""Attempts for a row; a table of few possible rows has no others."""
DECLARED_ROUNDS = 400
"""Attempts for a row that must keep what was declared, as long as some come;"""
_NONE_YET = 40
"""attempts after which none at all is taken for never."""

Fresh = Callable[[int], pa.RecordBatch]
"""How many rows are still needed → some more, a few or many."""


class Guard:
    """Draws again what must not stay. What occurs often in the data is a copy of nobody."""

    def __init__(
        self,
        rows: pa.Table,
        columns: dict[str, Column],
        rules: Rules,
        conditions: Sequence[Condition] = (),
        fixed: frozenset[str] = frozenset(),
        seen: Seen | None = None,
    ) -> None:
        """``conditions``: that every row must meet. ``fixed``: columns that no rule may change.
        ``seen``: keys that must be new, or known; shared by the guards of one drawing."""
        self.rules, self.conditions, self.fixed = rules, conditions, fixed
        self.seen = seen
        # identifiers and texts are no part of what is learned: alike without them is alike
        told = [n for n, c in columns.items() if not isinstance(c, Identifier | Text)]
        self._single = SingleRows(rows, told)
        self.copies_redrawn = self.copies_left = 0
        self.breaches_redrawn = self.breaches_left = 0

    def kept(self, batch: pa.RecordBatch, fresh: Fresh) -> pa.RecordBatch:
        """As many rows; those that must not stay replaced by rows of ``fresh``. Raises DataError
        where declared conditions cannot be kept."""
        batch = self._repaired(batch)
        copies, breaches, refused = self._faults(batch)
        wrong = copies | breaches | refused
        self._take(batch, ~wrong)
        if not wrong.any():
            return batch
        place = [*np.flatnonzero(refused), *np.flatnonzero(breaches & ~refused)]
        place += [*np.flatnonzero(copies & ~breaches & ~refused)]
        spare, found = self._spare(fresh, len(place), int(refused.sum()))
        healed = np.zeros(len(batch), bool)
        healed[place[:found]] = True
        breaches |= refused
        self.copies_redrawn += int((healed & copies).sum())
        self.copies_left += int((~healed & copies).sum())
        self.breaches_redrawn += int((healed & breaches).sum())
        self.breaches_left += int((~healed & breaches).sum())
        order = np.arange(len(batch))
        order[place[:found]] = len(batch) + np.arange(found)
        self._take(batch, wrong & ~healed)
        together = pa.Table.from_batches([batch, *spare]).take(pa.array(order))
        return together.combine_chunks().to_batches()[0]

    def _spare(self, fresh: Fresh, wanted: int, needed: int) -> tuple[list[pa.RecordBatch], int]:
        """Up to ``wanted`` proper rows, ``needed`` at least, and how many there are."""
        spare: list[pa.RecordBatch] = []
        found = looked = 0
        for number in range(DECLARED_ROUNDS):
            if number >= ROUNDS and found >= needed:
                break
            if number >= _NONE_YET and not found:
                break
            others = self._repaired(fresh((wanted - found) << min(number, 12)))
            looked += len(others)
            proper = others.filter(pa.array(~np.logical_or.reduce(self._faults(others))))
            spare.append(proper.slice(0, wanted - found))
            self._take(spare[-1], np.ones(len(spare[-1]), bool))
            found += len(spare[-1])
            if found == wanted:
                break
        if found < needed:
            told = ", ".join([c.text for c in self.conditions] + self._declared())
            raise DataError(
                f"only {found:,} of {looked:,} rows drawn keep {told}, and {needed:,} are needed",
                hint="Loosen it; or give the model rows that keep it to learn from.",
            )
        return spare, found

    def _declared(self) -> list[str]:
        if self.seen is None:
            return []
        return [name for name in self.seen.constraints.names if "(" in name]

    def _repaired(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        batch = self.rules.repaired(batch, self.fixed)
        return batch if self.seen is None else self.seen.constraints.repaired(batch)

    def _take(self, batch: pa.RecordBatch, mask: Mask) -> None:
        """Remember the keys of rows that stay."""
        if self.seen is not None and self.seen.unique and mask.any():
            self.seen.take(batch.filter(pa.array(mask)))

    def _faults(self, batch: pa.RecordBatch) -> tuple[Mask, Mask, Mask]:
        """Copies, rows that break a rule that was found, and rows that break what was asked."""
        copies = self._single.mask(batch)
        refused = ~all_of(self.conditions, batch)
        if self.seen is not None:
            refused |= ~self.seen.mask(batch)
        return copies, ~self.rules.mask(batch), refused
