"""What the other columns of a record let expect in one of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from gmkit.codecs import Batch, Codec
from gmkit.codecs.condition_columns import Number
from gmkit.codecs.tables import TableCodec
from gmkit.codecs.tables.numbers import plain_column
from gmkit.families import Family
from gmkit.families.adjusting import adjusted, adjustment
from gmkit.randomness import SameDraws, generator
from gmkit.scoring.judge import Judge
from gmkit.scoring.scorer import Rows
from gmkit_anomaly.detector import Detector
from gmkit_anomaly.members.conditional import Conditional
from gmkit_anomaly.members.network import Network, expected
from gmkit_anomaly.ranges import WIDTH, Expectations, Nothing, Ranges, between, readable, shown

DRAWS = 16
"""Completions of a value, where a family draws them,"""
OUTER = 1
"""how many of these lie outside of what is told, on each side,"""
STEPS = 15
"""and in how many steps each is drawn, by a family that takes steps: one value, given the rest."""
AT_ONCE = 100
"""Values completed at once."""


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
        return _learned(family, codec, batch, owners)
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
    steps = {name: STEPS for name in family.adjustable if name.rpartition(".")[2] == "steps"}
    fewer = adjusted(family, adjustment(family, steps))
    with torch.no_grad(), SameDraws(len(rows), DRAWS), fewer:
        filled = family.complete(batch, known, generator(0, "expected"))
    return codec.decode({**batch, **filled})


def _middle(values: list[pa.Scalar]) -> str:
    """Of draws of one value: from the second lowest to the second highest number or time, else the
    most frequent."""
    plain = [value.as_py() if readable(value) else None for value in values]
    there = [value for value in plain if value is not None]
    if 2 * len(there) <= len(plain):
        return "missing"
    if isinstance(there[0], str | bytes | bool):
        return shown(max(dict.fromkeys(there), key=there.count))
    there.sort()
    outer = min(OUTER, (len(there) - 1) // 2)
    return between(pa.scalar(there[outer]), pa.scalar(there[-1 - outer]))


@dataclass(frozen=True)
class Told(Ranges):
    """And of what is not a table's column: what records are measured by, and what fields of many
    elements amount to."""

    sums: Mapping[str, str]
    """Column → field, of the latter."""
    bounds: Mapping[str, tuple[float, float]]
    """Field → between which values it was."""
    found: NDArray[np.float64]
    """(N, D) as ``mean``: what is there."""
    scale: NDArray[np.float64]
    """(D,) its spread."""

    def told(self, row: int, name: str) -> str:
        """As the protocol's."""
        column = self.columns.get(name)
        if name in self.sums:
            field = self.sums[name]
            return self._within(row, field, self.bounds[field], 0.0, 1.0)
        if isinstance(column, Number):
            return self._within(row, name, (column.low, column.high), column.mean, column.scale)
        return super().told(row, name)

    def _within(
        self, row: int, field: str, bounds: tuple[float, float], centre: float, unit: float
    ) -> str:
        """Of a number, within ``bounds``, to hundredths of its spread."""
        places = self.places.get(field)
        mean = reach = 0.0  # of what never varied
        spread = unit
        if places:
            mean, reach = self.mean[row, places[0]], WIDTH * self.deviation[row, places[0]]
            spread = unit * self.scale[places[0]]
        ends = np.clip(centre + unit * np.array([mean - reach, mean + reach]), *bounds)
        first, last = map(shown, _rounded(ends, spread).tolist())
        return first if first == last else f"{first} to {last}"

    def value(self, row: int, name: str) -> str:
        """Of what a field of many elements amounts to."""
        places = self.places.get(self.sums.get(name, ""))
        if not places:
            return ""
        return shown(_rounded(self.found[row, places[0]], self.scale[places[0]]))


def _learned(detector: Detector, codec: Codec, batch: Batch, owners: Mapping[str, str]) -> Told:
    """By the detector's scorers, for all records at once."""
    features = detector.splits.features
    names = list(detector.judged.fields)
    places: dict[str, list[int]] = {}
    for place, field in enumerate(features.field.tolist()):
        places.setdefault(names[field], []).append(place)
    first = torch.tensor(list(_offsets(detector).values()))
    rows = detector.rows(batch)
    with torch.no_grad():
        mean, deviation = _expectation(detector, rows)
    scale, centre = features.scale.double(), features.centre.double()
    columns: dict[str, Any] = dict(codec.conditions.columns)
    if isinstance(codec, TableCodec):
        columns |= codec.columns
    return Told(
        columns,
        places,
        (features.chosen - first[features.field]).numpy(),
        (mean * scale + centre).numpy(),
        (deviation * scale).numpy(),
        {owners[name]: name for name in detector.sums},
        {name: detector.range(name) for name in detector.sums},
        (rows.matrix * scale + centre).numpy(),
        scale.numpy(),
    )


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
    for name, kind in detector.judged.fields.items():
        found[name] = begin
        begin += int(getattr(kind, "size", 1))
    return found


def _rounded(value: Any, spread: float) -> Any:
    """To hundredths of the spread or finer."""
    return np.round(value, 1 - math.floor(math.log10(spread)))
