"""The Fréchet distance of two normal distributions, by which two sets of features are compared."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["frechet", "frechet_of"]

Floats = NDArray[np.float64]


def frechet(mean_a: Floats, cov_a: Floats, mean_b: Floats, cov_b: Floats) -> float:
    """|m_a − m_b|² + tr(C_a + C_b − 2 (C_a C_b)^½), from 0; Dowson & Landau 1982.

    Means (d,), covariances (d, d). The trace of the root is the sum of the singular values of
    C_a^½ C_b^½, which stays real and exact for covariances of low rank.
    """
    cross = np.linalg.svd(_root(cov_a) @ _root(cov_b), compute_uv=False).sum()
    gap = mean_a - mean_b
    return max(float(gap @ gap + np.trace(cov_a) + np.trace(cov_b) - 2 * cross), 0.0)


def frechet_of(a: Floats, b: Floats) -> float:
    """Of two sets of features (N, d) and (M, d); NaN where one has fewer than two.

    It falls with the number of records, which must be the same in whatever is compared.
    """
    if min(len(a), len(b)) < 2:
        return float("nan")
    mean_a, mean_b = a.mean(0), b.mean(0)
    # A and B centred, over √(N − 1) and √(M − 1): AᵀA and BᵀB are the covariances
    a, b = (a - mean_a) / np.sqrt(len(a) - 1), (b - mean_b) / np.sqrt(len(b) - 1)
    if max(len(a), len(b)) >= a.shape[1]:
        return frechet(mean_a, a.T @ a, mean_b, b.T @ b)
    # fewer records than features: C_a^½ C_b^½ has the singular values of the smaller A Bᵀ
    cross = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    gap = mean_a - mean_b
    return max(float(gap @ gap + (a * a).sum() + (b * b).sum() - 2 * cross), 0.0)


def _root(cov: Floats) -> Floats:
    values, vectors = np.linalg.eigh(cov)
    root: Floats = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    return root
