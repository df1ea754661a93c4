"""Rows of a time series beside those before them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from gmkit_anomaly.windows import Windows, windowed

from gmkit.errors import ConfigError, DataError


def series(values: np.ndarray) -> pa.Table:
    times = np.datetime64("2024-01-01", "s") + np.arange(len(values)).astype("timedelta64[h]")
    return pa.table({"at": times, "x": values})


def test_a_row_is_beside_the_rows_before_it_whatever_the_order() -> None:
    values = np.random.default_rng(0).normal(50, 3, 40)
    order = np.random.default_rng(1).permutation(40)
    found = windowed(series(values).take(pa.array(order)), Windows(8))
    for place, row in enumerate(order.tolist()):
        before = values[row - 8 : row] if row >= 8 else values[:8]
        told = {name: found[name][place].as_py() for name in found.column_names}
        np.testing.assert_allclose(told["x mean of 8 before"], before.mean())
        np.testing.assert_allclose(told["x spread of 8 before"], before.std())
        np.testing.assert_allclose(
            told["x deviation from 8 before"],
            (values[row] - before.mean()) / before.std(),
            atol=1e-9,
        )
        np.testing.assert_allclose(told["x step"], values[max(row, 1)] - values[max(row, 1) - 1])


def test_short_series_and_gaps() -> None:
    for values in (np.array([1.0]), np.array([1.0, 2.0]), np.array([1.0, np.nan, 3.0, np.nan])):
        assert windowed(series(values), Windows(64)).num_rows == len(values)
    assert windowed(series(np.empty(0)), Windows(64)).num_rows == 0


def of_three(values: np.ndarray) -> pa.Table:
    """Three series of as many rows, at very different levels."""
    parts = []
    for place, name in enumerate(("a", None, "c")):
        one = series(values[place] + 1e6 * place)
        parts.append(one.append_column("sensor", pa.array([name] * len(one), pa.string())))
    return pa.concat_tables(parts)


def test_no_window_reaches_from_one_series_into_another() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (3, 30))
    order = rng.permutation(90)
    windows = Windows(8, group_key="sensor")
    found = windowed(of_three(values).take(pa.array(order)), windows)
    assert "sensor" not in found.column_names and "at" not in found.column_names
    for place in range(3):
        rows = np.flatnonzero(order // 30 == place)
        here = found.take(pa.array(rows[np.argsort(order[rows])]))
        alone = windowed(series(values[place] + 1e6 * place), Windows(8))
        for name in alone.column_names:
            np.testing.assert_allclose(here[name].to_numpy(), alone[name].to_numpy(), atol=1e-6)


def test_series_of_one_row_and_an_order_by_a_number() -> None:
    table = pa.table({"step": [2, 0, 1, 5], "run": [7, 7, 7, 9], "x": [3.0, 1.0, 2.0, 50.0]})
    found = windowed(table, Windows(2, group_key="run", time="step"))
    assert found["x step"].to_pylist() == [1.0, 1.0, 1.0, 0.0]
    assert found["x mean of 2 before"].to_pylist() == [1.5, 1.5, 1.5, None]


@pytest.mark.parametrize(
    ("windows", "error", "told"),
    [
        (Windows(4, group_key="sensr"), DataError, "Did you mean 'sensor'?"),
        (Windows(4, time="att"), DataError, "Did you mean 'at'?"),
        (Windows(4, group_key="at"), ConfigError, "both the time and the group key"),
        (Windows(4, time="sensor"), DataError, "cannot be put in order"),
    ],
)
def test_columns_that_cannot_make_series(windows: Windows, error: type, told: str) -> None:
    with pytest.raises(error) as caught:
        windowed(of_three(np.zeros((3, 5))), windows)
    assert told in f"{caught.value} {caught.value.hint}"


def test_missing_times_name_their_row() -> None:
    table = pa.table({"at": pa.array([1, None], pa.timestamp("s")), "x": [1.0, 2.0]})
    with pytest.raises(DataError) as caught:
        windowed(table, Windows(4))
    assert caught.value.row == 1 and caught.value.column == "at"
