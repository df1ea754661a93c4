"""Rows as 64-bit hashes, to find copies of the data's among many without looking at each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gmkit.codecs.tables.numbers import is_number, plain_column, plain_type, to_numbers
from gmkit.codecs.tables.sketches import mixed
from gmkit_augmentation.conditions import Mask
from gmkit_augmentation.whole import plain_whole

_MISSING, _UNKNOWN = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03)
Hashes = NDArray[np.uint64]


class SingleRows:
    """Rows that occur once in a table, by their values in ``names``.

    Two different rows have the same hash once in 2⁶⁴: of a million rows drawn beside 100,000 about
    one in two hundred million would be taken for a copy that it is not, and be drawn again."""

    def __init__(self, rows: pa.Table, names: Sequence[str]) -> None:
        self._names = list(names)
        self._values = {
            name: plain_whole(rows, name).unique()
            for name in names
            if not is_number(plain_type(rows.schema.field(name).type))
        }
        parts = [self._hashes(batch) for batch in rows.to_batches()] if self._names else []
        hashes, counts = np.unique(
            np.concatenate([np.empty(0, np.uint64), *parts]), return_counts=True
        )
        self._single: Hashes = hashes[counts == 1]

    def mask(self, batch: pa.RecordBatch) -> Mask:
        """Which rows equal one of them, (N,)."""
        if not len(self._single):
            return np.zeros(len(batch), bool)
        hashes = self._hashes(batch)
        place = np.searchsorted(self._single, hashes).clip(max=len(self._single) - 1)
        return np.asarray(self._single[place] == hashes)

    def _hashes(self, batch: pa.RecordBatch) -> Hashes:
        total = np.zeros(len(batch), np.uint64)
        for number, name in enumerate(self._names):
            column = plain_column(batch.column(name))
            known = self._values.get(name)
            bits = _number_bits(column) if known is None else _place_bits(column, known)
            total = mixed(total ^ (bits + np.uint64(number)))
        return total


def _number_bits(column: pa.Array) -> Hashes:
    """The same bits for numbers that are equal; NaN is one number, and 0 has no sign."""
    values, valid = to_numbers(column)
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), np.nan, values + 0.0)
    return np.where(valid, values.view(np.uint64), _MISSING)


def _place_bits(column: pa.Array, known: pa.Array) -> Hashes:
    """Where a value stands among those of the data; all that are not there are alike."""
    place = pc.index_in(column, value_set=known)
    unknown = np.asarray(place.is_null())
    return np.where(unknown, _UNKNOWN, np.asarray(place.fill_null(0)).astype(np.uint64))
