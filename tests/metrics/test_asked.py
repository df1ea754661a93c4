"""How close samples come to what was asked of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from gmkit.metrics.asked import asked_figures
from gmkit.objectives.measure import Measure

MEASURES = {
    "size": Measure(
        "letters",
        0.0,
        10.0,
        lambda _: lambda records: np.array([float(len(t)) for t in records["s"].to_pylist()]),
    )
}


def samples(asked: list[float]) -> pa.RecordBatch:
    texts = ["a" * (1 + k % 9) for k in range(len(asked))]
    return pa.RecordBatch.from_pydict({"s": texts, "size": asked, "kind": ["x"] * len(asked)})


def test_a_model_that_listens_is_nearer_than_chance():
    asked = [1.5 + k % 9 for k in range(900)]
    found = asked_figures(samples(asked), ["size", "kind", "other"], MEASURES, 0)
    assert set(found) == {"size error", "size error by chance"}
    assert found["size error"].value == pytest.approx(0.5)
    assert 2.5 < found["size error by chance"].value < 3.5
    assert found["size error"].floor == 0


def test_a_model_that_does_not_listen_is_as_far_as_chance():
    asked = np.random.default_rng(0).permutation([1.5 + k % 9 for k in range(900)]).tolist()
    found = asked_figures(samples(asked), ["size"], MEASURES, 0)
    near, chance = (found[name].value for name in ("size error", "size error by chance"))
    assert near == pytest.approx(chance, rel=0.15)


def test_nothing_to_measure():
    assert asked_figures(samples([]), ["size"], MEASURES, 0) == {}
    assert asked_figures(samples([1.0]), ["kind"], MEASURES, 0) == {}
