"""Distinct-n: how many different sequences of n words there are among all of them."""

from __future__ import annotations

import itertools

import pyarrow as pa

from gmkit_text.metrics.words import texts

__all__ = ["WORDS", "distinct"]

WORDS = 5_000
"""The first so many words: the share falls with the amount of text."""


def distinct(real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
    """Distinct-1 and -2 over words between blanks (Li et al. 2016, "A diversity-promoting objective
    function"), of the first ``WORDS``. NaN where there are fewer than two."""
    words: list[str] = []
    for text in texts(synthetic):
        words += text.split()
        if len(words) >= WORDS:
            break
    words = words[:WORDS]
    if len(words) < 2:
        return {"distinct-1": float("nan"), "distinct-2": float("nan")}
    pairs = set(itertools.pairwise(words))
    return {
        "distinct-1": len(set(words)) / len(words),
        "distinct-2": len(pairs) / (len(words) - 1),
    }
