"""What is expected of a value, in words: a range, or the likeliest category."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmkit.codecs.tables.columns import Levels
from gmkit.codecs.tables.scaled_column import Scaled

WIDTH = 2.0
"""Standard deviations on each side of what is expected."""


class Expectations(Protocol):
    """For some records."""

    def told(self, row: int, name: str) -> str:
        """A range, or the likeliest category; nothing where nothing is known."""

    def value(self, row: int, name: str) -> str:
        """What is there instead, of what the records have no column for; else nothing."""


class Nothing:
    """Where nothing is known."""

    def told(self, row: int, name: str) -> str:
        """Nothing."""
        return ""

    def value(self, row: int, name: str) -> str:
        """Nothing."""
        return ""


@dataclass(frozen=True)
class Ranges(Nothing):
    """Of a table's columns, from what their numbers are expected to be."""

    columns: Mapping[str, Any]
    places: dict[str, list[int]]
    """Field → its columns among these numbers; classes are shares times 1/√2, see ``Features``."""
    codes: NDArray[np.int64]
    """(D,) the class that each column tells of."""
    mean: NDArray[np.float64]
    """(N, D) in the codec's units,"""
    deviation: NDArray[np.float64]
    """and of what each number strays from it."""
    _ends: dict[str, pa.Array] = field(default_factory=dict, init=False, repr=False)

    def told(self, row: int, name: str) -> str:
        """As the protocol's."""
        column = self.columns.get(name)
        if isinstance(column, Scaled):
            return self._range(row, column)
        if isinstance(column, Levels):
            return self._level(row, column)
        return ""

    def _range(self, row: int, column: Scaled) -> str:
        if column.name not in self._ends:  # of all records at once
            self._ends[column.name] = self._found_ends(column)
        ends = self._ends[column.name]
        return between(ends[row], ends[row + len(self.mean)])

    def _found_ends(self, column: Scaled) -> pa.Array:
        """(2N,): where what is expected begins, and where it ends."""
        places = self.places.get(column.prefix)
        low = high = np.zeros(len(self.mean))
        if places:
            mean, reach = self.mean[:, places[0]], WIDTH * self.deviation[:, places[0]]
            low, high = mean - reach, mean + reach
        first, last = ((end - column.centre) / column.scale for end in (column.low, column.high))
        return column.shown(np.clip(np.concatenate([low, high]), first, last))

    def _level(self, row: int, column: Levels) -> str:
        places = self.places.get(column.prefix, [])
        if not places:
            return shown(column.values[0]) if len(column.values) else "missing"
        shares = self.mean[row, places] * math.sqrt(2)
        best = int(np.argmax(shares))
        code = int(self.codes[places[best]])
        if code < len(column.values):
            return shown(column.values[code])
        return "missing" if code == column.size - 1 else "a rarer value"


def between(low: pa.Scalar, high: pa.Scalar) -> str:
    """A range, no finer than it is wide: 145.84 to 166.04 is 146 to 166."""
    first, last = (value.as_py() if readable(value) else value for value in (low, high))
    if isinstance(first, float) and isinstance(last, float) and np.isfinite(last - first):
        if last > first:
            digits = 1 - math.floor(math.log10(last - first))
            first, last = (float(f"{round(end, digits):.10g}") for end in (first, last))
    elif isinstance(first, datetime) and isinstance(last, datetime):
        first, last = (end.replace(microsecond=0) for end in (first, last))
    low_told, high_told = shown(first), shown(last)
    return low_told if low_told == high_told else f"{low_told} to {high_told}"


def shown(value: Any) -> str:
    """A value as people read it."""
    plain = value
    if isinstance(value, pa.Scalar):
        plain = value.as_py() if readable(value) else str(value)
    if plain is None:
        return "missing"
    if isinstance(plain, float):
        brief = f"{plain + 0.0:.5g}"  # no -0
        return f"{plain:.0f}" if "e+" in brief and abs(plain) < 1e15 else brief
    text = str(plain)
    return text if len(text) <= 40 else text[:39] + "…"


def readable(value: pa.Scalar) -> bool:
    """Whether Python can hold it: a timestamp may be beyond its calendar."""
    try:
        value.as_py()
    except (ValueError, OverflowError):
        return False
    return True
