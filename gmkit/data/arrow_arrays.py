"""Arrow arrays of numpy arrays and back, by their buffers.

``pa.array`` and ``np.asarray`` ask pandas, where that is installed, what it knows of what they are
given, and so load it: half a second and 30 MB for a program that has no use for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def arrow_array(values: NDArray[Any], missing: Mask | None = None) -> pa.Array:
    """(N,) numbers or booleans, null where ``missing``; not copied where that is not needed."""
    kind = pa.from_numpy_dtype(values.dtype)
    bits = values.dtype == np.bool_
    data = np.packbits(values, bitorder="little") if bits else np.ascontiguousarray(values)
    valid = None
    if missing is not None and missing.any():
        valid = pa.py_buffer(np.packbits(~missing, bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(data)])


def numpy_array(column: pa.Array, missing: int | None = None) -> NDArray[Any]:
    """(N,) of numbers or booleans, read only; where they are null ``missing``, or anything."""
    if missing is not None and column.null_count:
        return np.where(numpy_array(column.is_valid()), numpy_array(column), missing)
    begin, count, data = column.offset, len(column), column.buffers()[1]
    if data is None or not count:
        return np.zeros(count, column.type.to_pandas_dtype())
    if pa.types.is_boolean(column.type):
        bits = np.frombuffer(data, np.uint8, (begin + count + 7) // 8)
        return np.unpackbits(bits, bitorder="little")[begin : begin + count].view(np.bool_)
    kind = np.dtype(column.type.to_pandas_dtype())
    return np.frombuffer(data, kind, count, begin * kind.itemsize)


def texts_at(rows: NDArray[np.int64], texts: Sequence[str], count: int) -> pa.Array:
    """(count,) strings: ``texts`` in ``rows``, ascending, null elsewhere."""
    pieces = [text.encode("utf-8", "replace") for text in texts]
    ends = np.zeros(count + 1, np.int32)
    ends[rows + 1] = [len(piece) for piece in pieces]
    valid = np.zeros(count, bool)
    valid[rows] = True
    buffers = [np.packbits(valid, bitorder="little"), ends.cumsum(dtype=np.int32)]
    text = pa.py_buffer(b"".join(pieces))
    return pa.Array.from_buffers(pa.string(), count, [*map(pa.py_buffer, buffers), text])
