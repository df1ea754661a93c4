"""Charts with axes: round ticks, and pictures of whatever numbers there are."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from gmkit.report.plots import DOTS, SLOTS, course, spread, ticks, time_ticks

NAMES = {"x_title": "score", "title": "Scores & <more>"}


def test_ticks_are_round_and_few() -> None:
    assert ticks(0, 10, 5) == [0, 2, 4, 6, 8, 10]
    assert ticks(-0.31, 0.29, 4) == pytest.approx([-0.2, 0.0, 0.2])
    assert ticks(3, 3) == [3]
    for low, high in ((0, 1e-7), (1e9, 1e9 + 5), (-1e300, 1e300)):
        found = ticks(low, high)
        assert 2 <= len(found) <= 7 and low <= found[0] and found[-1] <= high


@pytest.mark.parametrize(
    ("low", "high", "first"),
    [
        ("2024-01-01T00:00:00", "2024-01-01T00:00:40", "2024-01-01 00:00:00"),
        ("2024-01-01T03:10", "2024-01-01T20:00", "2024-01-01 06:00"),
        ("2024-01-01", "2024-01-08", "2024-01-01"),
        ("1900-01-01", "2024-01-01", "1910-01-01"),
        ("2024-01-01T00:00:00", "2024-01-01T00:00:00", "2024-01-01 00:00:00"),
    ],
)
def test_times_are_round(low: str, high: str, first: str) -> None:
    found = time_ticks(np.datetime64(low, "us"), np.datetime64(high, "us"))
    assert found[0][1] == first and len(found) <= 9


@pytest.mark.parametrize("threshold", [float("nan"), 2.0, 1e6])
def test_any_scores_can_be_drawn(threshold: float) -> None:
    rng = np.random.default_rng(0)
    for known, judged in (
        (rng.gamma(1, 1, 500), rng.gamma(1, 1, 300)),
        (np.ones(5), np.ones(1)),
        (np.empty(0), np.zeros(3)),
    ):
        drawn = spread(known, judged, threshold=threshold, marked="flagged: 3", **NAMES)
        ET.fromstring(drawn)
        assert "nan" not in drawn
        assert ("flagged: 3" in drawn) == np.isfinite(threshold)


@pytest.mark.parametrize("many", [1, 2, 300, 5 * SLOTS])
@pytest.mark.parametrize("timed", [False, True])
def test_a_course_marks_its_points(many: int, timed: bool) -> None:
    values = np.random.default_rng(0).normal(size=many)
    marked = np.zeros(many, bool)
    marked[-1] = True
    if many > 9:
        values[5] = np.nan
    x = np.arange(many).astype("datetime64[us]") if timed else np.arange(many).astype(float)
    drawn = course(x, values, marked, y_title="value", threshold=1.0, **NAMES)
    ET.fromstring(drawn)
    assert drawn.count('class="flag"') == 1 and "nan" not in drawn
    assert len(drawn) < 150_000


def test_nothing_known_is_no_picture_and_marks_are_limited() -> None:
    none = np.full(3, np.nan)
    assert course(np.arange(3.0), none, np.ones(3, bool), y_title="", **NAMES) == ""
    many = np.arange(3.0 * DOTS)
    drawn = course(many, many, np.ones(len(many), bool), y_title="", **NAMES)
    assert drawn.count('class="flag"') == DOTS
