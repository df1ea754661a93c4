"""Columns of numbers, dates or times in units of their own spread, without an end on either side.

    value: (x − centre) / scale,   kind: value, missing, NaN, ∞ or −∞

Unlike ``Number``, whose places end with the data, a value far outside stays far outside: what asks
how unusual a value is needs that. All kinds are always there, whether the data had them or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmkit.codecs.tables.columns import Arrays, Column, Entropy
from gmkit.codecs.tables.numbers import Grid, from_numbers, is_whole, plain_type, to_numbers

if TYPE_CHECKING:
    from gmkit.fields import Field

FARTHEST = 1e6
"""Scales from the centre at which values end."""
KINDS = ("value", "missing", "nan", "inf", "-inf")


@dataclass(frozen=True)
class Scaled(Column):
    """``centre`` and ``scale`` of the data as working numbers; ``low`` and ``high``: its range."""

    sort: ClassVar[str] = "scaled"
    grid: Grid
    centre: float
    scale: float
    low: float
    high: float

    @property
    def _kind_field(self) -> str:
        return f"{self.prefix}.kind"

    def fields(self) -> dict[str, Field]:
        """The number, 0 where there is none, and what kind it is."""
        from gmkit.fields import Categorical, Real

        return {self.prefix: Real(), self._kind_field: Categorical(size=len(KINDS))}

    def encode(self, column: pa.Array) -> Arrays:
        """Number and kind. Raises DataError for another type."""
        values, valid = to_numbers(self.checked(column))
        if valid.all() and (is_whole(plain_type(self.kind)) or np.isfinite(values).all()):
            numbers = np.subtract(values, self.centre, dtype=np.float64)
            numbers /= self.scale
            np.clip(numbers, -FARTHEST, FARTHEST, out=numbers)
            plainly = np.zeros(len(values), np.int32)
            return {self.prefix: numbers.astype(np.float32), self._kind_field: plainly}
        kinds = np.where(valid, 0, 1).astype(np.int32)
        if not is_whole(plain_type(self.kind)):
            kinds[valid & np.isnan(values)] = 2
            kinds[valid & (values == np.inf)] = 3
            kinds[valid & (values == -np.inf)] = 4
        plain = kinds == 0
        numbers = np.zeros(len(values))
        known = values[plain].astype(np.float64)
        numbers[plain] = np.clip((known - self.centre) / self.scale, -FARTHEST, FARTHEST)
        return {self.prefix: numbers.astype(np.float32), self._kind_field: kinds}

    def decode(self, arrays: Mapping[str, NDArray[Any]], entropy: Entropy) -> pa.Array:
        """Values of the column's type, rounded as the data's."""
        kinds = arrays[self._kind_field].astype(np.int64)
        place = np.nan_to_num(arrays[self.prefix].astype(np.float64), posinf=0.0, neginf=0.0)
        numbers = place * self.scale + self.centre
        if self.grid.whole:
            limit = float(np.iinfo(np.int64).max // 2)
            steps = np.rint((np.clip(numbers, -limit, limit) - self.grid.origin) / self.grid.step)
            values: NDArray[Any] = self.grid.origin + steps.astype(np.int64) * self.grid.step
        else:
            values = self.grid.from_floats(numbers) + 0.0  # -0.0 is 0.0
            for number, special in ((2, np.nan), (3, np.inf), (4, -np.inf)):
                values = np.where(kinds == number, special, values)
        return self.typed(from_numbers(values, kinds != 1, plain_type(self.kind)))

    def shown(self, places: NDArray[np.float64]) -> pa.Array:
        """Values at places in units of the scale, (N,), as the column would show them."""
        zeros = np.zeros(len(places), np.int64)
        arrays = {self.prefix: places, self._kind_field: zeros}
        return self.decode(arrays, zeros.astype(np.uint64))

    def describe(self) -> str:
        """Its range."""
        ends = from_numbers(
            np.array([self.low, self.high]).astype(np.int64)
            if self.grid.whole
            else np.array([self.low, self.high]),
            np.ones(2, bool),
            plain_type(self.kind),
        )
        low, high = (str(value) for value in ends)
        return f"number, {low} to {high}"

    def facts(self) -> dict[str, Any]:
        """All of it."""
        return {
            "grid": vars(self.grid),
            "centre": self.centre,
            "scale": self.scale,
            "low": self.low,
            "high": self.high,
        }
