"""A quick guess of scores before they are asked for: a Gaussian process over likeness.

    k(x, x') = s² T(x, x'),   T(x, x') = |x ∧ x'| / |x ∨ x'|  (Tanimoto, of the domain's features)

Ralaivola et al. 2005, "Graph kernels for chemical informatics" (that T is a kernel); Tripp &
Hernández-Lobato 2023, "Genetic algorithms are strong baselines for molecule generation" (that many
blind proposals, screened by it, make the most of few calls). The share of noise is the likeliest
of a few, s² follows from it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Surrogate", "likeness"]

Floats = NDArray[np.float64]
Bits = NDArray[np.bool_]
NOISES = (1e-3, 1e-2, 1e-1)
MOST_BEST, MOST_OTHERS = 600, 600
"""Records it learns from: so many of the best, and so many of the others by lot."""


def likeness(some: Bits, others: Bits) -> NDArray[np.float32]:
    """Tanimoto likeness (n, m) of rows of features (n, d) and (m, d)."""
    a, b = some.astype(np.float32), others.astype(np.float32)
    both = a @ b.T
    either = a.sum(1)[:, None] + b.sum(1)[None] - both
    return np.asarray(both / np.maximum(either, 1e-6), np.float32)


class Surrogate:
    """Learned from features (n, d) and values (n,), n ≥ 2."""

    def __init__(self, features: Bits, values: Floats, rng: np.random.Generator) -> None:
        order = np.argsort(-values, kind="stable")
        rest = order[MOST_BEST:]
        others = rng.choice(rest, min(len(rest), MOST_OTHERS), replace=False)
        rows = np.concatenate([order[:MOST_BEST], others])
        self._features, values = features[rows], values[rows]
        self._mean = float(values.mean())
        kernel = likeness(self._features, self._features).astype(np.float64)
        fits = [_fitted(kernel, values - self._mean, noise) for noise in NOISES]
        _, self._inverse, self._weights, self._scale = max(fits, key=lambda fit: fit[0])

    def predict(self, features: Bits) -> tuple[Floats, Floats]:
        """Mean and standard deviation (m,) of the values of rows of features (m, d)."""
        near = likeness(features, self._features).astype(np.float64)
        mean = self._mean + near @ self._weights
        left = 1.0 - ((near @ self._inverse) * near).sum(1)
        return mean, np.sqrt(self._scale * np.maximum(left, 1e-9))


def _fitted(kernel: Floats, values: Floats, noise: float) -> tuple[float, Floats, Floats, float]:
    """Log marginal likelihood with the best s² (up to a constant), (K + λI)⁻¹, that times the
    values, and s²."""
    n = len(values)
    lower = np.linalg.cholesky(kernel + (noise + 1e-6) * np.eye(n))
    half = np.linalg.inv(lower)
    inverse = half.T @ half
    weights = inverse @ values
    scale = max(float(values @ weights) / n, 1e-12)
    fit = -0.5 * n * np.log(scale) - float(np.log(np.diag(lower)).sum())
    return fit, inverse, weights, scale
