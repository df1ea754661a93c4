"""Tables as matrices of numbers, for learners and distances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gmkit.codecs.tables.numbers import is_number, plain_type, to_numbers
from gmkit_augmentation.whole import plain_whole

MOST_LEVELS = 250
"""Categories told apart; the rest count as one."""
_ONE_HOT = 30
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Feature:
    """A column as numbers. ``values``: of a category, the most frequent first; None: numbers."""

    name: str
    values: pa.Array | None


class Features:
    """How the columns of a table become numbers; learned from one table, used on several."""

    def __init__(self, table: pa.Table, without: str | None = None) -> None:
        self.features: list[Feature] = []
        for field in table.schema:
            if field.name == without:
                continue
            values = None
            if not is_number(plain_type(field.type)):
                counts = pc.value_counts(plain_whole(table, field.name).drop_null())
                pairs = sorted(
                    zip(counts.field("counts").to_pylist(), range(len(counts)), strict=True),
                    key=lambda pair: (-pair[0], pair[1]),
                )[:MOST_LEVELS]
                places = pa.array([place for _, place in pairs], pa.int64())
                values = counts.field("values").take(places)
            self.features.append(Feature(field.name, values))

    @property
    def categorical(self) -> list[bool]:
        """For each column."""
        return [feature.values is not None for feature in self.features]

    def ordinal(self, table: pa.Table) -> Matrix:
        """(N, columns): numbers, and codes of categories; NaN for what is missing or unknown."""
        return np.stack([self._codes(table, feature) for feature in self.features], axis=1)

    def _codes(self, table: pa.Table, feature: Feature) -> NDArray[np.float64]:
        column = plain_whole(table, feature.name)
        if feature.values is None:
            values, valid = to_numbers(column)
            numbers = values.astype(np.float64)
            return np.where(valid & np.isfinite(numbers), numbers, np.nan)
        found = pc.index_in(column, value_set=feature.values)
        return np.asarray(found.cast(pa.float64()).fill_null(float("nan")))


class Distances:
    """Rows as points: numbers by their range, categories as corners 1 apart, missing flagged."""

    def __init__(self, table: pa.Table) -> None:
        self._features = Features(table)
        codes = self._features.ordinal(table)
        self._low = np.array([_finite(np.min, c) for c in codes.T])
        self._high = np.array([_finite(np.max, c) for c in codes.T])
        self._middle = np.array([_finite(np.median, c) for c in codes.T])
        self._missing: NDArray[np.bool_] = np.asarray(np.isnan(codes).any(axis=0))

    def points(self, table: pa.Table) -> NDArray[np.float32]:
        """(N, D)."""
        codes = self._features.ordinal(table)
        parts: list[Any] = []
        for place, categorical in enumerate(self._features.categorical):
            column = codes[:, place]
            if categorical:
                capped = np.where(column < _ONE_HOT, column, _ONE_HOT)  # NaN: the last, too
                levels: NDArray[np.int64] = np.arange(min(_ONE_HOT, int(self._high[place]) + 1) + 1)
                levels[-1] = _ONE_HOT
                parts.append(np.equal.outer(capped, levels) / np.sqrt(2))
                continue
            width = self._high[place] - self._low[place]
            missing: NDArray[np.bool_] = np.asarray(np.isnan(column))
            filled = np.where(missing, self._middle[place], column)
            scaled: Matrix = np.asarray((filled - self._low[place]) / (width or 1.0))
            parts.append(scaled[:, None])
            if self._missing[place]:
                parts.append(missing.reshape(-1, 1))
        return np.concatenate(parts, axis=1).astype(np.float32)


def _finite(function: Any, column: NDArray[np.float64]) -> float:
    known = column[~np.isnan(column)]
    return float(function(known)) if len(known) else 0.0
