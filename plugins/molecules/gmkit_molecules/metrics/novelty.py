"""Novelty: how many molecules a model did not copy."""

from __future__ import annotations

import pyarrow as pa

from gmkit_molecules.metrics.features import molecules

__all__ = ["novelty"]


def novelty(real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
    """Share of the distinct valid samples that are not among ``real``, in [0, 1].

    Both sides are compared by canonical SMILES (MOSES expects its training file canonical). NaN
    without a valid sample. The floor is 0: a copy is never novel.
    """
    samples = molecules(synthetic).unique
    if not samples:
        return {"novelty": float("nan")}
    known = set(molecules(real).unique)
    return {"novelty": sum(smiles not in known for smiles in samples) / len(samples)}
