"""What must hold in every new row, as the user declares it.

    start<=end, 18<=age<=67      comparisons, with a value or another column
    unique(order, line)          no two rows, old or new, have the same values there
    fixed(city, country)         only combinations of values that the data has
    total=net+tax                a column is the sum of others

On the command line (``--constraint``), or as ``constraints = […]`` in the columns file. Those that
contradict each other are refused before anything is learned.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gmkit.codecs.tables.numbers import from_numbers, is_number, plain_column, plain_type
from gmkit.codecs.tables.row_keys import row_keys
from gmkit.errors import ConfigError, DataError, did_you_mean
from gmkit_augmentation.conditions import Condition, Mask, parse_conditions

_CALL = re.compile(r"\s*(unique|fixed)\s*\((.*)\)\s*", re.DOTALL)
_CHAIN = re.compile(r"([^<>=!]+)(<=|<)([^<>=!]+)(<=|<)([^<>=!]+)")
_BACKWARDS = {"<": ">", "<=": ">="}
_SUM = re.compile(r"([^<>=!+]+)=([^<>=!]+\+[^<>=!]+)")


@dataclass(frozen=True)
class Sum:
    """``total`` is the sum of ``parts``, and made so where none of them is missing."""

    total: str
    parts: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.total} = {' + '.join(self.parts)}"

    def repaired(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with the sum in its place, as the column's type holds it."""
        place = batch.schema.get_field_index(self.total)
        kind = batch.schema.field(place).type
        summed = self._summed(batch, plain_type(kind))
        typed = summed if summed.type.equals(kind) else summed.cast(kind)
        return batch.set_column(place, batch.schema.field(place), typed)

    def _summed(self, batch: pa.RecordBatch, kind: pa.DataType) -> pa.Array:
        columns = [plain_column(batch.column(name)) for name in self.parts]
        whole = columns[0]
        for column in columns[1:]:
            whole = pc.add(whole, column)
        if pa.types.is_floating(kind) or pa.types.is_integer(kind):
            valid = np.asarray(whole.is_valid())
            numbers = np.asarray(whole.cast(pa.float64()).fill_null(0.0))
            if pa.types.is_floating(kind):
                numbers = np.round(numbers, 9)  # 0.1 + 0.2
            elif pa.types.is_integer(whole.type):
                return whole.cast(kind, safe=False)
            return from_numbers(
                np.rint(numbers) if pa.types.is_integer(kind) else numbers, valid, kind
            )
        return whole.cast(kind, safe=False)


@dataclass(frozen=True)
class Keys:
    """``unique`` or ``fixed`` columns."""

    columns: tuple[str, ...]

    def of(self, batch: pa.RecordBatch) -> list[bytes]:
        """A key for each row."""
        found: list[bytes] = row_keys(batch.select(list(self.columns))).to_pylist()
        return found


@dataclass(frozen=True)
class Constraints:
    """All that was declared."""

    conditions: tuple[Condition, ...] = ()
    unique: tuple[Keys, ...] = ()
    fixed: tuple[Keys, ...] = ()
    sums: tuple[Sum, ...] = ()

    @property
    def keyed(self) -> bool:
        """Whether the rows of the data must be looked through."""
        return bool(self.unique or self.fixed)

    @property
    def names(self) -> list[str]:
        """For people."""
        told = [c.text for c in self.conditions]
        told += [f"unique({', '.join(k.columns)})" for k in self.unique]
        told += [f"fixed({', '.join(k.columns)})" for k in self.fixed]
        return told + [str(s) for s in self.sums]

    def repaired(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Sums put right."""
        for rule in self.sums:
            batch = rule.repaired(batch)
        return batch


@dataclass
class Seen:
    """Keys of the rows there are: what ``unique`` and ``fixed`` are held against. Eight bytes of
    hash would not do for a promise, so keys are kept whole."""

    constraints: Constraints
    unique: list[set[bytes]] = field(default_factory=list)
    fixed: list[set[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.unique = [set() for _ in self.constraints.unique]
        self.fixed = [set() for _ in self.constraints.fixed]

    @property
    def needed(self) -> bool:
        """Whether the data must be looked through."""
        return bool(self.unique or self.fixed)

    def originals(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Take in rows of the data."""
        for batch in batches:
            self.take(batch)
            for keys, known in zip(self.constraints.fixed, self.fixed, strict=True):
                known.update(keys.of(batch))

    def take(self, batch: pa.RecordBatch) -> None:
        """Take in rows that stay."""
        for keys, known in zip(self.constraints.unique, self.unique, strict=True):
            known.update(keys.of(batch))

    def mask(self, batch: pa.RecordBatch) -> Mask:
        """Rows whose keys are new, or known, as they should be."""
        kept = np.ones(len(batch), bool)
        for keys, known in zip(self.constraints.fixed, self.fixed, strict=True):
            kept &= np.fromiter((k in known for k in keys.of(batch)), bool, len(batch))
        for keys, known in zip(self.constraints.unique, self.unique, strict=True):
            here: set[bytes] = set()
            for row, key in enumerate(keys.of(batch)):
                kept[row] &= key not in known and key not in here
                if kept[row]:
                    here.add(key)
        return kept


def parse_constraints(texts: Sequence[str], schema: pa.Schema, option: str) -> Constraints:
    """Raises DataError for unknown columns, ConfigError for what cannot be understood or met."""
    conditions: list[Condition] = []
    unique: list[Keys] = []
    fixed: list[Keys] = []
    sums: list[Sum] = []
    for text in texts:
        if call := _CALL.fullmatch(text):
            names = tuple(_column(n, schema, option) for n in call[2].split(","))
            (unique if call[1] == "unique" else fixed).append(Keys(names))
        elif (sum_ := _SUM.fullmatch(text)) and text.strip() not in schema.names:
            parts = tuple(_column(n, schema, option) for n in sum_[2].split("+"))
            sums.append(_checked_sum(Sum(_column(sum_[1], schema, option), parts), schema, option))
        elif chain := _CHAIN.fullmatch(text):
            low, first, middle, second, high = (part.strip() for part in chain.groups())
            halves = [f"{middle}{_BACKWARDS[first]}{low}", f"{middle}{second}{high}"]
            conditions += parse_conditions(halves, schema, option, columns=True)
        else:
            conditions += parse_conditions([text], schema, option, columns=True)
    found = Constraints(tuple(conditions), tuple(unique), tuple(fixed), tuple(sums))
    _refuse_contradictions(found.conditions, option)
    return found


def _column(text: str, schema: pa.Schema, option: str) -> str:
    name = text.strip().strip('"')
    if name not in schema.names:
        raise DataError(
            f"{option} names a column that the table does not have",
            column=name,
            hint=did_you_mean(name, schema.names),
        )
    return name


def _checked_sum(rule: Sum, schema: pa.Schema, option: str) -> Sum:
    for name in (rule.total, *rule.parts):
        kind = plain_type(schema.field(name).type)
        if not is_number(kind) or pa.types.is_temporal(kind):
            raise ConfigError(f"{option} {str(rule)!r}: column {name!r} is {kind}, no number")
    if rule.total in rule.parts:
        raise ConfigError(f"{option} {str(rule)!r}: {rule.total!r} cannot be a part of itself")
    return rule


def _refuse_contradictions(conditions: Sequence[Condition], option: str) -> None:
    """Bounds that leave nothing between them, and orders that go in a circle."""
    for one in conditions:
        for other in conditions:
            if one.column != other.column or one.value is None or other.value is None:
                continue
            if not _possible(one, other):
                raise ConfigError(
                    f"{option}: no row can meet both {one.text} and {other.text}",
                    hint="Take one of them out.",
                )
    below = [_as_below(c) for c in conditions if c.other and c.operator not in ("=", "!=")]
    reach = {(a, b): strict for a, b, strict in below}
    names = sorted({name for pair in reach for name in pair})
    for mid in names:
        for a in names:
            for b in names:
                if (a, mid) in reach and (mid, b) in reach:
                    strict = reach[a, mid] or reach[mid, b]
                    reach[a, b] = reach.get((a, b), False) or strict
    circle = next((a for a in names if reach.get((a, a))), None)
    if circle is not None:
        told = ", ".join(c.text for c in conditions if c.other)
        raise ConfigError(
            f"{option}: {told} contradict each other: {circle!r} would be less than itself",
            hint="Take one of them out.",
        )


def _as_below(condition: Condition) -> tuple[str, str, bool]:
    """(lesser, greater, whether they differ)."""
    a, b = condition.column, condition.other
    strict = condition.operator in ("<", ">")
    return (a, b, strict) if condition.operator.startswith("<") else (b, a, strict)


def _possible(one: Condition, other: Condition) -> bool:
    """Whether some value can meet both, as far as their bounds tell."""
    assert one.value is not None and other.value is not None
    if one.operator == "=":
        candidate = pa.array([one.value.as_py()], one.value.type)
        test = {"=": pc.equal, "!=": pc.not_equal, "<": pc.less, ">": pc.greater}
        test |= {"<=": pc.less_equal, ">=": pc.greater_equal}
        return bool(test[other.operator](candidate, other.value)[0].as_py())
    if one.operator in (">", ">=") and other.operator in ("<", "<="):
        equal = pc.equal(one.value, other.value).as_py()
        both = one.operator == ">=" and other.operator == "<="
        return bool(pc.less(one.value, other.value).as_py() or (equal and both))
    return True
