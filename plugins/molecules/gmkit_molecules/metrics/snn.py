"""SNN: similarity to the nearest neighbour."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from gmkit_molecules.metrics.features import molecules
from gmkit_molecules.metrics.tanimoto import nearest

__all__ = ["snn"]


def snn(real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
    """Mean over the valid samples of the highest Tanimoto similarity to a test molecule.

    Morgan fingerprints, radius 2, 1024 bits; in [0, 1]. Far below the floor the samples leave
    the region of the data; far above it they repeat it. NaN without valid molecules on either
    side.
    """
    samples, test = molecules(synthetic), molecules(holdout)
    if not (len(samples.counts) and len(test.counts)):
        return {"snn/test": float("nan")}
    similarity = nearest(samples.fingerprints, test.fingerprints)
    return {"snn/test": float(np.average(similarity, weights=samples.counts))}
