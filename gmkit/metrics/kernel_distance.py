"""The kernel distance of two sets of features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["kernel_distance"]

Floats = NDArray[np.float64]


def kernel_distance(a: Floats, b: Floats) -> float:
    """Squared maximum mean discrepancy of (N, d) and (M, d) under k(x, y) = (x·y/d + 1)³, without
    bias: its mean is 0 for two samples of one distribution, whatever their size, so that it may
    fall a little below. Bińkowski et al. 2018, "Demystifying MMD GANs" (KID). NaN where a set has
    fewer than two.
    """
    n, m = len(a), len(b)
    if min(n, m) < 2:
        return float("nan")
    within_a, within_b = _kernel(a, a), _kernel(b, b)
    own = (within_a.sum() - np.trace(within_a)) / (n * (n - 1))
    other = (within_b.sum() - np.trace(within_b)) / (m * (m - 1))
    return float(own + other - 2 * _kernel(a, b).mean())


def _kernel(a: Floats, b: Floats) -> Floats:
    values: Floats = (a @ b.T / a.shape[1] + 1) ** 3
    return values
