"""Time series: each row beside what the rows before it in time were like.

For each number x of a row: x itself, its mean and spread over the window of W rows before it, how
far x lies from that mean in these spreads, and how far from the row just before. A detector of rows
then sees what is unusual for its time. The first W rows have no whole window before them: they
share the first there is, or they would all be unusual for having seen so little.

A table may hold several series, told apart by a group key: no window reaches from one into another,
and neither the key nor the time is looked at, so that a new series is judged by its own past.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmkit.codecs.tables.numbers import is_number, plain_column, to_numbers
from gmkit.errors import ConfigError, DataError, did_you_mean

WORDS = ("mean of {} before", "spread of {} before", "deviation from {} before", "step")
"""What is told of a number: mean and spread of the window, the distance from that mean in these
spreads, and that from the row before."""
_LEARNED = re.compile(r" mean of (\d+) before$")
Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """How the rows of a table make time series."""

    size: int
    """Rows before that a row is judged by."""
    group_key: str = ""
    """The column that tells series apart; none: the table is one."""
    time: str = ""
    """The column of times; none: the first of that type."""

    def columns(self, schema: pa.Schema) -> tuple[str, str]:
        """(time, group key or nothing). Raises DataError for one that is not there."""
        for option, name in (("--group-key", self.group_key), ("--time", self.time)):
            if name and name not in schema.names:
                raise DataError(
                    f"{option} names a column that is not there",
                    column=name,
                    hint=did_you_mean(name, schema.names)
                    or f"Columns: {', '.join(schema.names[:12])}.",
                )
        time = self.time or time_column(schema)
        if time == self.group_key:
            raise ConfigError(
                f"{time!r} cannot be both the time and the group key",
                hint="Name the column that tells series apart, such as a sensor's name.",
            )
        kind = schema.field(time).type
        if not (is_number(kind) or pa.types.is_temporal(kind)):
            raise DataError(
                f"is {kind}: rows cannot be put in order by it",
                column=time,
                hint="Name a column of timestamps, dates or numbers with --time.",
            )
        return time, self.group_key


def times_of(schema: pa.Schema) -> list[str]:
    """Columns of timestamps or dates."""
    is_time = (pa.types.is_timestamp, pa.types.is_date)
    return [str(f.name) for f in schema if any(it(f.type) for it in is_time)]


def time_column(schema: pa.Schema) -> str:
    """The first column of timestamps or dates. Raises DataError for none."""
    for name in times_of(schema):
        return name
    raise DataError(
        "--window needs a column of timestamps or dates, and there is none",
        hint=f"Columns: {', '.join(schema.names[:12])}. Write times as 2024-01-31T12:00:00, or "
        "name a column of numbers to order rows by: --time COLUMN.",
    )


def window_learned(names: Iterable[str]) -> int | None:
    """The window that columns of these names were made with; None for none."""
    found = map(_LEARNED.search, names)
    return next((int(match[1]) for match in found if match), None)


def made_of(name: str, size: int) -> list[str]:
    """The columns that windows add for a column of numbers."""
    return [f"{name} {word.format(size)}" for word in WORDS]


@dataclass(frozen=True)
class Order:
    """Rows series after series, each by time, earlier in the table first where times are alike."""

    rows: Numbers
    """(N,) places in the table."""
    starts: Numbers
    """(N,) where the series of the row at this place of ``rows`` begins,"""
    ends: Numbers
    """and ends."""
    alike: int
    """Rows with the time of another of their series."""

    @property
    def series(self) -> int:
        """How many."""
        return len(np.unique(self.starts))


def ordered(table: pa.Table, windows: Windows) -> Order:
    """Raises DataError without times, or where one is missing."""
    name, key = windows.columns(table.schema)
    column = plain_column(table.column(name).combine_chunks())
    times, known = to_numbers(column)
    known = known & np.isfinite(times) if times.dtype.kind == "f" else known
    if not known.all():
        row = int(np.flatnonzero(~known)[0])
        raise DataError("is missing: rows cannot be put in order", row=row, column=name)
    codes = np.zeros(len(times), np.int64)
    if key:
        keys = plain_column(table.column(key).combine_chunks())
        codes = np.asarray(keys.dictionary_encode(null_encoding="encode").indices, np.int64)
    rows = np.lexsort((times, codes))
    first = np.ones(len(rows), bool)
    first[1:] = np.diff(codes[rows]) != 0
    heads = np.flatnonzero(first)
    sizes = np.diff(heads, append=len(rows))
    alike = int(((np.diff(times[rows]) == 0) & ~first[1:]).sum())
    return Order(rows, np.repeat(heads, sizes), np.repeat(heads + sizes, sizes), alike)


def windowed(table: pa.Table, windows: Windows, order: Order | None = None) -> pa.Table:
    """The table with four columns more for each number, less time and key, rows in their own order.
    ``order``: of its rows, where it is known. Raises DataError as ``ordered``."""
    apart = windows.columns(table.schema)
    order = order or ordered(table, windows)
    for field in table.schema:
        temporal = pa.types.is_temporal(field.type)
        if field.name in apart or temporal or not is_number(field.type):
            continue
        values, valid = to_numbers(plain_column(table.column(field.name).combine_chunks()))
        numbers = np.where(valid, values.astype(np.float64), np.nan)
        numbers[~np.isfinite(numbers)] = np.nan
        found = _told(numbers[order.rows], order, windows.size)
        for name, told in zip(made_of(field.name, windows.size), found, strict=True):
            if name in table.column_names:
                raise DataError(
                    "has a name that windows give", column=name, hint="Rename this column."
                )
            back = np.empty_like(told)
            back[order.rows] = told
            column = pa.array(back, mask=np.isnan(back))
            table = table.append_column(name, column)
    return table.drop_columns([name for name in apart if name])


def _told(numbers: Floats, order: Order, size: int) -> tuple[Floats, Floats, Floats, Floats]:
    """(N,) of numbers in order, as ``WORDS``."""
    mean, spread = _before(numbers, order, size)
    change = (numbers - mean) / np.maximum(spread, 1e-12 + 1e-9 * np.abs(mean))
    step = np.diff(numbers, prepend=numbers[:1])
    first = order.starts == np.arange(len(numbers))
    alone = order.ends - order.starts == 1
    step[first & alone] = 0.0
    heads = np.flatnonzero(first & ~alone)
    step[heads] = step[heads + 1]
    return mean, spread, change, step


def _before(values: Floats, order: Order, size: int) -> tuple[Floats, Floats]:
    """Mean and spread of the known values among the ``size`` before each in its series, of the
    first ``size`` among these; NaN of fewer than two."""
    if not len(values):
        return values, values
    known = ~np.isnan(values)
    heads, of = np.unique(order.starts, return_inverse=True)
    many = np.maximum(np.add.reduceat(known.astype(np.float64), heads), 1)
    middle = (np.add.reduceat(np.where(known, values, 0.0), heads) / many)[of]
    filled = np.where(known, values - middle, 0.0)  # squares of large numbers would lose the rest
    reach = np.minimum(size, order.ends - order.starts)
    ends = np.maximum(np.arange(len(values)), order.starts + reach)
    starts = ends - reach

    def total(parts: Floats) -> Floats:
        sums = np.concatenate([[0.0], np.cumsum(parts)])
        return np.asarray(sums[ends] - sums[starts])

    count = total(known.astype(np.float64))
    enough = count >= 2
    some = np.maximum(count, 1)
    mean = total(filled) / some
    spread = np.sqrt(np.maximum(total(filled**2) / some - mean**2, 0))
    return np.where(enough, mean + middle, np.nan), np.where(enough, spread, np.nan)
