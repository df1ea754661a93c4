"""Internal diversity: how unlike one another the samples are."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from gmkit_molecules.metrics.features import molecules
from gmkit_molecules.metrics.tanimoto import mean_powers

__all__ = ["diversity"]


def diversity(real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
    """``diversity`` (p = 1) and ``diversity_2`` (p = 2) of the valid samples, in [0, 1].

    IntDiv_p = 1 - mean_i (mean_j T(i, j)^p)^(1/p) over all pairs, a molecule with itself
    included, T being the Tanimoto similarity of Morgan fingerprints (radius 2, 1024 bits);
    MOSES, which takes the root per molecule. NaN without a valid sample.
    """
    samples = molecules(synthetic)
    if not len(samples.counts):
        return {"diversity": float("nan"), "diversity_2": float("nan")}
    means = mean_powers(samples.fingerprints, samples.counts, powers=(1, 2))
    first, second = 1 - np.average(means, axis=0, weights=samples.counts)
    return {"diversity": float(first), "diversity_2": float(second)}
