"""Arrow columns of numbers, dates, times and decimals ⇄ numpy, exactly where that is possible.

Integers, dates, timestamps, times, durations and decimals of up to 18 digits become int64 in the
column's own unit; floats, and decimals of more digits, float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmkit.data.arrow_arrays import arrow_array, numpy_array
from gmkit.errors import DataError

Values = NDArray[Any]
"""int64 or float64."""
Mask = NDArray[np.bool_]
_EXACT_DIGITS = 18
"""Decimals of so many digits fit an int64."""
_BELOW = float(np.nextafter(2.0**64, 0))
"""The greatest double that fits a uint64."""


_USUAL = {
    pa.string_view(): pa.large_string(),
    pa.binary_view(): pa.large_binary(),
    pa.float16(): pa.float32(),
}
"""Types that Arrow has few functions for → those that hold the same values."""


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type of the values themselves: without dictionary, run ends and extension, and one
    that Arrow computes with."""
    if isinstance(kind, pa.BaseExtensionType):
        return plain_type(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    return _USUAL.get(kind, kind)


def plain_column(column: pa.Array) -> pa.Array:
    """``column`` with values of ``plain_type``."""
    if isinstance(column.type, pa.BaseExtensionType):
        return plain_column(column.storage)
    if pa.types.is_dictionary(column.type):
        return plain_column(column.dictionary).take(column.indices)
    if pa.types.is_run_end_encoded(column.type):
        return plain_column(pa.compute.run_end_decode(column))
    return column.cast(_USUAL[column.type]) if column.type in _USUAL else column


def typed_column(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """A column of plain values as the type that it is stored in: the inverse of
    ``plain_column``."""
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, typed_column(column, kind.storage_type))
    if pa.types.is_dictionary(kind):
        encoded = typed_column(column, kind.value_type).dictionary_encode()
        indices = encoded.indices.cast(kind.index_type)
        return pa.DictionaryArray.from_arrays(indices, encoded.dictionary, ordered=kind.ordered)
    if pa.types.is_run_end_encoded(kind):
        values = typed_column(column, kind.value_type)
        return pa.compute.run_end_encode(values, run_end_type=kind.run_end_type)
    return column if column.type.equals(kind) else column.cast(kind)


def is_number(kind: pa.DataType) -> bool:
    """Whether values of this plain type lie on a line."""
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or (pa.types.is_temporal(kind) and not pa.types.is_interval(kind))
    )


def is_whole(kind: pa.DataType) -> bool:
    """Whether ``to_numbers`` gives int64."""
    if pa.types.is_decimal(kind):
        return bool(kind.precision <= _EXACT_DIGITS)
    return not pa.types.is_floating(kind)


def to_numbers(column: pa.Array) -> tuple[Values, Mask]:
    """A plain column → values (N,), any where missing, and which are not missing (N,)."""
    kind = column.type
    valid = numpy_array(column.is_valid()) if column.null_count else np.ones(len(column), bool)
    if pa.types.is_decimal(kind):
        return (_from_decimal(column) if is_whole(kind) else _as_floats(column)), valid
    if pa.types.is_floating(kind):
        return _as_floats(column), valid
    if pa.types.is_temporal(kind):
        column = column.view(pa.int32() if kind.bit_width == 32 else pa.int64())
    values = numpy_array(column, 0)
    if pa.types.is_uint64(kind):  # in order, and none too large
        return (values ^ np.uint64(1 << 63)).view(np.int64), valid
    return values.astype(np.int64), valid


def from_numbers(values: Values, valid: Mask, kind: pa.DataType) -> pa.Array:
    """The inverse of ``to_numbers``; numbers outside the type's range take its ends."""
    missing = ~valid
    if pa.types.is_decimal(kind):
        if is_whole(kind):
            return _to_decimal(values.astype(np.int64), missing, kind)
        most = 10.0 ** (kind.precision - kind.scale) * (1 - 1e-12)
        floats = np.clip(values, -most, most)
        texts = [f"{value:.{kind.scale}f}" for value in floats.tolist()]
        exact = pa.array(texts, pa.string(), mask=missing)
        return exact.cast(kind)
    if pa.types.is_floating(kind):
        limits = np.finfo(kind.to_pandas_dtype())
        inside = np.where(np.isfinite(values), np.clip(values, limits.min, limits.max), values)
        return arrow_array(inside.astype(kind.to_pandas_dtype()), missing).cast(kind)
    if pa.types.is_uint64(kind):
        return arrow_array(values.astype(np.int64).view(np.uint64) ^ np.uint64(1 << 63), missing)
    if pa.types.is_temporal(kind):
        width = pa.int32() if kind.bit_width == 32 else pa.int64()
        whole = values.astype(width.to_pandas_dtype())
        return arrow_array(whole, missing).view(kind)
    bounds = np.iinfo(kind.to_pandas_dtype())
    whole = np.clip(values, bounds.min, bounds.max).astype(kind.to_pandas_dtype())
    return arrow_array(whole, missing)


@dataclass(frozen=True)
class Grid:
    """Whole numbers as multiples of ``step`` from ``origin``, up to ``last`` of them; floats
    rounded to ``decimals`` (None: as they are).

    Grids keep what a data owner means by rounding: amounts in fives, times at full hours.
    """

    whole: bool
    origin: int = 0
    step: int = 1
    last: int = 0
    decimals: int | None = None

    def to_floats(self, values: Values) -> NDArray[np.float64]:
        """Working numbers, float64."""
        if not self.whole:
            return values.astype(np.float64)
        distance = values.astype(np.int64).view(np.uint64) - np.uint64(self.origin % 2**64)
        return (distance / np.float64(self.step)).astype(np.float64)

    def from_floats(self, numbers: NDArray[np.float64]) -> Values:
        """Values on the grid nearest to working numbers."""
        if not self.whole:
            return numbers if self.decimals is None else np.round(numbers, self.decimals)
        inside = np.clip(np.rint(numbers), 0, _BELOW)
        steps = np.minimum(inside.astype(np.uint64), np.uint64(self.last))
        steps = np.where(numbers >= float(self.last), np.uint64(self.last), steps)
        moved = steps * np.uint64(self.step) + np.uint64(self.origin % 2**64)
        return moved.view(np.int64)


def grid_of(distinct: Values, whole: bool) -> Grid:
    """The coarsest grid that all of ``distinct``, sorted and finite, lie on."""
    if whole:
        low, high = int(distinct[0]), int(distinct[-1])
        distances = distinct.astype(np.int64).view(np.uint64) - np.uint64(low % 2**64)
        step = int(np.gcd.reduce(distances)) or 1
        return Grid(True, low, step, (high - low) // step)
    for decimals in range(8):
        if np.array_equal(np.round(distinct, decimals), distinct):
            return Grid(False, decimals=decimals)
    return Grid(False)


def _as_floats(column: pa.Array) -> NDArray[np.float64]:
    try:
        floats = column.cast(pa.float64())
    except pa.ArrowInvalid as fault:
        raise DataError(f"holds what is no number: {fault}") from fault
    return numpy_array(floats, 0)


def _from_decimal(column: pa.Array) -> NDArray[np.int64]:
    kind = pa.decimal128(_EXACT_DIGITS, column.type.scale)
    filled = column.cast(pa.decimal128(38, column.type.scale)).cast(kind, safe=False)
    words = np.frombuffer(filled.buffers()[1], dtype=np.int64)
    low = words[2 * filled.offset : 2 * (filled.offset + len(filled)) : 2]
    return np.where(np.asarray(column.is_valid()), low, 0)


def _to_decimal(values: NDArray[np.int64], missing: Mask, kind: pa.DataType) -> pa.Array:
    most = 10**kind.precision - 1
    low = np.clip(values, -most, most)
    words = np.stack([low, low >> 63], axis=1).copy()  # the second word holds the sign
    plain = pa.decimal128(kind.precision, kind.scale)
    validity = pa.array(~missing).buffers()[1]
    column = pa.Array.from_buffers(plain, len(low), [validity, pa.py_buffer(words)])
    return column if plain.equals(kind) else column.cast(kind)
