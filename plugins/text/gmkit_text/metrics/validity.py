"""Validity: how many raw samples are text at all."""

from __future__ import annotations

import pyarrow as pa

from gmkit_text.alphabets import UNKNOWN
from gmkit_text.metrics.words import texts

__all__ = ["validity"]


def validity(real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
    """Share of the samples that are not empty and hold no unknown character or broken byte. NaN
    without samples."""
    samples = texts(synthetic)
    if not samples:
        return {"validity": float("nan")}
    return {"validity": sum(bool(t) and UNKNOWN not in t for t in samples) / len(samples)}
