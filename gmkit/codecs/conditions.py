"""The columns a model is conditioned on: a small codec that the domains' codecs are composed of.

    numbers (floating, decimal, or integers of many values)      → Real, standardised
    text, booleans, integers of up to 64 values, dictionaries    → Categorical of the known values

A domain's codec makes one of its option ``condition`` (names of columns), and passes on to it what
it is given itself: ``prepare``, ``add`` while fitting, ``merge``, ``encode``, ``decode``. Its Space
then is ``conditions.joined(fields)``. A record whose condition is missing cannot be used: what
would a model be told, and who would ask for it?
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gmkit.codecs.codec import Batch, CodecState, Prepared, Reject
from gmkit.codecs.condition_columns import (
    CHOICES,
    Choice,
    Column,
    Number,
    Numbers,
    column_from_json,
    numbers,
    plain,
    roomy,
    stored_type,
    unusable,
    usable_numbers,
)
from gmkit.codecs.moments import Moments
from gmkit.errors import ArtifactError, ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    from gmkit.fields import Field, Space

FEW = 64
"""Integers of no more different values are taken for categories."""
_MOST_COLUMNS = 1000


class Conditions:
    """Conditions of a model, in the order they were named; falsy when there are none."""

    def __init__(self, columns: Sequence[str] = ()) -> None:
        """``columns``: their names. Raises ConfigError for an empty one, or one given twice."""
        self.names = tuple(columns)
        for name in self.names:
            if not name or self.names.count(name) > 1:
                raise ConfigError(
                    f"condition {name!r} was given twice" if name else "a condition has no name",
                    hint="Name each column once: --condition label,qed",
                )
        self._seen: dict[str, _Seen] | None = None
        self._columns: dict[str, Column] | None = {} if not self.names else None

    def __bool__(self) -> bool:
        return bool(self.names)

    # ------------------------------------------------------------ records

    def prepare(self, records: pa.RecordBatch, first_row: int = 0) -> Prepared:
        """Set aside records whose conditions are missing or no finite numbers; pure, as
        ``Codec.prepare``. Raises DataError for a column that is not there or cannot be one."""
        reasons: dict[int, Reject] = {}
        for name in reversed(self.names):  # the first of several faults is the one told
            column = _column(records, name)
            for row in np.flatnonzero(~_usable(column)).tolist():
                value = column[row].as_py()
                text = "" if value is None else str(value)
                reasons[row] = Reject(first_row + row, name, text, unusable(value))
        if not reasons:
            return Prepared(records, [])
        kept = np.setdiff1d(np.arange(len(records)), list(reasons))
        return Prepared(records.take(pa.array(kept)), [reasons[row] for row in sorted(reasons)])

    # ------------------------------------------------------------ learning

    def fit(self, batches: Iterable[pa.RecordBatch]) -> Self:
        """Learn from prepared records. Order and batching do not matter. Raises DataError."""
        self._seen = None
        for batch in batches:
            self.add(batch)
        return self

    def add(self, records: pa.RecordBatch) -> None:
        """Learn from some records more, for a codec that goes over them itself."""
        if self._seen is None:
            self._seen = {}
        self._columns = None if self.names else {}
        for name in self.names:
            column = _column(records, name)
            if name not in self._seen:
                self._seen[name] = _Seen(name, column.type)
            self._seen[name].add(column)

    def merge(self, other: Self) -> Self:
        """As if fitted on both parts. Raises ConfigError when one is not fresh from ``fit``, or
        they are of different columns; DataError when a column's types differ."""
        both = type(self)(self.names)
        if self.names != other.names:
            raise ConfigError(f"conditions of different columns: {self.names} and {other.names}")
        if not self.names:
            return both
        if self._seen is None or other._seen is None:
            raise ConfigError("only conditions fresh from fit can be merged")
        both._seen = dict(self._seen)
        for name, seen in other._seen.items():
            both._seen[name] = both._seen[name].merge(seen) if name in both._seen else seen
        return both

    @property
    def columns(self) -> Mapping[str, Column]:
        """What was learned of each. Raises DataError for a text of too many values."""
        if self._columns is None:
            if not self._seen:
                raise ConfigError("the conditions are not fitted")
            self._columns = {name: self._seen[name].learned() for name in self.names}
        return self._columns

    # ------------------------------------------------------------ tensors

    @property
    def space(self) -> Space | None:
        """A field for each column, under its name; None without columns."""
        from gmkit.fields import Space

        fields = {name: column.field for name, column in self.columns.items()}
        return Space(fields) if fields else None

    def joined(self, fields: Mapping[str, Field]) -> Space:
        """A codec's whole Space. Raises ConfigError for a condition named like a field."""
        from gmkit.fields import Space

        for name in self.names:
            if name in fields:
                raise ConfigError(
                    f"{name!r} is what the model makes, so it cannot be its condition",
                    hint="Name another column, or rename yours.",
                )
        return Space(fields, self.space)

    def encode(self, records: pa.RecordBatch) -> Batch:
        """Name → tensor (N,): float32, or the class as int16. Raises DataError with row and
        column for a missing or unknown value."""
        import torch

        return {
            name: torch.from_numpy(column.encode(_column(records, name)))
            for name, column in self.columns.items()
        }

    def decode(self, batch: Batch) -> dict[str, pa.Array]:
        """Name → values of the column's own type, for those that ``batch`` has."""
        return {
            name: column.decode(batch[name])
            for name, column in self.columns.items()
            if name in batch
        }

    # ------------------------------------------------------------ asking for values

    def parse(self, where: Mapping[str, Any]) -> tuple[Batch, list[str]]:
        """Values asked for, as text or numbers → name → tensor (1,), and notes for the user.

        Raises ConfigError for an unknown name or category, or a text that is no number.
        """
        import torch

        asked, notes = {}, []
        for name, value in where.items():
            if name not in self.columns:
                raise self._unknown(name)
            text = str(value).lower() if isinstance(value, bool) else str(value)
            found = self.columns[name].parse(text)
            asked[name] = torch.tensor([found.number], dtype=self.columns[name].field.dtype)
            notes += [found.note] if found.note else []
        return asked, notes

    def _unknown(self, name: str) -> ConfigError:
        if not self.names:
            return ConfigError(
                f"{name!r} cannot be asked for: the model was trained without conditions",
                hint=f"Train one with --condition {name}",
            )
        near = did_you_mean(name, self.names)
        known = "; ".join(f"{n}: {column.describe()}" for n, column in self.columns.items())
        hint = f"It was trained on {known}."
        return ConfigError(
            f"the model has no condition {name!r}",
            hint=f"{near} {hint}" if near.startswith("Did") else hint,
        )

    def describe(self) -> dict[str, str]:
        """For people: name → what it may be."""
        return {name: column.describe() for name, column in self.columns.items()}

    def example(self) -> str:
        """A ``--where`` text that asks for a value there is; empty without conditions."""
        from gmkit.codecs.where import written

        first = next(iter(self.columns.values()), None)
        return "" if first is None else written({first.name: first.example()})

    # ------------------------------------------------------------ storage

    def state(self) -> CodecState:
        """What ``from_state`` needs. Facts alone: no tensors."""
        return CodecState({"columns": [column.to_json() for column in self.columns.values()]})

    @classmethod
    def from_state(cls, state: CodecState) -> Self:
        """The inverse of ``state``. Raises ArtifactError."""
        facts = state.facts
        columns = facts.get("columns") if isinstance(facts, dict) else None
        if not isinstance(columns, list) or len(columns) > _MOST_COLUMNS:
            raise ArtifactError("the conditions are no list of columns")
        known = {column.name: column for column in map(column_from_json, columns)}
        if len(known) < len(columns):
            raise ArtifactError("a condition's name is used twice")
        restored = cls(tuple(known))
        restored._columns = known
        return restored


class _Seen:
    """What is gathered of one column: exact and bounded, whatever the order."""

    def __init__(self, name: str, kind: pa.DataType) -> None:
        self.name, self.kind = name, kind
        self.moments = Moments()
        self.values: set[Any] | None = None if pa.types.is_floating(plain(_stored(kind))) else set()
        """Different values; None for numbers, or when there are more than the limit."""

    @property
    def limit(self) -> int:
        """Most different values that are still categories."""
        return FEW if pa.types.is_integer(plain(self.kind)) else CHOICES

    def add(self, column: pa.Array) -> None:
        """Some values more. Raises DataError for another type, or missing values."""
        self._same(column.type)
        if not _usable(column).all():
            raise DataError("has missing values or such as are not finite", column=self.name)
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pa.types.is_integer(column.type) or pa.types.is_floating(_stored(column.type)):
            self.moments.add(numbers(column))
        if self.values is not None:
            self._keep(self.values | set(pc.unique(column).to_pylist()))

    def merge(self, other: _Seen) -> _Seen:
        """Of both; neither is changed."""
        self._same(other.kind)
        both = _Seen(self.name, self.kind)
        both.moments = self.moments.merge(other.moments)
        if self.values is None or other.values is None:
            both.values = None
        else:
            both._keep(self.values | other.values)
        return both

    def learned(self) -> Column:
        """The column as a model gets it."""
        kind = _stored(self.kind)
        if self.values:
            values = tuple(sorted(self.values))
            return Choice(self.name, roomy(kind, len(values)), values)
        if self.moments.count:
            moments = self.moments
            facts = moments.mean, moments.deviation, moments.low, moments.high
            return Number(self.name, plain(kind), *facts)
        if self.values is None:
            raise DataError(
                f"has more than {CHOICES:,} different texts: too many to be a condition",
                column=self.name,
                hint="Numbers stored as text must be stored as numbers; names of groups are fine.",
            )
        raise DataError("no record to learn the condition from", column=self.name)

    def _keep(self, values: set[Any]) -> None:
        self.values = values if len(values) <= self.limit else None

    def _same(self, kind: pa.DataType) -> None:
        if kind != self.kind:
            raise DataError(f"holds {kind} here and {self.kind} elsewhere", column=self.name)


def _column(records: pa.RecordBatch, name: str) -> pa.Array:
    """Raises DataError for one that is not there, or of a type that no condition has."""
    if name not in records.schema.names:
        known = records.schema.names
        raise DataError(
            f"no column {name!r} for the condition; there are {', '.join(known) or 'none'}",
            hint=did_you_mean(name, known),
        )
    column = records.column(name)
    if stored_type(column.type) is None:
        raise DataError(
            f"holds {column.type}, which cannot be a condition",
            column=name,
            hint="A condition is a number, a text or a boolean.",
        )
    return column


def _stored(kind: pa.DataType) -> pa.DataType:
    found = stored_type(kind)
    assert found is not None  # seen by _column
    return found


def _usable(column: pa.Array) -> Numbers:
    """Mask (N,) of values that are there, and if they are numbers finite."""
    if pa.types.is_floating(plain(_stored(column.type))):
        return usable_numbers(numbers(column))
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()  # its values may be missing, too
    return np.asarray(column.is_valid(), dtype=bool)
