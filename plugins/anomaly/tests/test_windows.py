"""Rows of a time series beside those before them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from gmkit_anomaly.windows import windowed


def series(values: np.ndarray) -> pa.Table:
    times = np.datetime64("2024-01-01", "s") + np.arange(len(values)).astype("timedelta64[h]")
    return pa.table({"at": times, "x": values})


def test_a_row_is_beside_the_rows_before_it_whatever_the_order() -> None:
    values = np.random.default_rng(0).normal(50, 3, 40)
    order = np.random.default_rng(1).permutation(40)
    found = windowed(series(values).take(pa.array(order)), 8)
    for place, row in enumerate(order.tolist()):
        before = values[row - 8 : row] if row >= 8 else values[:8]
        told = {name: found[name][place].as_py() for name in found.column_names}
        np.testing.assert_allclose(told["x mean before"], before.mean())
        np.testing.assert_allclose(told["x spread before"], before.std())
        np.testing.assert_allclose(
            told["x change"], (values[row] - before.mean()) / before.std(), atol=1e-9
        )
        np.testing.assert_allclose(told["x step"], values[max(row, 1)] - values[max(row, 1) - 1])


def test_short_series_and_gaps() -> None:
    for values in (np.array([1.0]), np.array([1.0, 2.0]), np.array([1.0, np.nan, 3.0, np.nan])):
        assert windowed(series(values), 64).num_rows == len(values)
    assert windowed(series(np.empty(0)), 64).num_rows == 0
