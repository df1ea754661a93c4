"""How new data as a whole differs from what was learned: ranges, categories, missing values."""

from __future__ import annotations

from typing import Any

import numpy as np

from gmkit.codecs import Batch, Codec
from gmkit.codecs.tables import TableCodec
from gmkit.codecs.tables.columns import Column, Levels
from gmkit.codecs.tables.scaled_column import KINDS, Scaled

SHARE = 0.02
"""Of the values, from which on a difference is told,"""
LEAST = 5
"""if there are so many of them."""
MISSING, NAN = KINDS.index("missing"), KINDS.index("nan")


class Drift:
    """Counts over all records that are judged."""

    def __init__(self, codec: Codec, learned: Batch | None = None) -> None:
        """``learned``: some of the records that were learned from, where they are kept."""
        self._columns = dict(codec.columns) if isinstance(codec, TableCodec) else {}
        self._outside = dict.fromkeys(self._columns, 0)
        self._unseen = dict.fromkeys(self._columns, 0)
        self._missing = dict.fromkeys(self._columns, 0)
        self._rows = 0
        self._usual = {
            name: float(gone.float().mean())
            for name, column in self._columns.items()
            if learned and (gone := _missing(column, learned)) is not None and len(gone)
        }
        """Column → share that was missing where it was learned."""

    def add(self, batch: Batch) -> None:
        """Take in encoded records."""
        self._rows += len(next(iter(batch.values())))
        for name, column in self._columns.items():
            gone = _missing(column, batch)
            self._missing[name] += 0 if gone is None else int(gone.sum())
            if isinstance(column, Scaled):
                value, kind = batch[column.prefix], batch[f"{column.prefix}.kind"]
                with np.errstate(over="ignore"):  # a range wider than single precision has no end
                    low, high = (
                        float(np.float32((end - column.centre) / column.scale))
                        for end in (column.low, column.high)
                    )
                slack = 1e-5 * (1 + max(abs(low), abs(high)))
                outside = (kind == 0) & ((value < low - slack) | (value > high + slack))
                self._outside[name] += int(outside.sum())
            elif isinstance(column, Levels) and column.rare is not None and not len(column.rare):
                self._unseen[name] += int((batch[column.prefix] == len(column.values)).sum())

    def notes(self) -> list[str]:
        """A sentence for each column that differs much."""
        found = []
        for name, column in self._columns.items():
            if self._much(self._outside[name]) and isinstance(column, Scaled):
                ends = np.array([column.low, column.high])
                places = (ends - column.centre) / column.scale
                low, high = map(_told, column.shown(places).to_pylist())
                found.append(
                    f"Column {name!r}: {self._share(self._outside[name])} of the values lie "
                    f"outside of what was learned ({low} to {high})."
                )
            if self._much(self._unseen[name]):
                found.append(
                    f"Column {name!r}: {self._share(self._unseen[name])} of the values were never "
                    "seen where it was learned."
                )
            if self._gaps(name):
                gone, usual = self._share(self._missing[name]), 100 * self._usual[name]
                found.append(
                    f"Column {name!r}: {gone} of the values are missing, {usual:.0f} % where it "
                    "was learned."
                )
        return found

    def _gaps(self, name: str) -> bool:
        """Whether many more, or fewer, are missing than were: by three standard deviations too."""
        if name not in self._usual or not self._rows:
            return False
        usual = self._usual[name]
        off = abs(self._missing[name] - usual * self._rows)
        return self._much(int(off)) and off > 3 * np.sqrt(usual * (1 - usual) * self._rows)

    def _much(self, count: int) -> bool:
        return count >= LEAST and count > SHARE * self._rows

    def _share(self, count: int) -> str:
        return f"{100 * count / self._rows:.0f} %"


def _missing(column: Column, batch: Batch) -> Any:
    """Which values are missing, NaN among numbers included; None of a column that cannot tell."""
    if isinstance(column, Scaled):
        kind = batch.get(f"{column.prefix}.kind")
        return None if kind is None else (kind == MISSING) | (kind == NAN)
    if isinstance(column, Levels) and column.missing and column.prefix in batch:
        return batch[column.prefix] == column.size - 1
    return None


def _told(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
