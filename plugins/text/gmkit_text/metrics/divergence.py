"""Divergence: how far the samples' short sequences of characters are from those of the data."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa

from gmkit_text.metrics.words import texts

__all__ = ["divergence", "jensen_shannon"]

CHARACTERS = 100_000
"""Of each side, and never more than the other has: the divergence falls with the amount of text."""


def divergence(real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
    """Jensen-Shannon divergence in bits, 0 … 1, between sequences of 3 and of 4 characters in the
    samples and in held-out text (Lin 1991). NaN where a side has none."""
    samples, others = texts(synthetic), texts(holdout)
    most = min(CHARACTERS, sum(map(len, samples)), sum(map(len, others)))
    return {
        f"divergence@{n} (bits)": jensen_shannon(_grams(samples, n, most), _grams(others, n, most))
        for n in (3, 4)
    }


def jensen_shannon(p: Counter[str], q: Counter[str]) -> float:
    """½ KL(p ‖ m) + ½ KL(q ‖ m), m = ½(p + q), in bits; NaN when one is empty."""
    if not p or not q:
        return float("nan")
    grams = [*(p.keys() | q.keys())]
    sides = [np.array([side[g] for g in grams]) / side.total() for side in (p, q)]
    middle = (sides[0] + sides[1]) / 2
    terms = [
        float((side[side > 0] * np.log2(side[side > 0] / middle[side > 0])).sum()) for side in sides
    ]
    return sum(terms) / 2


def _grams(parts: list[str], n: int, most: int) -> Counter[str]:
    """Within each text, of the first ``most`` characters."""
    found: Counter[str] = Counter()
    for text in parts:
        text = text[:most]
        most -= len(text)
        found.update(text[i : i + n] for i in range(len(text) - n + 1))
        if most <= 0:
            break
    return found
