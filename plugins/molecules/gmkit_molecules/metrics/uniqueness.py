"""Uniqueness: how seldom a model repeats itself."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from gmkit_molecules.metrics.features import molecules

__all__ = ["unique_share", "uniqueness"]


def uniqueness(real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
    """Share of distinct molecules among the valid samples, in (0, 1].

    ``uniqueness`` counts all of them; ``uniqueness@1k`` and ``uniqueness@10k`` the first 1,000
    and 10,000, or all where invalid samples leave fewer, and are NaN when fewer samples than
    that were drawn. The share falls with the number of samples: compare at the same k only.
    """
    samples = molecules(synthetic)
    result = {"uniqueness": unique_share(samples.canonical)}
    for name, k in (("uniqueness@1k", 1_000), ("uniqueness@10k", 10_000)):
        enough = samples.total >= k
        result[name] = unique_share(samples.canonical[:k]) if enough else float("nan")
    return result


def unique_share(canonical: Sequence[str]) -> float:
    """Share of distinct strings; NaN without any."""
    return len(set(canonical)) / len(canonical) if canonical else float("nan")
