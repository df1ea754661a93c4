"""Keeping of several drawings the one that comes nearest to what was asked."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from gmkit.errors import ConfigError
from gmkit.nearest import check_measurable, measurable, nearest_of
from gmkit.objectives.measure import Measure


def column(name: str):
    return lambda argument: lambda records: records.column(f"is {name}").to_numpy()


MEASURES = {
    "size": Measure("", 0.0, 10.0, column("size")),
    "share": Measure("", 0.0, 1.0, column("share")),
    "likeness": Measure("", 0.0, 1.0, column("size"), argument="a reference"),
}


def batch(size: list[float], share: list[float], number: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {
            "size": [5.0] * len(size),
            "share": [0.5] * len(size),
            "is size": pa.array(size, pa.float64()),
            "is share": pa.array(share, pa.float64()),
            "number": [number] * len(size),
        }
    )


def test_each_record_is_the_nearest_of_its_own() -> None:
    drawn = [
        batch([5, 9, np.nan, 0], [0.5, 0.5, 0.5, 0.5], 0),
        batch([5, 5, 0, 5], [0.4, 0.5, 0.0, 0.9], 1),
        batch([4, np.nan, 5, 5], [0.5, 0.5, 0.1, 0.6], 2),
    ]
    best = nearest_of(3, drawn.__getitem__, ["size", "share", "label"], MEASURES)
    assert best.column("number").to_pylist() == [0, 1, 2, 2]
    assert best.schema == drawn[0].schema


def test_ranges_make_conditions_alike() -> None:
    """One unit of ten weighs as a tenth of one."""
    drawn = [batch([4.0], [0.5], 0), batch([5.0], [0.39], 1)]
    assert nearest_of(2, drawn.__getitem__, ["size", "share"], MEASURES)["number"][0].as_py() == 0


def test_where_nothing_is_proper_something_comes_out() -> None:
    drawn = [batch([np.nan], [0.5], i) for i in range(2)]
    assert len(nearest_of(2, drawn.__getitem__, ["size"], MEASURES)) == 1


def test_what_cannot_be_measured_is_told() -> None:
    assert measurable(["label", "size", "likeness"], MEASURES) == ["size"]
    check_measurable(["label", "size"], MEASURES)
    with pytest.raises(ConfigError, match="label cannot be measured") as error:
        check_measurable(["label"], MEASURES)
    assert "size, share" in str(error.value.hint)
    with pytest.raises(ConfigError, match="nothing is asked for"):
        check_measurable([], {})
