"""Why a record is abnormal: its least likely columns, and what was expected there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmkit.codecs.tables.numbers import plain_type
from gmkit_anomaly.ranges import Expectations, shown

MOST = 3
"""Columns named for a record."""
SHARE = 0.4
"""Of the strongest column's nats that a further one needs."""
LEAST = 0.5
"""Nats below which a column is no reason."""


@dataclass(frozen=True)
class Reason:
    """A column, its value, what was expected, and how much less likely it is than usual."""

    column: str
    value: str
    expected: str
    nats: float
    note: str = ""
    """What else is to be said of it."""

    @property
    def found(self) -> str:
        """Column and value."""
        return f"{self.column} = {self.value}" if self.value else self.column

    @property
    def awaited(self) -> str:
        """What was expected; nothing where nothing is known."""
        told = f"expected {self.expected}" if self.expected else self.note
        return f"({told})" if told else ""

    def __str__(self) -> str:
        return f"{self.found} {self.awaited}".rstrip()


def strongest(columns: dict[str, NDArray[np.float64]]) -> list[list[tuple[str, float]]]:
    """For each row its columns with their nats, the most unusual first."""
    if not columns:
        return []
    names = list(columns)
    nats = np.stack([columns[name] for name in names], axis=1)
    order = np.argsort(-nats, axis=1, kind="stable")[:, :MOST]
    found = []
    for row, places in zip(nats, order, strict=True):
        least = max(LEAST, SHARE * float(row[places[0]]))
        kept = [p for n, p in enumerate(places) if row[p] >= least or n == 0]
        found.append([(names[p], float(row[p])) for p in kept])
    return found


def reasons_of(
    records: pa.RecordBatch,
    why: Sequence[Sequence[tuple[str, float]]],
    rest: Expectations,
) -> list[list[Reason]]:
    """For each of ``records``, as the codec reads them. ``why``: its strongest columns."""
    return [
        [
            _reason(
                name,
                rest.value(row, name) or valued(records, row, name),
                rest.told(row, name),
                nats,
            )
            for name, nats in reasons
        ]
        for row, reasons in enumerate(why)
    ]


def _reason(name: str, value: str, expected: str, nats: float) -> Reason:
    """Where the very value was expected it is the rest that does not go with it."""
    return Reason(name, value, "" if expected == value else expected, nats)


def valued(records: pa.RecordBatch, row: int, name: str) -> str:
    """Nothing of what is no column, or cannot be read, as an image."""
    if name not in records.schema.names:
        return ""
    kind = plain_type(records.schema.field(name).type)
    hidden = (pa.types.is_nested, pa.types.is_binary, pa.types.is_large_binary)
    return "" if any(is_so(kind) for is_so in hidden) else shown(records.column(name)[row])


def told(reasons: Sequence[Reason]) -> str:
    """In one line."""
    return "; ".join(map(str, reasons))
