"""Copying: how much of the samples stands word for word in the training text.

Passages are compared by a polynomial of their characters modulo 2⁶⁴ (Karp & Rabin 1987), computed
for all places at once; two different passages share a value about once in 10¹⁹ pairs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmkit_text.metrics.words import texts

__all__ = ["PASSAGE", "copying", "passages"]

PASSAGE = 50
"""Characters from which a passage counts as copied: shorter ones also recur in real text."""
_BASE = np.uint64(0x9E3779B97F4A7C15)
Hashes = NDArray[np.uint64]


def copying(real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
    """``copied@50``: share of the samples' characters inside a passage of ``PASSAGE`` characters of
    the training text; ``longest copy``: characters of the longest passage that any sample has from
    there. The floor, a copy, has all."""
    samples = [_codes(text) for text in texts(synthetic) if text]
    training = _codes("".join(texts(real)))
    if not samples:
        return {"copied@50": float("nan"), "longest copy": float("nan")}
    return {
        "copied@50": _copied(samples, training),
        "longest copy": float(_longest(samples, training)),
    }


def _copied(samples: list[Hashes], training: Hashes) -> float:
    covered = 0
    known = np.unique(passages(training, PASSAGE))
    for codes in samples:
        starts = np.isin(passages(codes, PASSAGE), known)
        change = np.zeros(len(codes) + 1, np.int64)  # +1 where a passage begins, −1 where it ends
        places = np.flatnonzero(starts)
        np.add.at(change, places, 1)
        np.add.at(change, places + PASSAGE, -1)
        covered += int((np.cumsum(change)[:-1] > 0).sum())
    return covered / sum(map(len, samples))


def _longest(samples: list[Hashes], training: Hashes) -> int:
    """By bisection: a passage of n characters holds one of n − 1."""
    low, high = 0, max(map(len, samples))
    while low < high:
        middle = (low + high + 1) // 2
        found = [passages(codes, middle) for codes in samples]
        if np.isin(np.concatenate(found), passages(training, middle)).any():
            low = middle
        else:
            high = middle - 1
    return low


def passages(codes: Hashes, size: int) -> Hashes:
    """A value for each passage of ``size`` codes, (len(codes) − size + 1,), or none.

    Doubled up: h_{a+b}(i) = h_a(i) · B^b + h_b(i + a).
    """
    if size < 1 or len(codes) < size:
        return np.empty(0, np.uint64)
    found, length = codes, 1
    for bit in bin(size)[3:]:
        found, length = _joined(found, found, length, length), 2 * length
        if bit == "1":
            found, length = _joined(found, codes, length, 1), length + 1
    return found


def _joined(left: Hashes, right: Hashes, a: int, b: int) -> Hashes:
    """Values of passages of a + b codes from those of a and of b."""
    power = np.uint64(pow(int(_BASE), b, 1 << 64))
    count = min(len(left), len(right) - a)
    joined: Hashes = left[:count] * power + right[a : a + count]
    return joined


def _codes(text: str) -> Hashes:
    """Characters as 64 well mixed bits each (the finaliser of splitmix64)."""
    x: NDArray[Any] = np.frombuffer(text.encode("utf-32-le"), "<u4").astype(np.uint64) + _BASE
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Hashes = x ^ (x >> np.uint64(31))
    return mixed
