"""FCD: the distance between samples and test set as a network of chemistry sees them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmkit_molecules.metrics.features import molecules

__all__ = ["fcd", "frechet"]

Floats = NDArray[np.float64]


def fcd(real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
    """Fréchet ChemNet distance of the valid samples to the test set, from 0.

    Preuer et al., J. Chem. Inf. Model. 58, 1736 (2018). It falls with the number of samples:
    compare at the same number only. NaN with fewer than two valid molecules on either side.
    Raises PluginError when ChemNet's weights are missing.
    """
    samples, test = molecules(synthetic), molecules(holdout)
    if min(len(samples.canonical), len(test.canonical)) < 2:
        return {"fcd/test": float("nan")}
    return {"fcd/test": frechet(*samples.chemnet, *test.chemnet)}


def frechet(mean_a: Floats, cov_a: Floats, mean_b: Floats, cov_b: Floats) -> float:
    """Fréchet distance of two normal distributions, from 0.

    |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)); means ``(d,)``, covariances ``(d, d)``.
    The trace of the root is the sum of the singular values of C_a^(1/2) C_b^(1/2), which stays
    real and exact for covariances of low rank.
    """
    cross = np.linalg.svd(_root(cov_a) @ _root(cov_b), compute_uv=False).sum()
    gap = mean_a - mean_b
    return max(float(gap @ gap + np.trace(cov_a) + np.trace(cov_b) - 2 * cross), 0.0)


def _root(cov: Floats) -> Floats:
    values, vectors = np.linalg.eigh(cov)
    root: Floats = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    return root
