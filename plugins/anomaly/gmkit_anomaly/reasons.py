"""Why a record is abnormal: its least likely columns, and what was expected there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from gmkit.codecs.tables import TableCodec
from gmkit.codecs.tables.columns import Levels
from gmkit.codecs.tables.scaled_column import Scaled
from gmkit.scoring.judge import Judge
from gmkit.scoring.scorer import Rows
from gmkit_anomaly.detector import Detector
from gmkit_anomaly.members.conditional import Conditional
from gmkit_anomaly.members.network import Network, expected

MOST = 3
"""Columns named for a record."""
SHARE = 0.4
"""Of the strongest column's nats that a further one needs."""
LEAST = 0.5
"""Nats below which a column is no reason."""
WIDTH = 2.0
"""Standard deviations on each side of what is expected."""


@dataclass(frozen=True)
class Reason:
    """A column, its value, what was expected, and how much less likely it is than usual."""

    column: str
    value: str
    expected: str
    nats: float

    def __str__(self) -> str:
        expected = f" (expected {self.expected})" if self.expected else ""
        value = f" = {self.value}" if self.value else ""
        return f"{self.column}{value}{expected}"


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
    family: Any,
    codec: Any,
    records: pa.RecordBatch,
    columns: dict[str, NDArray[np.float64]],
) -> list[list[Reason]]:
    """For each of ``records``, as the codec reads them; ``columns``: their nats."""
    found = strongest(columns)
    if not isinstance(codec, TableCodec) or not isinstance(family, Detector):
        return [[Reason(name, "", "", nats) for name, nats in row] for row in found]
    rest = _Expected(family, codec, records)
    return [
        [
            Reason(name, _shown(records.column(name)[row]), rest.told(row, name), nats)
            for name, nats in reasons
        ]
        for row, reasons in enumerate(found)
    ]


def told(reasons: Sequence[Reason]) -> str:
    """In one line."""
    return "; ".join(map(str, reasons))


class _Expected:
    """What the other columns let expect, for all records at once."""

    def __init__(self, detector: Detector, codec: TableCodec, records: pa.RecordBatch) -> None:
        self._codec = codec
        features = detector.splits.features
        names = list(detector.space.fields)
        self._places: dict[str, list[int]] = {}
        for place, field in enumerate(features.field.tolist()):
            self._places.setdefault(names[field], []).append(place)
        batch = detector.space.pick(codec.encode(records), slice(None), "cpu")
        rows = detector.rows(batch)
        with torch.no_grad():
            mean, deviation = _expectation(detector, rows)
        scale, centre = features.scale.double(), features.centre.double()
        self._mean = (mean * scale + centre).numpy()
        self._deviation = (deviation * scale).numpy()
        self._chosen = features.chosen.numpy()
        self._widths = _offsets(detector)

    def told(self, row: int, name: str) -> str:
        """A range, or the likeliest category; nothing where nothing is known."""
        column = self._codec.columns[name]
        if isinstance(column, Scaled):
            return self._range(row, column)
        if isinstance(column, Levels):
            return self._level(row, column)
        return ""

    def _range(self, row: int, column: Scaled) -> str:
        places = self._places.get(column.prefix)
        if not places:
            low = high = 0.0
        else:
            mean, reach = self._mean[row, places[0]], WIDTH * self._deviation[row, places[0]]
            low, high = mean - reach, mean + reach
        ends = [(end - column.centre) / column.scale for end in (column.low, column.high)]
        inside = np.clip(np.array([low, high]), ends[0], ends[1])
        first, last = (_shown(value) for value in column.shown(inside))
        return first if first == last else f"{first} to {last}"

    def _level(self, row: int, column: Levels) -> str:
        places = self._places.get(column.prefix, [])
        if not places:
            return _shown(column.values[0]) if len(column.values) else "missing"
        shares = self._mean[row, places] * math.sqrt(2)
        best = int(np.argmax(shares))
        code = int(self._chosen[places[best]]) - self._widths[column.prefix]
        if code < len(column.values):
            return _shown(column.values[code])
        return "missing" if code == column.size - 1 else "a rarer value"


def _expectation(detector: Detector, rows: Rows) -> tuple[Tensor, Tensor]:
    """(N, D) means and deviations of the scorer to which a value is the stranger; of the column
    alone where no scorer tells."""
    mean = torch.zeros(rows.matrix.shape, dtype=torch.float64)
    deviation = torch.ones_like(mean)
    farthest = torch.full_like(mean, -1.0)
    judge = next(iter(detector.judges))
    assert isinstance(judge, Judge)
    for scorer in judge.scorers.values():
        if isinstance(scorer, Conditional) and len(scorer.targets):
            told = scorer.expected(rows)
        elif isinstance(scorer, Network):
            told = expected(scorer, rows)
        else:
            continue
        # classes are shares, which trees tell and a regression only about
        far = ((rows.matrix - told[0]) / told[1]).abs() * rows.features.real
        better = far > farthest
        mean = torch.where(better, told[0], mean)
        deviation = torch.where(better, told[1], deviation)
        farthest = torch.where(better, far, farthest)
    return mean, deviation


def _offsets(detector: Detector) -> dict[str, int]:
    """Field → the first of its columns among all, before those that never vary were left out."""
    begin, found = 0, {}
    for name, kind in detector.space.fields.items():
        found[name] = begin
        begin += int(getattr(kind, "size", 1))
    return found


def _shown(value: Any) -> str:
    """A value as people read it."""
    plain = value.as_py() if isinstance(value, pa.Scalar) and _safe(value) else str(value)
    if plain is None:
        return "missing"
    if isinstance(plain, float):
        return f"{plain:.5g}"
    text = str(plain)
    return text if len(text) <= 40 else text[:39] + "…"


def _safe(value: pa.Scalar) -> bool:
    """Whether Python can hold it: a timestamp may be beyond its calendar."""
    try:
        value.as_py()
    except (ValueError, OverflowError):
        return False
    return True
