"""Distances of two sets of features: known values, and what a copy and a collapse give."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gmkit.metrics.frechet import frechet, frechet_of
from gmkit.metrics.kernel_distance import kernel_distance
from gmkit.metrics.neighbourhoods import NEIGHBOUR, neighbourhoods


def normal(seed: int, n: int = 500, d: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def test_frechet_of_independent_normals() -> None:
    """|m − n|² + Σ (√a − √b)²."""
    a, b = np.array([1.0, 4.0, 0.0]), np.array([9.0, 1.0, 2.0])
    means = np.array([0.0, 1.0, 2.0]), np.array([3.0, 1.0, 2.0])
    expected = 9 + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    assert frechet(means[0], np.diag(a), means[1], np.diag(b)) == pytest.approx(expected)


def test_frechet_of_samples() -> None:
    a = normal(0)
    assert frechet_of(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_of(a, a + np.array([3, 0, 0, 4])) == pytest.approx(25)
    assert frechet_of(a - a.mean(0), 2 * (a - a.mean(0))) == pytest.approx(np.cov(a.T).trace())
    few, other = normal(1, 9, 64), normal(2, 7, 64) * 2  # covariances of low rank
    assert frechet_of(few, few) == pytest.approx(0, abs=1e-9)
    whole = frechet(few.mean(0), np.cov(few.T), other.mean(0), np.cov(other.T))
    assert frechet_of(few, other) == pytest.approx(whole)
    assert frechet_of(a[:, :1], a[:, :1] + 1) == pytest.approx(1)
    assert math.isnan(frechet_of(a, a[:1]))


def test_kernel_distance_by_hand() -> None:
    """Two points a side in one dimension: k(x, y) = (xy + 1)³."""
    a, b = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
    assert kernel_distance(a, b) == pytest.approx(1 + 27 - 2 * (1 + 1 + 8 + 27) / 4)
    assert math.isnan(kernel_distance(a, b[:1]))


def test_kernel_distance_has_no_bias() -> None:
    same = [kernel_distance(normal(2 * s, 50), normal(2 * s + 1, 50)) for s in range(200)]
    assert abs(np.mean(same)) < 4 * np.std(same) / math.sqrt(len(same))
    assert min(same) < 0 < max(same)
    assert kernel_distance(normal(0), normal(1) + 1) > 10 * max(same)


def test_a_copy_is_best() -> None:
    points = normal(0)
    found = neighbourhoods(points, points[::-1])
    assert found == {"precision": 1.0, "recall": 1.0, "density": 1.0, "coverage": 1.0}


def test_neighbourhoods_by_hand() -> None:
    """On a line, with k = 1 every ball reaches to the next point."""
    real = np.array([[0.0], [1.0], [3.0], [10.0]])  # radii 1, 1, 2, 7
    drawn = np.array([[0.5], [0.6], [100.0], [102.0]])  # radii .1, .1, 2, 2
    found = neighbourhoods(real, drawn, k=1)
    assert found == {
        "precision": 0.5,  # the first two
        "recall": 0.0,  # no real point is within .1 of .5 or .6, nor near 100
        "density": (2 + 2) / 4,  # each of the two lies in the balls of 0 and 1; 3's ends at 1
        "coverage": 0.5,
    }


def test_a_collapsed_model_is_seen() -> None:
    """One good mode of four: precise, but it covers a quarter."""
    centres = np.array([[0, 0], [50, 0], [0, 50], [50, 50]])
    real = normal(0, 400, 2) + centres.repeat(100, axis=0)
    found = neighbourhoods(real, normal(1, 400, 2))
    assert found["precision"] > 0.9
    assert found["recall"] < 0.3 and found["coverage"] < 0.3


def test_noise_is_nowhere() -> None:
    found = neighbourhoods(normal(0), normal(1) + 100)
    assert set(found.values()) == {0.0}


def test_too_few_to_say() -> None:
    assert all(map(math.isnan, neighbourhoods(normal(0), normal(1, NEIGHBOUR)).values()))
