"""Arrow arrays of numpy arrays and back, as ``pa.array`` and ``np.asarray`` make them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from gmkit.data.arrow_arrays import arrow_array, numpy_array, texts_at


@pytest.mark.parametrize(
    "kind", [np.float64, np.float32, np.int64, np.int32, np.int8, np.uint64, np.uint8, np.bool_]
)
@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 1000])
def test_there_and_back(kind: type, count: int) -> None:
    rng = np.random.default_rng(count)
    values = rng.integers(0, 2, count).astype(kind)
    missing = rng.random(count) < 0.3
    assert arrow_array(values).equals(pa.array(values))
    assert arrow_array(values, missing).equals(pa.array(values, mask=missing))
    assert arrow_array(values, missing).null_count == missing.sum()
    for begin in (0, 1, 3, 8):
        cut = pa.array(values).slice(begin)
        found = numpy_array(cut)
        assert found.dtype == values.dtype and (found == values[begin:]).all()
        filled = numpy_array(pa.array(values, mask=missing).slice(begin), 1)
        assert (filled == np.where(missing, 1, values)[begin:]).all()


def test_a_view_that_is_not_in_order_is_copied() -> None:
    values = np.arange(20).reshape(10, 2)[:, 1]
    assert arrow_array(values).to_pylist() == values.tolist()


def test_texts_stand_in_their_rows() -> None:
    found = texts_at(np.array([1, 3, 4]), ["a", "", "größer"], 6)
    found.validate(full=True)
    assert found.to_pylist() == [None, "a", None, "", "größer", None]
    assert texts_at(np.empty(0, np.int64), [], 3).to_pylist() == [None] * 3
