"""The most abnormal records, kept while others pass."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from gmkit_anomaly.oddest import Oddest
from gmkit_anomaly.report import PIECES, telling

from gmkit.report.plots import DOTS


@pytest.mark.parametrize("size", [1, 7, 50, 1000])
def test_the_highest_of_all_batches_are_kept_in_order(size: int) -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 40, 300).astype(float)  # many are alike
    scores[rng.random(300) < 0.1] = np.nan
    oddest = Oddest(20)
    for begin in range(0, 300, size):
        here = scores[begin : begin + size]
        places = np.arange(begin, begin + len(here))
        oddest.add(begin, pa.record_batch({"place": places}), here)
    wanted = np.argsort(-np.nan_to_num(scores, nan=-1), kind="stable")[:20].tolist()
    assert oddest.rows == wanted
    assert oddest.records is not None and oddest.first is not None
    assert oddest.records.column("place").to_pylist() == wanted
    assert len(oddest.first) == min(size, 300)


def test_fewer_than_asked_for_are_all() -> None:
    oddest = Oddest(20)
    oddest.add(0, pa.record_batch({"place": [0, 1, 2]}), np.array([np.nan, 1.0, 2.0]))
    assert oddest.rows == [2, 1]


def test_of_many_scores_a_picture_needs_few() -> None:
    rng = np.random.default_rng(0)
    scores = rng.gamma(1.0, 1.0, 250_000)
    scores[[7, 200_000]] = 90.0
    scores[1000:2000] = np.nan
    flagged = scores > 12
    kept = telling(scores, flagged)
    assert len(kept) <= 2 * PIECES + DOTS and (np.diff(kept) > 0).all()
    assert {7, 200_000, *np.flatnonzero(flagged)} <= set(kept.tolist())
    assert np.isfinite(scores[kept]).all()
    few = telling(scores[:50], flagged[:50])
    assert few.tolist() == list(range(50))
