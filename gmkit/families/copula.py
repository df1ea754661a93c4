"""The Gaussian copula, on any Space: exact marginals, relations of the simplest kind.

    F_v(x_v) = Φ(z_v),   z ~ N(0, R)

Each element has its own empirical distribution F_v; how elements go together is one correlation
matrix R of their normal scores (Nelsen 2006, "An introduction to copulas"; Patki et al. 2016, "The
synthetic data vault"). R is drawn to the identity as far as few rows demand (Ledoit & Wolf 2004).
Classes without order stand in that in which they go best along with everything else. What is known
is conditioned on exactly, classes by a place within their share. A few numbers learned from few
rows: coarse, and hard to overfit.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gmkit.families.elements import Elementwise, Mask, Matrix, plain_surprise
from gmkit.families.family import FamilyConfig

KNOTS = 512
"""Quantiles that a real element's distribution goes through."""
_ROUNDS = 2
"""Of putting classes in order and correlating."""
_INSIDE = 1e-7
Floats = NDArray[np.float64]


class CopulaConfig(FamilyConfig):
    """``family.*`` options of the copula; there are none."""


class Copula(Elementwise):
    """``values`` (V, V): R; ``knots`` (V, K): quantiles of real elements; ``order``, ``ends``: of
    each class element its classes in order and their cumulated shares, one after the other."""

    Config = CopulaConfig
    most: ClassVar[int] = 4096
    parts: ClassVar = {
        "knots": torch.float32,
        "order": torch.int64,
        "ends": torch.float64,
    }
    knots: torch.Tensor
    order: torch.Tensor
    ends: torch.Tensor

    # ------------------------------------------------------------ learning

    def fit(self, matrix: Matrix, rng: np.random.Generator) -> None:
        """Marginals, then correlations, twice over for the order of classes."""
        self._marginals(matrix)
        for _ in range(_ROUNDS):
            scores = self._scores(matrix, None)
            if self._reorder(matrix, _first_axis(scores)):
                scores = self._scores(matrix, None)
        self.values = nn.Parameter(
            torch.from_numpy(_correlation(scores)).float().to(self.values.device), False
        )

    def _marginals(self, matrix: Matrix) -> None:
        places = (np.arange(KNOTS) + 0.5) / KNOTS
        knots, order, ends = [], [], []
        for variable, column in zip(self.variables, matrix.T, strict=True):
            if variable.kind == "real":
                knots.append(np.quantile(column, places))
                continue
            knots.append(np.zeros(KNOTS))
            counts = np.bincount(column.astype(np.int64), minlength=variable.size)
            ranked = np.arange(variable.size)
            if variable.kind == "class":
                ranked = np.argsort(-counts, kind="stable")
            order.append(ranked)
            ends.append(np.cumsum(counts[ranked]) / len(column))
        self._keep("knots", np.stack(knots))
        self._keep("order", np.concatenate([np.empty(0, np.int64), *order]))
        self._keep("ends", np.concatenate([np.empty(0), *ends]))

    def _keep(self, name: str, value: NDArray[Any]) -> None:
        tensor = torch.from_numpy(value).to(self.parts[name])
        setattr(self, name, tensor.to(self.values.device))

    def _reorder(self, matrix: Matrix, axis: Floats) -> bool:
        """Classes in the order of their mean place along ``axis`` (N,); whether any moved."""
        order, ends = self.order.cpu().numpy().copy(), self.ends.cpu().numpy().copy()
        for place, begin in self._class_starts():
            variable = self.variables[place]
            if variable.kind != "class":
                continue
            codes = matrix[:, place].astype(np.int64)
            counts = np.bincount(codes, minlength=variable.size)
            means = np.bincount(codes, axis, variable.size) / (counts + 1)
            ranked = np.argsort(means, kind="stable")
            order[begin : begin + variable.size] = ranked
            ends[begin : begin + variable.size] = np.cumsum(counts[ranked]) / len(codes)
        moved = not np.array_equal(order, self.order.cpu().numpy())
        self._keep("order", order)
        self._keep("ends", ends)
        return moved

    def _class_starts(self) -> list[tuple[int, int]]:
        """(number of the element, where its classes begin)."""
        found, begin = [], 0
        for place, variable in enumerate(self.variables):
            if variable.kind != "real":
                found.append((place, begin))
                begin += variable.size
        return found

    # ------------------------------------------------------------ scores and back

    def _scores(self, matrix: Matrix, rng: np.random.Generator | None) -> Floats:
        """Φ⁻¹(F(x)), (N, V); of classes the middle of their share, with ``rng`` a place in it."""
        places = np.full(matrix.shape, 0.5)
        grid = (np.arange(KNOTS) + 0.5) / KNOTS
        knots = self.knots.cpu().numpy()
        order, ends = self.order.cpu().numpy(), self.ends.cpu().numpy()
        starts = dict(self._class_starts())
        for place, variable in enumerate(self.variables):
            column = matrix[:, place]
            if variable.kind == "real":
                low = np.searchsorted(knots[place], column, "left")
                high = np.searchsorted(knots[place], column, "right")
                tied = (grid[np.minimum(low, KNOTS - 1)] + grid[np.maximum(high - 1, 0)]) / 2
                smooth = np.interp(column, knots[place], grid)
                places[:, place] = np.where(high > low + 1, tied, smooth)
                continue
            part = slice(starts[place], starts[place] + variable.size)
            rank = np.argsort(order[part])[np.clip(column.astype(np.int64), 0, variable.size - 1)]
            upper = ends[part][rank]
            lower = np.where(rank > 0, ends[part][np.maximum(rank - 1, 0)], 0.0)
            share = 0.5 if rng is None else rng.random(len(column))
            places[:, place] = lower + share * (upper - lower)
        return _quantile(places)

    def _elements(self, scores: Floats) -> Floats:
        """The inverse of ``_scores``."""
        places = _normal(scores)
        grid = (np.arange(KNOTS) + 0.5) / KNOTS
        knots = self.knots.cpu().numpy()
        order, ends = self.order.cpu().numpy(), self.ends.cpu().numpy()
        found = np.empty(scores.shape)
        for place, variable in enumerate(self.variables):
            if variable.kind == "real":
                found[:, place] = np.interp(places[:, place], grid, knots[place])
        for place, begin in self._class_starts():
            size = self.variables[place].size
            rank = np.searchsorted(ends[begin : begin + size], places[:, place], "right")
            found[:, place] = order[begin : begin + size][np.minimum(rank, size - 1)]
        return found

    # ------------------------------------------------------------ drawing and judging

    def draw(
        self, values: Matrix, known: Mask, rng: np.random.Generator, temperature: float
    ) -> Floats:
        """z_U | z_K ~ N(R_UK R_KK⁻¹ z_K, R_UU − R_UK R_KK⁻¹ R_KU), for each set K of what is
        known."""
        relation = self.values.detach().cpu().numpy().astype(np.float64)
        noise = rng.standard_normal(values.shape)
        scores = np.zeros(values.shape)
        if known.any():
            scores = self._scores(values, rng)
        patterns, member = np.unique(known, axis=0, return_inverse=True)
        for number, pattern in enumerate(patterns):
            rows = np.flatnonzero(member.reshape(-1) == number)
            open_, fixed = np.flatnonzero(~pattern), np.flatnonzero(pattern)
            if not len(open_):
                continue
            spread = relation[np.ix_(open_, open_)]
            mean = np.zeros((len(rows), len(open_)))
            if len(fixed):
                weights = np.linalg.solve(
                    relation[np.ix_(fixed, fixed)], relation[np.ix_(fixed, open_)]
                )
                mean = scores[np.ix_(rows, fixed)] @ weights
                spread = spread - relation[np.ix_(open_, fixed)] @ weights
            drawn = mean + temperature * noise[np.ix_(rows, open_)] @ _root(spread).T
            scores[np.ix_(rows, open_)] = drawn
        return self._elements(scores)

    def surprise(self, matrix: Matrix) -> Floats:
        """− log c(z) of the copula, and of each element that of a normal density or its share."""
        if not self.learned:
            return plain_surprise(self.variables, matrix)
        scores = self._scores(matrix, None)
        relation = self.values.detach().cpu().numpy().astype(np.float64)
        root = np.linalg.cholesky(relation)
        white = np.linalg.solve(root, scores.T)
        total = np.log(np.diag(root)).sum() + 0.5 * ((white**2).sum(0) - (scores**2).sum(1))
        return np.asarray(total + self._marginal_surprise(matrix))

    def _marginal_surprise(self, matrix: Matrix) -> Floats:
        total = np.zeros(len(matrix))
        knots, starts = self.knots.cpu().numpy(), dict(self._class_starts())
        order, ends = self.order.cpu().numpy(), self.ends.cpu().numpy()
        for place, variable in enumerate(self.variables):
            column = matrix[:, place]
            if variable.kind == "real":
                total += _normal_surprise(column, knots[place])
                continue
            part = slice(starts[place], starts[place] + variable.size)
            shares = np.empty(variable.size)
            shares[order[part]] = np.diff(ends[part], prepend=0.0)
            codes = np.clip(column.astype(np.int64), 0, variable.size - 1)
            total -= np.log(0.99 * shares[codes] + 0.01 / variable.size)
        return total


def _normal_surprise(column: NDArray[np.float32], knots: NDArray[np.float32]) -> Floats:
    deviation = max(float(knots.std()), 0.05)
    standard = (column.astype(np.float64) - float(knots.mean())) / deviation
    return 0.5 * standard**2 + np.log(deviation) + 0.5 * np.log(2 * np.pi)


def _first_axis(scores: Floats) -> Floats:
    """The direction in which rows differ most, (N,)."""
    centred = scores - scores.mean(0)
    deviation = centred.std(0)
    centred /= np.where(deviation > 0, deviation, 1.0)
    some = centred[:: max(1, len(centred) // 5000)]
    _, vectors = np.linalg.eigh(some.T @ some)
    return np.asarray(centred @ vectors[:, -1])


def _correlation(scores: Floats) -> Floats:
    """R, (V, V), positive definite."""
    from sklearn.covariance import ledoit_wolf

    centred = scores - scores.mean(0)
    deviation = centred.std(0)
    flat = deviation < _INSIDE
    centred /= np.where(flat, 1.0, deviation)
    if len(centred) < 2 or flat.all():
        return np.eye(scores.shape[1])
    found = ledoit_wolf(centred, assume_centered=True)[0]
    found[flat], found[:, flat] = 0.0, 0.0
    scale = np.sqrt(np.where(np.diag(found) > 0, np.diag(found), 1.0))
    found = found / np.outer(scale, scale)
    np.fill_diagonal(found, 1.0)
    values, vectors = np.linalg.eigh((found + found.T) / 2)
    sound = (vectors * np.maximum(values, 1e-4)) @ vectors.T
    scale = np.sqrt(np.diag(sound))
    return np.asarray(sound / np.outer(scale, scale))


def _root(spread: Floats) -> Floats:
    """A with A Aᵀ = ``spread``, which need not be quite positive definite."""
    values, vectors = np.linalg.eigh((spread + spread.T) / 2)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def _quantile(places: Floats) -> Floats:
    inside = torch.from_numpy(np.clip(places, _INSIDE, 1 - _INSIDE))
    return np.asarray(torch.special.ndtri(inside))


def _normal(scores: Floats) -> Floats:
    return np.asarray(torch.special.ndtr(torch.from_numpy(scores)))
