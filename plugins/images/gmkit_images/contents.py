"""What an Arrow column of images holds, whatever its type: encoded bytes, or pixels.

    binary of any kind                      encoded files
    struct {bytes, path}                    the same, as Hugging Face's datasets store them
    fixed-shape tensor, lists of integers   pixels: (H, W), (H, W, C) or (C, H, W)

A flat list says its shape in the field's metadata (``shape: "28,28"``, or ``height`` and
``width``), or is a square of one or three channels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gmkit.errors import DataError
from gmkit_images.decoding import ImageError
from gmkit_images.png import MOST_PIXELS, Pixels

__all__ = ["Content", "contents"]

Content = bytes | Pixels | ImageError
"""An encoded image, pixels (H, W, C), or why there is none."""

_HINT = "Name the column that holds the images: --column NAME."


def contents(column: pa.Array, field: pa.Field) -> list[Content]:
    """What each row holds. Raises DataError for a column of a type that no image has."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return contents(column.dictionary_decode(), field.with_type(kind.value_type))
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        inner = pc.struct_field(column, "bytes")  # missing where the struct is
        return contents(inner, pa.field(field.name, inner.type))
    if _is_binary(kind):
        missing = ImageError("is missing")
        return [missing if value is None else value for value in column.to_pylist()]
    if isinstance(kind, pa.FixedShapeTensorType):
        # as stored: a permutation only renames dimensions, which are known by their sizes
        return _lists(column.storage, tuple(kind.shape))
    if pa.types.is_null(kind):
        return [ImageError("is missing")] * len(column)
    if _is_list(kind) and pa.types.is_integer(_innermost(kind)):
        return _lists(column, _told_shape(field))
    raise DataError(f"holds {kind}, not images", column=field.name, hint=_HINT)


def _lists(column: pa.Array, shape: tuple[int, ...] | None) -> list[Content]:
    if pa.types.is_fixed_size_list(column.type) and column.type.value_type == pa.uint8():
        flat = column.drop_null().flatten()
        if not flat.null_count:
            values = flat.to_numpy().reshape(-1, column.type.list_size)
            rows = iter(values)
            valid = column.is_valid().to_pylist()
            return [_pixels(next(rows), shape) if ok else ImageError("is missing") for ok in valid]
    return [
        ImageError("is missing") if value is None else _pixels(value, shape)
        for value in column.to_pylist()
    ]


def _pixels(value: Any, shape: tuple[int, ...] | None) -> Content:
    """(H, W, C) of nested lists of integers, or the reason why they are none."""
    try:
        array = np.asarray(value)
    except ValueError:
        return ImageError("rows of different lengths")
    if array.dtype.kind not in "iu":
        return ImageError("values that are missing or no integers")
    if array.dtype != np.uint8 and array.size and not 0 <= array.min() <= array.max() <= 255:
        return ImageError("values outside 0 … 255")
    if array.ndim == 1:
        whole = shape or _guessed(array.size)
        if whole is None or math.prod(whole) != array.size:
            wanted = " × ".join(map(str, whole)) if whole else "a square image"
            return ImageError(f"{array.size} values, which do not make {wanted}")
        array = array.reshape(whole)
    if array.ndim == 2:
        array = array[..., None]
    elif array.ndim == 3 and array.shape[-1] not in (1, 3) and array.shape[0] in (1, 3):
        array = array.transpose(1, 2, 0)
    if array.ndim != 3 or array.shape[-1] not in (1, 3) or not 0 < array.size <= 3 * MOST_PIXELS:
        return ImageError(f"an array of shape {array.shape} is no image")
    return np.ascontiguousarray(array, dtype=np.uint8)


def _told_shape(field: pa.Field) -> tuple[int, ...] | None:
    """Shape by the field's metadata. Raises DataError for one that cannot be read."""
    facts = field.metadata or {}
    if b"shape" in facts:
        words = facts[b"shape"].decode(errors="replace").strip("[]() ").split(",")
    elif b"height" in facts and b"width" in facts:
        words = [
            facts[b"height"].decode(errors="replace"),
            facts[b"width"].decode(errors="replace"),
        ]
    else:
        return None
    try:
        return tuple(int(word) for word in words if word.strip())
    except ValueError:
        told = ",".join(words)[:40]
        raise DataError(f"metadata with shape {told!r}, expected H,W", column=field.name) from None


def _guessed(size: int) -> tuple[int, ...] | None:
    side = math.isqrt(size)
    if side * side == size:
        return side, side
    side = math.isqrt(size // 3)
    return (side, side, 3) if 3 * side * side == size else None


def _is_binary(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    )


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _innermost(kind: pa.DataType) -> pa.DataType:
    while _is_list(kind):
        kind = kind.value_type
    return kind
