"""Scaf: whether the samples have the right ring systems."""

from __future__ import annotations

import pyarrow as pa

from gmkit_molecules.metrics.cosine import cosine
from gmkit_molecules.metrics.features import molecules

__all__ = ["scaffolds"]


def scaffolds(real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
    """Cosine similarity of the counts of Murcko scaffolds in samples and test set, in [0, 1].

    Scaffolds of fewer than two rings do not count. NaN without a scaffold on either side. The
    figure grows with the number of molecules: compare at the same number only.
    """
    return {"scaffolds/test": cosine(molecules(synthetic).scaffolds, molecules(holdout).scaffolds)}
