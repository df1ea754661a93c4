"""Filters: how many samples a medicinal chemist would not reject at first sight."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from gmkit_molecules.metrics.features import molecules

__all__ = ["filters"]


def filters(real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
    """Share of the valid samples that pass the rules of ``alerts``, in [0, 1].

    MOSES's own molecules all pass; for other data the floor says how many should. NaN without a
    valid sample.
    """
    samples = molecules(synthetic)
    if not len(samples.counts):
        return {"filters": float("nan")}
    return {"filters": float(np.average(samples.passing, weights=samples.counts))}
