"""Self-BLEU: how much the samples are like each other."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import pyarrow as pa

from gmkit_text.metrics.words import texts

__all__ = ["bleu", "self_bleu"]

TEXTS = 100
"""Samples compared, each with all others of these."""
ORDER = 3


def self_bleu(real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
    """Mean BLEU-3 of a sample against the others (Zhu et al. 2018, "Texygen"), on the first
    ``TEXTS`` of at least four words. NaN for fewer than two such."""
    samples = [words for text in texts(synthetic) if len(words := text.split()) > ORDER][:TEXTS]
    if len(samples) < 2:
        return {"self-BLEU": float("nan")}
    scores = [bleu(words, samples[:i] + samples[i + 1 :]) for i, words in enumerate(samples)]
    return {"self-BLEU": sum(scores) / len(scores)}


def bleu(words: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """BLEU of up to ``ORDER`` words in a row, clipped by the reference that has each sequence most
    often, without a penalty of brevity (Papineni et al. 2002, eq. 2); 0 where an order has none."""
    total = 0.0
    for n in range(1, ORDER + 1):
        found = _grams(words, n)
        most: Counter[tuple[str, ...]] = Counter()
        for reference in references:
            most |= Counter({g: c for g, c in _grams(reference, n).items() if g in found})
        hits = sum(min(count, most[gram]) for gram, count in found.items())
        if not hits:
            return 0.0
        total += math.log(hits / found.total())
    return math.exp(total / ORDER)


def _grams(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
