"""Dependencies that hold in every row of the data, found without being declared, and kept.

a → b      each value of a goes with one value of b (education, education number)
a ≤ b      in every row (start, end)
a = b + c  in every row (total, net, tax)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gmkit.codecs.tables.numbers import (
    Values,
    is_number,
    is_whole,
    plain_column,
    plain_type,
    to_numbers,
)
from gmkit_augmentation.conditions import Mask
from gmkit_augmentation.sums import Added, Numbers, found_sums
from gmkit_augmentation.whole import plain_whole, whole

MOST_COLUMNS = 60
"""Columns looked at for each sort of dependency."""
MOST_VALUES = 1000
_SUPPORT = 5
"""Rows that a value of a has on average, or the dependency says nothing."""
_CHANCE = 0.02
"""Share of the rows that would break an ordering if the two had nothing to do with each other."""
_ROWS = 50
"""Below so many rows nothing is concluded."""


@dataclass(frozen=True)
class Determined:
    """``source`` → ``goal``: values of both, side by side."""

    source: str
    goal: str
    keys: pa.Array
    values: pa.Array

    def __str__(self) -> str:
        return f"{self.source} → {self.goal}"

    def repaired(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with ``goal`` as ``source`` says."""
        found = pc.index_in(plain_column(batch.column(self.source)), value_set=self.keys)
        place = batch.schema.get_field_index(self.goal)
        fresh = self.values.take(found)
        if found.null_count:  # a value of which nothing is known keeps what it has
            fresh = pc.if_else(found.is_valid(), fresh, batch.column(place))
        return batch.set_column(place, batch.schema.field(place), fresh)

    def mask(self, batch: pa.RecordBatch) -> Mask:
        """Rows that keep it."""
        kept = self.repaired(batch).column(self.goal)
        before = batch.column(self.goal)
        same = pc.equal(plain_column(kept), plain_column(before)).fill_null(False)
        both = pc.and_(kept.is_null(), before.is_null())
        return np.asarray(pc.or_(same, both))


@dataclass(frozen=True)
class Ordered:
    """``low`` ≤ ``high`` wherever neither is missing."""

    low: str
    high: str

    def __str__(self) -> str:
        return f"{self.low} ≤ {self.high}"

    def mask(self, batch: pa.RecordBatch) -> Mask:
        """Rows that keep it."""
        low, high = plain_column(batch.column(self.low)), plain_column(batch.column(self.high))
        return np.asarray(pc.less_equal(low, high).fill_null(True))


@dataclass(frozen=True)
class Rules:
    """Dependencies of a table."""

    determined: list[Determined] = field(default_factory=list)
    ordered: list[Ordered] = field(default_factory=list)
    sums: list[Added] = field(default_factory=list)

    def repaired(self, batch: pa.RecordBatch, fixed: frozenset[str]) -> pa.RecordBatch:
        """What is determined put right, but for columns that are ``fixed``."""
        for rule in self.determined:
            if rule.goal not in fixed:
                batch = rule.repaired(batch)
        for total in self.sums:
            batch = total.repaired(batch, fixed)
        return batch

    def mask(self, batch: pa.RecordBatch) -> Mask:
        """Rows that keep all."""
        kept = np.ones(len(batch), bool)
        rules: list[Determined | Ordered | Added] = [*self.determined, *self.ordered, *self.sums]
        for rule in rules:
            kept &= rule.mask(batch)
        return kept

    def names(self) -> list[str]:
        """For people."""
        return [str(rule) for rule in (*self.determined, *self.ordered, *self.sums)]


def found_rules(rows: pa.Table) -> Rules:
    """Dependencies that every row keeps."""
    if rows.num_rows < _ROWS:
        return Rules()
    table = rows.combine_chunks()
    columns = {name: plain_whole(table, name) for name in table.schema.names}
    determined, numbers = _determined(table, columns), _numbers(columns)
    sums = found_sums(numbers, {rule.goal for rule in determined})
    return Rules(determined, _ordered(numbers), sums)


def _determined(table: pa.Table, columns: dict[str, Any]) -> list[Determined]:
    """Dependencies between columns of few values; of two that determine each other the later
    one, and none on a column that is itself determined."""
    codes: dict[str, NDArray[np.int64]] = {}
    for name, column in columns.items():
        encoded = column.dictionary_encode(null_encoding="encode")
        if 2 <= len(encoded.dictionary) <= MOST_VALUES and len(codes) < MOST_COLUMNS:
            codes[name] = np.asarray(encoded.indices, dtype=np.int64)
    sizes = {name: int(code.max()) + 1 for name, code in codes.items()}
    found: list[Determined] = []
    taken: set[str] = set()
    for goal in codes:
        for source in codes:
            if source == goal or source in taken or sizes[source] < sizes[goal]:
                continue
            if sizes[source] * _SUPPORT > table.num_rows:
                continue
            pairs = np.unique(codes[source] * sizes[goal] + codes[goal])
            if len(pairs) != sizes[source]:
                continue
            mutual = sizes[source] == sizes[goal]
            if mutual and list(codes).index(source) > list(codes).index(goal):
                continue
            first = np.unique(codes[source], return_index=True)[1]
            place = pa.array(first)
            keys = columns[source].take(place)
            values = whole(table.column(goal)).take(place)
            found.append(Determined(source, goal, keys, values))
            taken.add(goal)
            break
    return found


def _numbers(columns: dict[str, Any]) -> Numbers:
    """Columns of more than a few numbers."""
    found: dict[str, tuple[Values, Mask, str]] = {}
    for name, column in columns.items():
        kind = plain_type(column.type)
        if is_number(kind) and len(found) < MOST_COLUMNS:
            values, valid = to_numbers(column)
            valid = valid & np.isfinite(values)
            if valid.sum() >= _ROWS and len(np.unique(values[valid][:5000])) > 10:
                found[name] = values, valid, _sort(kind)
    return found


def _sort(kind: pa.DataType) -> str:
    """Numbers of one sort can be compared; ``plain`` and decimals of one scale added, too."""
    if pa.types.is_decimal(kind):
        return f"decimal of {kind.scale}" if is_whole(kind) else str(kind)
    if pa.types.is_uint64(kind) or pa.types.is_temporal(kind):
        return str(kind)
    return "plain"


def _ordered(numbers: Numbers) -> list[Ordered]:
    """Orderings between columns of the same sort of number whose ranges overlap, but those that
    follow from two others."""
    pairs = set()
    for low, (a, a_valid, a_sort) in numbers.items():
        for high, (b, b_valid, b_sort) in numbers.items():
            if low == high or a_sort != b_sort or (high, low) in pairs:
                continue
            both = a_valid & b_valid
            if both.sum() < _ROWS or not (a[both] <= b[both]).all():
                continue
            shuffled = np.random.default_rng(0).permutation(b[both])
            if (a[both] > shuffled).mean() > _CHANCE:  # else it holds by their ranges alone
                pairs.add((low, high))
    names = {name for pair in pairs for name in pair}
    needed = [
        (low, high)
        for low, high in pairs
        if not any((low, mid) in pairs and (mid, high) in pairs for mid in names)
    ]
    return [Ordered(low, high) for low, high in sorted(needed)]
