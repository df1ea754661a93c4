"""Validity: how many raw samples are molecules at all."""

from __future__ import annotations

import pyarrow as pa

from gmkit_molecules.metrics.features import molecules

__all__ = ["validity"]


def validity(real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
    """Share of all samples, before any filter, that RDKit can read and sanitise, in [0, 1].

    An empty string is invalid (MOSES counts it as valid). NaN without samples.
    """
    samples = molecules(synthetic)
    if not samples.total:
        return {"validity": float("nan")}
    return {"validity": len(samples.canonical) / samples.total}
