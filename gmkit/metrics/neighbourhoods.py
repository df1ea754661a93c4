"""How two sets of features cover one another, by balls around each that reach to its k-th
neighbour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["NEIGHBOUR", "neighbourhoods"]

Floats = NDArray[np.float64]
NEIGHBOUR = 5
"""k, as Naeem et al. choose it."""


def neighbourhoods(real: Floats, synthetic: Floats, k: int = NEIGHBOUR) -> dict[str, float]:
    """Four figures of (N, d) against (M, d), which should be about as many.

    ``precision``: share of synthetic records in the ball of any real one; ``recall``: the same
    the other way round (Kynkäänniemi et al. 2019). ``density``: real balls that a synthetic record
    lies in, over k; ``coverage``: share of real balls with a synthetic record inside (Naeem et al.
    2020), which outliers among the real ones do not inflate. A copy gives 1 for all four. NaN
    where a set has no more than k.
    """
    if min(len(real), len(synthetic)) <= k:
        return dict.fromkeys(("precision", "recall", "density", "coverage"), float("nan"))
    reach_real, reach_synthetic = _reach(real, k), _reach(synthetic, k)
    apart = _distances(real, synthetic)
    inside = apart < reach_real[:, None]
    return {
        "precision": float(inside.any(0).mean()),
        "recall": float((apart < reach_synthetic).any(1).mean()),
        "density": float(inside.sum(0).mean() / k),
        "coverage": float(inside.any(1).mean()),
    }


def _reach(points: Floats, k: int) -> Floats:
    """Squared distance of each to its k-th neighbour, itself not counted."""
    among = _distances(points, points)
    np.fill_diagonal(among, 0.0)
    reach: Floats = np.partition(among, k, axis=1)[:, k]
    return reach


def _distances(a: Floats, b: Floats) -> Floats:
    """Squared distances (N, M). Equal points are 0 apart, which rounding would hide."""
    squares = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * (a @ b.T)
    least = 1e-12 * ((a * a).sum(1)[:, None] + (b * b).sum(1))
    return np.where(squares < least, 0.0, squares)
