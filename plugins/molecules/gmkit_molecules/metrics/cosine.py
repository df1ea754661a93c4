"""Cosine similarity of two tallies."""

from __future__ import annotations

import math
from collections.abc import Mapping

__all__ = ["cosine"]


def cosine(a: Mapping[str, int], b: Mapping[str, int]) -> float:
    """<a, b> / (|a| |b|) with absent names counting zero, in [0, 1]; NaN if either is empty."""
    if not a or not b:
        return float("nan")
    inner = sum(count * b[name] for name, count in a.items() if name in b)
    # Exact integers up to here, so the order of the names cannot matter.
    return inner / math.sqrt(sum(n * n for n in a.values()) * sum(n * n for n in b.values()))
