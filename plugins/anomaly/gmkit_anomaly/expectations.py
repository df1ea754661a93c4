"""What the other columns of a record let expect in one of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from gmkit.codecs import Batch, Codec
from gmkit.codecs.condition_columns import Number
from gmkit.codecs.tables import TableCodec
from gmkit.codecs.tables.columns import Levels
from gmkit.codecs.tables.numbers import plain_column
from gmkit.codecs.tables.scaled_column import Scaled
from gmkit.families import Family
from gmkit.randomness import SameDraws, generator
from gmkit.scoring.judge import Judge
from gmkit.scoring.scorer import Rows
from gmkit_anomaly.detector import Detector
from gmkit_anomaly.members.conditional import Conditional
from gmkit_anomaly.members.network import Network, expected

WIDTH = 2.0
"""Standard deviations on each side of what is expected."""
DRAWS = 24
"""Completions of a value, where a family draws them,"""
OUTER = 2
"""and how many of these lie outside of what is told, on each side."""
AT_ONCE = 100
"""Values completed at once."""


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


def expectations(
    family: Any,
    codec: Codec,
    batch: Batch,
    owners: Mapping[str, str],
    named: Sequence[Sequence[str]],
) -> Expectations:
    """By the detector's scorers, or by what the family completes. ``batch``: the records;
    ``owners``: field → column; ``named``: for each record the columns that will be asked for."""
    if isinstance(family, Detector):
        return Learned(family, codec, batch, owners)
    if isinstance(codec, TableCodec) and "complete" in family.capabilities:
        return Completed(family, codec, batch, named)
    return Nothing()


class Completed(Nothing):
    """The middle of what a family fills in where a value is taken out. Each record gets the same
    draws, whatever others are beside it."""

    def __init__(
        self,
        family: Family,
        codec: TableCodec,
        whole: Batch,
        named: Sequence[Sequence[str]],
    ) -> None:
        self._found: dict[tuple[int, str], str] = {}
        asked = [(row, name) for row, names in enumerate(named) for name in names]
        for begin in range(0, len(asked), AT_ONCE):
            some = asked[begin : begin + AT_ONCE]
            drawn = _drawn(family, codec, whole, some)
            for place, (row, name) in enumerate(some):
                values = plain_column(drawn.column(name).slice(place * DRAWS, DRAWS))
                self._found[row, name] = _middle(list(values))

    def told(self, row: int, name: str) -> str:
        """As the protocol's."""
        return self._found.get((row, name), "")


def _drawn(
    family: Family, codec: TableCodec, whole: Mapping[str, Tensor], asked: list[tuple[int, str]]
) -> pa.RecordBatch:
    """For each (record, column) ``DRAWS`` records, one behind the other, in which the column is
    what the rest lets expect."""
    rows = torch.tensor([row for row, _ in asked]).repeat_interleave(DRAWS)
    batch = {name: value[rows] for name, value in whole.items()}
    owner = {part: n for n, column in codec.columns.items() for part in column.fields()}
    known = {}
    for part in family.space.fields:
        kept = torch.tensor([owner.get(part) != name for _, name in asked])
        value = batch[part]
        shape = (-1, *(1 for _ in value.shape[1:]))
        known[part] = kept.repeat_interleave(DRAWS).reshape(shape).expand(value.shape).clone()
    with torch.no_grad(), SameDraws(len(rows), DRAWS):
        filled = family.complete(batch, known, generator(0, "expected"))
    return codec.decode({**batch, **filled})


def _middle(values: list[pa.Scalar]) -> str:
    """Of draws of one value: from the third lowest to the third highest number or time, else the
    most frequent."""
    plain = [value.as_py() if readable(value) else None for value in values]
    there = [value for value in plain if value is not None]
    if 2 * len(there) <= len(plain):
        return "missing"
    if isinstance(there[0], str | bytes | bool):
        return shown(max(dict.fromkeys(there), key=there.count))
    there.sort()
    outer = min(OUTER, (len(there) - 1) // 2)
    return _between(pa.scalar(there[outer]), pa.scalar(there[-1 - outer]))


class Learned(Nothing):
    """By the detector's scorers, for all records at once."""

    def __init__(
        self, detector: Detector, codec: Codec, batch: Batch, owners: Mapping[str, str]
    ) -> None:
        self._sums = {owners[name]: name for name in detector.sums}
        self._range_of = detector.range
        self._columns: dict[str, Any] = dict(codec.conditions.columns)
        if isinstance(codec, TableCodec):
            self._columns |= codec.columns
        features = detector.splits.features
        names = list(detector.judged.fields)
        self._places: dict[str, list[int]] = {}
        for place, field in enumerate(features.field.tolist()):
            self._places.setdefault(names[field], []).append(place)
        rows = detector.rows(batch)
        with torch.no_grad():
            mean, deviation = _expectation(detector, rows)
        scale, centre = features.scale.double(), features.centre.double()
        self._scale = scale.numpy()
        self._value = (rows.matrix * scale + centre).numpy()
        self._mean = (mean * scale + centre).numpy()
        self._deviation = (deviation * scale).numpy()
        self._chosen = features.chosen.numpy()
        self._widths = _offsets(detector)

    def told(self, row: int, name: str) -> str:
        """As the protocol's."""
        if name in self._sums:
            return self._summary(row, name)
        column = self._columns.get(name)
        if isinstance(column, Number):
            return self._number(row, column)
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
        return _between(*column.shown(inside))

    def value(self, row: int, name: str) -> str:
        """Of what a field of many elements amounts to."""
        places = self._places.get(self._sums.get(name, ""))
        if not places:
            return ""
        return shown(_rounded(self._value[row, places[0]], self._scale[places[0]]))

    def _summary(self, row: int, name: str) -> str:
        places = self._places.get(self._sums[name])
        if not places:
            return ""
        mean, reach = self._mean[row, places[0]], WIDTH * self._deviation[row, places[0]]
        ends = np.clip([mean - reach, mean + reach], *self._range_of(self._sums[name]))
        first, last = map(shown, _rounded(ends, self._scale[places[0]]).tolist())
        return first if first == last else f"{first} to {last}"

    def _number(self, row: int, column: Number) -> str:
        """Of what records are measured by, within what was learned from, in hundredths of its
        spread."""
        places = self._places.get(column.name)
        mean, reach = 0.0, 0.0  # of what never varied
        if places:
            mean, reach = self._mean[row, places[0]], WIDTH * self._deviation[row, places[0]]
        ends = np.clip(
            column.mean + column.scale * np.array([mean - reach, mean + reach]),
            column.low,
            column.high,
        )
        first, last = map(shown, _rounded(ends, column.scale).tolist())
        return first if first == last else f"{first} to {last}"

    def _level(self, row: int, column: Levels) -> str:
        places = self._places.get(column.prefix, [])
        if not places:
            return shown(column.values[0]) if len(column.values) else "missing"
        shares = self._mean[row, places] * math.sqrt(2)
        best = int(np.argmax(shares))
        code = int(self._chosen[places[best]]) - self._widths[column.prefix]
        if code < len(column.values):
            return shown(column.values[code])
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


def _between(low: pa.Scalar, high: pa.Scalar) -> str:
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


def _offsets(detector: Detector) -> dict[str, int]:
    """Field → the first of its columns among all, before those that never vary were left out."""
    begin, found = 0, {}
    for name, kind in detector.judged.fields.items():
        found[name] = begin
        begin += int(getattr(kind, "size", 1))
    return found


def _rounded(value: Any, spread: float) -> Any:
    """To hundredths of the spread or finer."""
    return np.round(value, 1 - math.floor(math.log10(spread)))


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
