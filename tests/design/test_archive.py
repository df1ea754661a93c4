"""The archive: every record once, ranks, and the curve."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pyarrow as pa

from gmkit.design.archive import Archive
from gmkit.design.curve import curve_svg
from gmkit.objectives.objective import Scored


def batch(*texts: str) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"s": list(texts)})


def filled(scores: list[float]) -> Archive:
    archive = Archive("s")
    values = np.array(scores)
    half = len(scores) // 2
    for part in (slice(0, half), slice(half, None)):
        names = [f"r{k}" for k in range(len(scores))[part]]
        scored = Scored(values[part] * 2, {"x": values[part]})
        archive.add(batch(*names), scored, values[part])
    return archive


def test_each_record_is_scored_once():
    archive = Archive("s")
    new = archive.unknown(batch("a", "b", "a"))
    assert new.column("s").to_pylist() == ["a", "b"]
    archive.add(new, Scored(np.zeros(2), {}), np.zeros(2))
    assert archive.unknown(batch("b", "c", "c", "a", "d")).column("s").to_pylist() == ["c", "d"]
    assert len(archive) == 2


def test_the_fittest_come_first_and_of_equals_the_earlier():
    ranked = filled([0.1, 0.9, 0.5, 0.9]).ranked(3)
    assert ranked.column("s").to_pylist() == ["r1", "r3", "r2"]
    assert ranked.column("call").to_pylist() == [2, 4, 3]
    assert ranked.column("score").to_pylist() == [1.8, 1.8, 1.0]
    assert ranked.column("fitness").to_pylist() == [0.9, 0.9, 0.5]


def test_draws_follow_the_rank():
    archive = filled([0.1, 0.4, 0.3, 0.2])
    rows = archive.draw(20_000, np.random.default_rng(0), share=0.25)
    shares = np.bincount(rows, minlength=4) / len(rows)
    expected = np.array([1 / 4, 1, 1 / 2, 1 / 3])  # 1 / (0.25 · 4 + rank)
    assert np.abs(shares - expected / expected.sum()).max() < 0.02


def test_the_curve():
    curve = filled([0.2, 0.6, 0.1, 0.8]).curve(top=2)
    assert curve[:, 0].tolist() == [0.2, 0.6, 0.6, 0.8]
    assert np.allclose(curve[:, 1], [0.2, 0.4, 0.4, 0.7])
    picture = ET.fromstring(curve_svg(curve, "a < b"))
    assert len(picture.findall("{http://www.w3.org/2000/svg}polyline")) == 2
    ET.fromstring(curve_svg(np.zeros((1, 2)), "flat"))
