"""From what was seen of a column to what it is: levels, a number, a constant, identifiers, text."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from gmkit.codecs.tables.columns import Column, Constant, Identifier, Levels, Template, Text, shown
from gmkit.codecs.tables.number_column import Number
from gmkit.codecs.tables.numbers import (
    Grid,
    from_numbers,
    grid_of,
    is_number,
    is_whole,
    plain_type,
)
from gmkit.codecs.tables.scaled_column import Scaled
from gmkit.codecs.tables.sketches import NumberSketch, ValueSketch
from gmkit.errors import ConfigError, DataError

Kind = Literal["number", "category", "identifier", "text", "constant"]
KNOTS = 4096
"""Values of the data that an empirical distribution goes through."""
_REPEATED = 0.01
"""Share of the rows from which on a value is an atom,"""
_STANDS_OUT = 3
"""if it occurs so many times as often as the column's values usually do, too."""
_SNAP = 5
"""Values that occur so often each are the only ones there are."""
_FEW_ROWS = 20
"""Below so many rows nothing is said to be unique."""
_TEMPLATES = 64
_ID_NAME = re.compile(r"(^|[_\W])(id|ids|uuid|guid|key|identifier)$|^id|Id$|ID$")


class TableConfig(BaseModel):
    """``codec.*`` options of tables."""

    model_config = ConfigDict(extra="forbid")

    columns: dict[str, Kind] = Field(default_factory=dict)
    """What a column is, where it is not to be inferred."""
    numbers: Literal["bins", "real", "scaled"] = "bins"
    """Numbers as classes and the place within, as real values that end with the data, or in units
    of the data's spread without an end."""
    unseen: bool = False
    """Whether there is a class for what a column never had, so that it is encoded, not refused."""
    bins: int = Field(64, ge=2, le=1024)
    """Bins of a number."""
    levels: int = Field(64, ge=2, le=4096)
    """Numbers of no more different values are levels."""
    categories: int = Field(256, ge=2, le=4096)
    """Classes of a category; further values are rare ones."""
    text: Literal["sample", "drop"] = "sample"
    """What free text becomes: drawn from the data's, or left out."""


Sketch = NumberSketch | ValueSketch


def learnable(kind: pa.DataType) -> bool:
    """Whether a model can learn a column of this type: not of nested values."""
    plain = plain_type(kind)
    nested = (pa.types.is_nested, pa.types.is_interval, pa.types.is_union)
    return not any(is_so(plain) for is_so in nested)


def new_sketch(name: str, kind: pa.DataType) -> Sketch:
    """For a column of this type. Raises DataError for one that no model can learn."""
    plain = plain_type(kind)
    if not learnable(kind):
        raise DataError(
            f"holds nested values ({str(plain)[:80]})",
            column=name,
            hint="Make columns of plain values of it, or leave it out.",
        )
    return NumberSketch() if is_number(plain) else ValueSketch()


def learned(
    name: str, kind: pa.DataType, prefix: str, sketch: Sketch, config: TableConfig
) -> Column:
    """The column. Raises ConfigError where it cannot be what ``config.columns`` says."""
    found = _learned(name, kind, prefix, sketch, config)
    return _with_unseen(found) if config.unseen else found


def _with_unseen(column: Column) -> Column:
    """The column with classes for values that it never had, and for missing ones."""
    if isinstance(column, Constant):
        known = column.value.drop_null()
        column = Levels(column.name, column.kind, column.prefix, known, False, True)
    if not isinstance(column, Levels):
        return column
    rare = column.values.slice(0, 0) if column.rare is None else column.rare
    return replace(column, missing=True, rare=rare)


def _learned(
    name: str, kind: pa.DataType, prefix: str, sketch: Sketch, config: TableConfig
) -> Column:
    wanted = config.columns.get(name)
    if isinstance(sketch, NumberSketch):
        return _of_numbers(name, kind, prefix, sketch, config, wanted)
    if wanted == "number":
        raise ConfigError(
            f"column {name!r} is {kind} and cannot be a number",
            hint="Say category, identifier, text or constant.",
        )
    return _of_values(name, kind, prefix, sketch, config, wanted)


# ------------------------------------------------------------ numbers


def _of_numbers(
    name: str,
    kind: pa.DataType,
    prefix: str,
    seen: NumberSketch,
    config: TableConfig,
    wanted: Kind | None,
) -> Column:
    plain = plain_type(kind)
    values, counts = seen.values, seen.counts
    distinct = len(values)
    special = [n for n in ("nan", "inf", "-inf") if seen.special[n]]
    if wanted == "text":
        raise ConfigError(f"column {name!r} is {kind} and cannot be text")
    if wanted == "constant" or (distinct + len(special) + bool(seen.missing) <= 1):
        return Constant(name, kind, prefix, _constant(values, counts, special, plain))
    unique = distinct == int(counts.sum()) and not special and not seen.missing
    if wanted == "identifier" or (wanted is None and unique and _counts_on(name, plain, values)):
        if not is_whole(plain) or pa.types.is_temporal(plain) or pa.types.is_decimal(plain):
            raise ConfigError(
                f"column {name!r} is {kind}: identifiers are whole numbers or texts",
                hint=f"Say number or category for {name!r}.",
            )
        return Identifier(name, kind, prefix, int(values[-1]) if distinct else 0)
    if config.numbers == "scaled" and wanted != "category" and distinct:
        return _scaled(name, kind, prefix, seen)
    few = distinct <= config.levels and wanted != "number"
    if not special and (few or wanted == "category"):
        known = from_numbers(values, np.ones(distinct, bool), plain)
        levels = dict(zip(known.to_pylist(), counts.tolist(), strict=True)) if not few else None
        if levels is not None and distinct > config.categories:
            return _categories(name, kind, prefix, Counter(levels), bool(seen.missing), config)
        return Levels(name, kind, prefix, known, wanted != "category", bool(seen.missing))
    return _number(name, kind, prefix, seen, special, config)


def _counts_on(name: str, plain: pa.DataType, values: NDArray[Any]) -> bool:
    """Whether unique whole numbers are row numbers, or are named like identifiers."""
    if not pa.types.is_integer(plain) or len(values) < _FEW_ROWS:
        return False
    consecutive = int(values[-1]) - int(values[0]) + 1 == len(values)
    return consecutive or bool(_ID_NAME.search(name))


def _constant(
    values: NDArray[Any], counts: NDArray[np.int64], special: list[str], plain: pa.DataType
) -> pa.Array:
    """The most frequent value, in a column of one row."""
    if len(values):
        return from_numbers(values[[int(np.argmax(counts))]], np.ones(1, bool), plain)
    if special:
        return pa.array([float(special[0])], plain)
    return pa.nulls(1, plain)


def _scaled(name: str, kind: pa.DataType, prefix: str, seen: NumberSketch) -> Scaled:
    """In units of the standard deviation; where that says nothing, of the middle half's width."""
    whole = is_whole(plain_type(kind))
    values = seen.values.astype(np.float64)
    weights = seen.counts / seen.counts.sum()
    # around the middle value first: far from zero, squares of small differences would be lost
    middle = values[int(np.searchsorted(np.cumsum(weights), 0.5).clip(max=len(values) - 1))]
    centre = float(((values - middle) * weights).sum())
    deviation = float(np.sqrt((((values - middle) - centre) ** 2 * weights).sum()))
    scale = deviation if np.isfinite(deviation) and deviation > 0 else 1.0
    centre = float(middle) + (centre if np.isfinite(centre) else 0.0)
    grid = grid_of(seen.values, whole)
    return Scaled(name, kind, prefix, grid, centre, scale, float(values[0]), float(values[-1]))


def _number(
    name: str,
    kind: pa.DataType,
    prefix: str,
    seen: NumberSketch,
    special: list[str],
    config: TableConfig,
) -> Number:
    values, counts = seen.values, seen.counts
    names = (["missing"] if seen.missing else []) + special
    if not len(values):
        grid = Grid(is_whole(plain_type(kind)))
        empty = np.empty(0)
        return Number(name, kind, prefix, grid, empty, empty, empty, tuple(names), 0, False)
    grid = grid_of(values, is_whole(plain_type(kind)))
    # far apart, whole numbers next to each other are the same float
    working, place = np.unique(grid.to_floats(values), return_inverse=True)
    counts = np.bincount(place, weights=counts).astype(np.int64)
    usual = float(np.median(counts))
    repeated = counts > max(_REPEATED * seen.rows, _STANDS_OUT * usual)
    rest, weights = working[~repeated], counts[~repeated].astype(np.float64)
    places = (np.cumsum(weights) - weights / 2) / weights.sum()
    snap = len(rest) <= KNOTS and weights.sum() >= _SNAP * len(rest)
    kept = _evenly(places, KNOTS)
    bins = min(config.bins, len(rest)) if config.numbers == "bins" else 0
    return Number(
        name,
        kind,
        prefix,
        grid,
        rest[kept],
        places[kept],
        working[repeated],
        tuple(names),
        bins,
        bool(snap),
    )


def _evenly(places: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Up to ``most`` of ascending places, the ends among them, as even as they lie."""
    if len(places) <= most:
        return np.arange(len(places))
    targets = np.linspace(places[0], places[-1], most)
    found = np.unique(np.clip(np.searchsorted(places, targets), 0, len(places) - 1))
    return np.union1d(found, [0, len(places) - 1])


# ------------------------------------------------------------ texts, booleans, bytes


def _of_values(
    name: str,
    kind: pa.DataType,
    prefix: str,
    seen: ValueSketch,
    config: TableConfig,
    wanted: Kind | None,
) -> Column:
    plain = plain_type(kind)
    missing = bool(seen.missing)
    if wanted == "constant" or len(seen.counts) + missing <= 1:
        most = max(
            sorted(seen.counts.items(), key=lambda i: i[0]), key=lambda i: i[1], default=None
        )
        return Constant(name, kind, prefix, pa.array([most[0] if most else None], plain))
    sort = wanted or _guess(name, plain, seen, config)
    if sort == "identifier":
        if not _is_text(plain):
            raise ConfigError(f"column {name!r} is {kind} and cannot be an identifier")
        return Identifier(name, kind, prefix, 0, tuple(_templates(seen.counts)))
    if sort == "text":
        kept = sorted(seen.counts) if config.text == "sample" else []
        return Text(name, kind, prefix, pa.array(kept, plain), missing)
    return _categories(name, kind, prefix, seen.counts, missing, config)


def _guess(name: str, plain: pa.DataType, seen: ValueSketch, config: TableConfig) -> Kind:
    """Identifiers are unique and short; text is mostly unique and long."""
    rows = seen.rows - seen.missing
    distinct = len(seen.counts)
    if not _is_text(plain) or seen.rows < _FEW_ROWS:
        return "category"
    texts = list(seen.counts)[:2000]
    length = sum(map(len, texts)) / len(texts)
    words = sum(any(c.isspace() for c in text) for text in texts) / len(texts)
    unique = distinct == rows and not seen.missing and not seen.dropped
    if (unique or seen.dropped) and words < 0.05 and length <= 64:
        return "identifier"
    if distinct > max(config.categories, rows / 2) or (distinct > rows / 2 and length > 30):
        return "text"
    return "category"


def _categories(
    name: str,
    kind: pa.DataType,
    prefix: str,
    counts: Counter[Any],
    missing: bool,
    config: TableConfig,
) -> Levels:
    """All values, or the most frequent of too many and the rest as rare ones."""
    plain = plain_type(kind)
    values = sorted(counts)
    if len(values) <= config.categories:
        return Levels(name, kind, prefix, pa.array(values, plain), False, missing)
    by_count = sorted(values, key=lambda value: -counts[value])
    common = sorted(by_count[: config.categories])
    rare = sorted(by_count[config.categories :])
    weights = tuple(counts[value] for value in rare)
    arrays = pa.array(common, plain), pa.array(rare, plain)
    return Levels(name, kind, prefix, arrays[0], False, missing, arrays[1], weights)


def _is_text(plain: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(plain)
        or pa.types.is_large_string(plain)
        or pa.types.is_string_view(plain)
    )


def _templates(texts: Iterable[str]) -> list[Template]:
    """Characters at each place, for each length; the commonest lengths only."""
    by_length: dict[int, list[str]] = {}
    for text in texts:
        by_length.setdefault(len(text), []).append(text)
    common = sorted(by_length, key=lambda n: (-len(by_length[n]), n))[:_TEMPLATES]
    return [
        Template(
            tuple(_alphabet(set(place)) for place in zip(*by_length[length], strict=True)),
            len(by_length[length]),
        )
        for length in common
    ]


def _alphabet(seen: set[str]) -> str:
    """The characters that a place takes: those seen, or of what they are clearly from, all."""
    if len(seen) > 1:
        for all_ in (string.digits, string.digits + "abcdef", string.digits + "ABCDEF"):
            if seen <= set(all_):
                return all_
        for all_ in (string.ascii_lowercase, string.ascii_uppercase):
            if seen <= set(all_) and len(seen) > 5:
                return all_
    return "".join(sorted(seen))


def unknown_columns(config: TableConfig, names: Iterable[str]) -> None:
    """Raise ConfigError where ``config.columns`` names one that is not there."""
    from gmkit.errors import did_you_mean

    known = list(names)
    for name in config.columns:
        if name not in known:
            raise ConfigError(
                f"columns names {shown(name)}, which the data does not have",
                hint=did_you_mean(name, known),
            )
