"""What fitting keeps of a column: its distinct values with their counts, bounded and mergeable.

Beyond ``MOST`` distinct values those with the smallest hashes stay. A value among the smallest of
all is among the smallest of every part that holds it, so its count is exact, and neither the order
nor the cuts of the data matter.
"""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gmkit.codecs.tables.numbers import Values, to_numbers

MOST = 1 << 20
"""Distinct numbers kept: 16 MB a column."""
MOST_TEXTS = 1 << 17
_PENDING = 1 << 16


class NumberSketch:
    """Distinct finite numbers, sorted, and how many were missing, NaN or infinite."""

    def __init__(self, most: int = MOST) -> None:
        self.rows = 0
        self.missing = 0
        self.special: Counter[str] = Counter()
        """How often ``nan``, ``inf`` and ``-inf`` occurred."""
        self._dropped = False
        self._most = most
        self._values: Values = np.empty(0)
        self._counts: NDArray[np.int64] = np.empty(0, np.int64)
        self._pending: list[Values] = []
        self._waiting = 0

    def add(self, column: pa.Array) -> None:
        """Take in a plain column."""
        values, valid = to_numbers(column)
        self.rows += len(values)
        self.missing += int((~valid).sum())
        values = values[valid]
        if values.dtype == np.float64:
            finite = np.isfinite(values)
            for name in map(str, values[~finite].tolist()):
                self.special[name] += 1
            values = values[finite] + 0.0  # -0.0 is 0.0
        self._pending.append(values)
        self._waiting += len(values)
        if self._waiting > max(_PENDING, len(self._values)):
            self._settle()

    @property
    def dropped(self) -> bool:
        """Whether there were more distinct values than are kept."""
        self._settle()
        return self._dropped

    @property
    def values(self) -> Values:
        """Sorted distinct values (M,)."""
        self._settle()
        return self._values

    @property
    def counts(self) -> NDArray[np.int64]:
        """How often each occurred (M,)."""
        self._settle()
        return self._counts

    def merge(self, other: Self) -> Self:
        """The sketch of both; neither part changes."""
        both = type(self)(self._most)
        both.rows, both.missing = self.rows + other.rows, self.missing + other.missing
        both.special = self.special + other.special
        both._dropped = self.dropped or other.dropped
        both._take(
            np.concatenate([self.values, other.values]),
            np.concatenate([self.counts, other.counts]),
        )
        return both

    def _settle(self) -> None:
        if not self._pending:
            return
        fresh = np.concatenate(self._pending)
        self._pending, self._waiting = [], 0
        values, counts = np.unique(fresh, return_counts=True)
        if len(self._values):
            values = np.concatenate([self._values, values])
            counts = np.concatenate([self._counts, counts])
        self._take(values, counts)

    def _take(self, values: Values, counts: NDArray[np.int64]) -> None:
        """Keep these, each once, and of too many those with the smallest hashes."""
        distinct, places = np.unique(values, return_inverse=True)
        summed = np.bincount(places, weights=counts, minlength=len(distinct)).astype(np.int64)
        if len(distinct) > self._most:
            self._dropped = True
            kept = np.sort(np.argpartition(mixed(distinct), self._most)[: self._most])
            distinct, summed = distinct[kept], summed[kept]
        self._values, self._counts = distinct, summed


class ValueSketch:
    """Distinct texts, booleans or bytes with their counts."""

    def __init__(self, most: int = MOST_TEXTS) -> None:
        self.rows = 0
        self.missing = 0
        self.dropped = False
        self.counts: Counter[Any] = Counter()
        self._most = most

    def add(self, column: pa.Array) -> None:
        """Take in a plain column."""
        self.rows += len(column)
        self.missing += column.null_count
        found = pc.value_counts(column.drop_null())
        values, counts = found.field("values").to_pylist(), found.field("counts").to_pylist()
        self.counts.update(dict(zip(values, counts, strict=True)))
        self._bound()

    def merge(self, other: Self) -> Self:
        """The sketch of both; neither part changes."""
        both = type(self)(self._most)
        both.rows, both.missing = self.rows + other.rows, self.missing + other.missing
        both.dropped = self.dropped or other.dropped
        both.counts = self.counts + other.counts
        both._bound()
        return both

    def _bound(self) -> None:
        if len(self.counts) > self._most:
            self.dropped = True
            kept = sorted(self.counts, key=_digest)[: self._most]
            self.counts = Counter({value: self.counts[value] for value in kept})


def mixed(values: NDArray[Any]) -> NDArray[np.uint64]:
    """A well mixed hash of 64-bit values (splitmix64; Steele, Lea & Flood 2014)."""
    x = np.ascontiguousarray(values).view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _digest(value: Any) -> bytes:
    raw = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
    return blake2b(raw, digest_size=8).digest()
