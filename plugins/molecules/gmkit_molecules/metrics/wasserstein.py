"""Distances between the distributions of properties."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance

from gmkit_molecules.metrics.features import Molecules, molecules

__all__ = ["wasserstein"]

NAMES = ("logp", "sa", "qed", "weight")


def wasserstein(real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
    """Wasserstein-1 distance of each of logP, SA, QED and weight between samples and test set.

    From 0, in the unit of the property (``gmkit_molecules.properties``). NaN without valid
    molecules on either side.
    """
    samples, test = _values(molecules(synthetic)), _values(molecules(holdout))
    return {f"w1/{name}": _distance(*samples[name], *test[name]) for name in NAMES}


Weighted = tuple[NDArray[np.float64], NDArray[np.float64]]


def _values(mols: Molecules) -> dict[str, Weighted]:
    """Defined values of each property, with their counts."""
    columns = mols.properties(*NAMES).items()
    return {name: (v[~np.isnan(v)], mols.counts[~np.isnan(v)]) for name, v in columns}


def _distance(
    a: NDArray[np.float64],
    a_counts: NDArray[np.float64],
    b: NDArray[np.float64],
    b_counts: NDArray[np.float64],
) -> float:
    if not (len(a) and len(b)):
        return float("nan")
    return float(wasserstein_distance(a, b, a_counts, b_counts))
