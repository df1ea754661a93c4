"""How like the data's the columns and their relations are.

    column   1 − Kolmogorov–Smirnov distance of numbers, 1 − total variation of categories,
             times 1 − difference of the shares of missing values
    pair     1 − half the difference of Spearman's correlations of two numbers; 1 − total variation
             of the contingency tables where one is a category (numbers in ten bins)

After SDMetrics' column shapes and column pair trends, which takes Pearson's correlations.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmkit_augmentation.measures.matrices import Features, Matrix

ROWS = 20_000
"""Rows compared, at most."""
_BINS = 10
_MOST_COLUMNS = 60


def shapes(real: pa.Table, synthetic: pa.Table) -> dict[str, float]:
    """Column → how alike its distributions are, 0 … 1."""
    features = Features(real)
    ours, theirs = features.ordinal(some(real)), features.ordinal(some(synthetic))
    found = {}
    for place, feature in enumerate(features.features):
        a, b = ours[:, place], theirs[:, place]
        missing = abs(float(np.isnan(a).mean() - np.isnan(b).mean()))
        a, b = a[~np.isnan(a)], b[~np.isnan(b)]
        if not len(a) or not len(b):
            found[feature.name] = 1.0 - missing
            continue
        alike = 1 - _variation(a, b) if feature.values is not None else 1 - _ks(a, b)
        found[feature.name] = alike * (1 - missing)
    return found


def correlations(table: pa.Table, features: Features) -> Matrix:
    """Spearman's correlations, (C, C); of categories by their order of frequency."""
    codes = features.ordinal(some(table))
    ranks = np.stack([_ranks(column) for column in codes.T], axis=1)
    ranks -= ranks.mean(0)
    norm = np.sqrt((ranks**2).sum(0))
    return np.asarray((ranks.T @ ranks) / np.maximum(np.outer(norm, norm), 1e-12))


def trends(real: pa.Table, synthetic: pa.Table) -> float:
    """The mean over all pairs of columns, 0 … 1; NaN for a single column."""
    features = Features(real)
    count = min(len(features.features), _MOST_COLUMNS)
    ours, theirs = features.ordinal(some(real)), features.ordinal(some(synthetic))
    a, b = correlations(real, features), correlations(synthetic, features)
    binned = [_binned(ours[:, i], theirs[:, i], features.categorical[i]) for i in range(count)]
    scores = []
    for i in range(count):
        for j in range(i):
            if not (features.categorical[i] or features.categorical[j]):
                scores.append(1 - abs(a[i, j] - b[i, j]) / 2)
                continue
            size = binned[j][2]
            first = binned[i][0] * size + binned[j][0]
            second = binned[i][1] * size + binned[j][1]
            scores.append(1 - _variation(first, second))
    return float(np.mean(scores)) if scores else float("nan")


def some(table: pa.Table) -> pa.Table:
    """Up to ``ROWS`` rows at random, always the same."""
    if table.num_rows <= ROWS:
        return table
    rows = np.random.default_rng(0).choice(table.num_rows, ROWS, replace=False)
    return table.take(pa.array(np.sort(rows)))


def _ks(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    both = np.sort(np.concatenate([a, b]))
    first = np.searchsorted(np.sort(a), both, "right") / len(a)
    second = np.searchsorted(np.sort(b), both, "right") / len(b)
    return float(np.abs(first - second).max())


def _variation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    values, codes = np.unique(np.concatenate([a, b]), return_inverse=True)
    first = np.bincount(codes[: len(a)], minlength=len(values)) / len(a)
    second = np.bincount(codes[len(a) :], minlength=len(values)) / len(b)
    return float(np.abs(first - second).sum() / 2)


def _ranks(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mid-ranks; what is missing stands in the middle."""
    known = ~np.isnan(column)
    ranks = np.full(len(column), 0.5)
    if known.any():
        _, place, counts = np.unique(column[known], return_inverse=True, return_counts=True)
        ranks[known] = ((np.cumsum(counts) - counts / 2) / known.sum())[place]
    return ranks


def _binned(
    a: NDArray[np.float64], b: NDArray[np.float64], categorical: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Codes of both, 0 for missing, and how many there can be."""
    if categorical:
        size = int(max(np.nan_to_num(a).max(initial=0), np.nan_to_num(b).max(initial=0))) + 2
        return np.nan_to_num(a + 1), np.nan_to_num(b + 1), size
    known = a[~np.isnan(a)]
    inner = np.linspace(0, 1, _BINS + 1)[1:-1]
    edges = np.unique(np.quantile(known, inner)) if len(known) else np.empty(0)

    def codes(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(np.isnan(values), 0, np.searchsorted(edges, values, "right") + 1)

    return codes(a), codes(b), _BINS + 2
