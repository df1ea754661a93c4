"""Tanimoto similarities of many fingerprints, as matrix products of their bits.

For bit vectors, |a and b| is an inner product and |a or b| = |a| + |b| - |a and b|, so a block
of similarities is one call of BLAS. Fingerprints are packed, shape ``(n, bits / 8)``; two empty
ones are equal (similarity 1).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["mean_powers", "nearest"]

BLOCK = 1024
"""Rows and columns of a block: 4 MB of similarities, which stay in the cache."""

Packed = NDArray[np.uint8]
Floats = NDArray[np.float64]


def nearest(queries: Packed, references: Packed) -> Floats:
    """For each query the highest similarity to any reference, in [0, 1]; 0 without references."""
    best = np.zeros(len(queries))
    for rows, _, similarity in _blocks(queries, references):
        np.maximum(best[rows], similarity.max(axis=1), out=best[rows])
    return best


def mean_powers(fingerprints: Packed, counts: Floats, powers: Sequence[int]) -> Floats:
    """Weighted power means of each row's similarities to all rows, itself included.

    ``mean_powers(...)[i, k] = (sum_j counts[j] s_ij^p / sum(counts)) ^ (1/p)`` with
    ``p = powers[k]``: shape ``(n, len(powers))``, in [0, 1].
    """
    means = np.zeros((len(fingerprints), len(powers)))
    weights = (counts / counts.sum()).astype(np.float32)
    for rows, columns, similarity in _blocks(fingerprints, fingerprints):
        for k, power in enumerate(powers):
            values = similarity if power == 1 else similarity**power
            means[rows, k] += values @ weights[columns]
    return means ** (1 / np.asarray(powers, dtype=np.float64))


def _blocks(a: Packed, b: Packed) -> Iterator[tuple[slice, slice, NDArray[np.float32]]]:
    """Rows of ``a``, rows of ``b`` and their similarities, block by block."""
    for j in range(0, len(b), BLOCK):
        columns = slice(j, j + BLOCK)
        right = _unpacked(b[columns])
        right_size = right.sum(axis=1)
        for i in range(0, len(a), BLOCK):
            rows = slice(i, i + BLOCK)
            left = _unpacked(a[rows])
            shared = left @ right.T
            either = left.sum(axis=1)[:, None] + right_size
            either -= shared
            empty = either == 0
            shared[empty] = either[empty] = 1
            yield rows, columns, np.divide(shared, either, out=shared)


def _unpacked(packed: Packed) -> NDArray[np.float32]:
    return np.unpackbits(packed, axis=1).astype(np.float32)
