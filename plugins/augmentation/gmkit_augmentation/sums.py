"""Columns that are the sum of two others in every row, found without being declared, and kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmkit.codecs.tables.numbers import (
    Values,
    from_numbers,
    plain_column,
    plain_type,
    to_numbers,
    typed_column,
)
from gmkit_augmentation.conditions import Mask

Numbers = Mapping[str, tuple[Values, Mask, str]]
"""Column → numbers (N,), which are known (N,), and the sort of number; of one sort they can be
compared, and those of ``ADDED`` sorts added."""
ADDED = ("plain", "decimal of ")
_ROWS = 50
"""Rows that have to keep it, and that are looked at first."""
_ROUNDED = 9
"""Decimals of sums of floats: 0.1 + 0.2 is 0.3."""


@dataclass(frozen=True)
class Added:
    """``total`` = ``first`` + ``second``; ``bounds``: of each, as they are in the data."""

    total: str
    first: str
    second: str
    bounds: Mapping[str, tuple[float, float]]

    def __str__(self) -> str:
        return f"{self.total} = {self.first} + {self.second}"

    def repaired(self, batch: pa.RecordBatch, fixed: frozenset[str]) -> pa.RecordBatch:
        """The batch with the total put right, or a part where that is ``fixed``; as it is in rows
        where it would come to lie outside the data's range."""
        goal = next((n for n in (self.total, self.second, self.first) if n not in fixed), None)
        if goal is None:
            return batch
        numbers = {n: to_numbers(plain_column(batch.column(n))) for n in self.bounds}
        others = [n for n in (self.total, self.first, self.second) if n != goal]
        (a, a_valid), (b, b_valid) = (numbers[name] for name in others)
        wanted = a + b if goal == self.total else a - b
        if wanted.dtype.kind == "f":
            wanted = np.round(wanted, _ROUNDED)
        valid, (low, high) = a_valid & b_valid, self.bounds[goal]
        with np.errstate(invalid="ignore"):
            inside = valid & (wanted >= low) & (wanted <= high)
        # without a part there is no total; what a missing total says of a part is not known
        present = numbers[goal][1] & (valid | (goal != self.total))
        place = batch.schema.get_field_index(goal)
        field = batch.schema.field(place)
        values = np.where(inside, wanted, numbers[goal][0])
        column = from_numbers(values, present | inside, plain_type(field.type))
        return batch.set_column(place, field, typed_column(column, field.type))

    def mask(self, batch: pa.RecordBatch) -> Mask:
        """Rows that keep it, (N,), or of which something is missing."""
        parts = [to_numbers(plain_column(batch.column(n))) for n in self.bounds]
        (total, known), (first, first_known), (second, second_known) = parts
        return _alike(first + second, total) | ~(known & first_known & second_known)


def found_sums(numbers: Numbers, taken: set[str]) -> list[Added]:
    """Sums that every row keeps; none of a total that is ``taken``, and none of another sum."""
    found: list[Added] = []
    used: set[str] = set(taken)
    for first, second in combinations(numbers, 2):
        a, a_valid, sort = numbers[first]
        b, b_valid, other = numbers[second]
        both = np.flatnonzero(a_valid & b_valid)
        if not sort.startswith(ADDED) or sort != other or len(both) < _ROWS:
            continue
        for total, (c, c_valid, third) in numbers.items():
            if third != sort or total in {first, second} | used:
                continue
            # a few rows rule most out; missing exactly where a part is
            if not _alike(a[both[:_ROWS]] + b[both[:_ROWS]], c[both[:_ROWS]]).all():
                continue
            if np.array_equal(c_valid, a_valid & b_valid) and _alike(a + b, c)[both].all():
                ends = {
                    name: (float(v[known].min()), float(v[known].max()))
                    for name, (v, known, _) in ((n, numbers[n]) for n in (total, first, second))
                }
                found.append(Added(total, first, second, ends))
                used |= {total, first, second}
                break
    return found


def _alike(a: NDArray[np.float64] | Values, b: NDArray[np.float64] | Values) -> Mask:
    """Up to what rounding makes of sums."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(a - b) <= 1e-9 * np.maximum(1.0, np.abs(b)))
