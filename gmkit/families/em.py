"""Expectation maximisation of a mixture of independent elements, over sparse records.

    E   q(k|x) ∝ π_k Π_v p(x_v | k)
    M   p(c | k) = (n_ck + a m_c + b s_ck) / (n_k + a + b),   π_k = (n_k + ½) / (N + ½ K)

(Dempster et al. 1977, "Maximum likelihood from incomplete data via the EM algorithm"), with n the
expected counts, m the data's shares, and for bins s the class's own shares as those around have
them (b is 0 for classes): smoothing within EM (Silverman et al. 1990, "A smoothed EM approach").
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gmkit.families.cells import Cells

CHUNK = 8192
"""Records at once."""
LEAST = 1e-30
"""Probability that stands for none."""
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


class Prior(NamedTuple):
    """How many records' worth of the data's shares for each value, a / C of an element of C values,
    and of the bins around, b."""

    alike: float
    near: float


def em_round(
    rows: Any, cells: Cells, shares: Floats, prior: Prior, tables: Floats, weights: Doubles
) -> tuple[Floats, Doubles]:
    """Tables (cells, K) and weights (K,) after a round over ``rows`` (N, cells). ``shares``: m,
    (cells, 1)."""
    log, ahead = logs(tables), logs(weights)
    counts, found = np.zeros_like(tables), np.full(len(weights), 0.5)
    for start in range(0, rows.shape[0], CHUNK):
        part = rows[start : start + CHUNK]
        posterior = softmax(part @ log + ahead)[0]
        counts += part.T @ posterior
        found += posterior.sum(0)
    counts += prior.alike * cells.weight * shares + prior.near * cells.around(counts, shares)
    return cells.shares(counts), found / found.sum()


def parted(
    rows: Any,
    cells: Cells,
    shares: Floats,
    tables: Floats,
    weights: Doubles,
    rng: np.random.Generator,
) -> Floats:
    """Tables (cells, 2K) of twice as many classes: each class drawn half way to two of its records,
    for noise alone would be smoothed away."""
    count = len(weights)
    some = rows[rng.permutation(rows.shape[0])[: 32 * count]]
    posterior = softmax(some @ logs(tables) + logs(weights))[0]
    chance = rng.random((len(posterior), 1))
    member = (posterior.cumsum(1) < chance).sum(1).clip(max=count - 1)
    order = np.argsort(member, kind="stable")
    begins = np.searchsorted(member[order], np.arange(count))
    many = np.bincount(member, minlength=count)
    chosen = rng.integers(len(order), size=2 * count)  # of a class without any, others
    for half in (0, 1):
        have = many > half
        chosen[half::2][have] = order[begins[have] + half]
    seeds = some[chosen].T.toarray()
    near = cells.around(seeds, shares)
    return cells.shares(np.repeat(tables, 2, 1) + np.where(cells.binned, near, seeds))


def likely(rows: Any, tables: Floats, weights: Doubles) -> Doubles:
    """log p of records' classes and bins, (N,)."""
    log, ahead = logs(tables), logs(weights)
    parts = [
        softmax(rows[start : start + CHUNK] @ log + ahead)[1]
        for start in range(0, rows.shape[0], CHUNK)
    ]
    return np.concatenate([np.empty(0), *parts])


def logs(shares: NDArray[Any]) -> Floats:
    """Of shares, of 0 too."""
    return np.asarray(np.log(np.maximum(shares, LEAST)), np.float32)


def softmax(scores: Floats) -> tuple[Floats, Floats]:
    """Shares (N, K) of scores, which are overwritten, and log Σ_k exp of these, (N,)."""
    most = scores.max(1, keepdims=True)
    np.exp(scores - most, out=scores)
    total = scores.sum(1, keepdims=True)
    scores /= total
    return scores, (most + np.log(total))[:, 0]
