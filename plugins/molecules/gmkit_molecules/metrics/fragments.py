"""Frag: whether the samples are built of the right fragments."""

from __future__ import annotations

import pyarrow as pa

from gmkit_molecules.metrics.cosine import cosine
from gmkit_molecules.metrics.features import molecules

__all__ = ["fragments"]


def fragments(real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
    """Cosine similarity of the counts of BRICS fragments in samples and test set, in [0, 1].

    NaN without valid molecules on either side.
    """
    return {"fragments/test": cosine(molecules(synthetic).fragments, molecules(holdout).fragments)}
