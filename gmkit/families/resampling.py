"""New records near old ones: between neighbours (smote), or with noise on them (noise).

    smote   x = a + λ (b − a),   b one of a's nearest neighbours, λ uniform in [0, 1]
    noise   x = a + σ s ε,       s the element's standard deviation, ε ~ N(0, 1)

Chawla et al. 2002, "SMOTE: synthetic minority over-sampling technique"; classes are those of a or b
by λ, as a class has no between. Given values choose the record a: one of those that have them, or
are nearest to having them. Both keep the records learned from in the model, and their draws lie
close to them: for few rows and for class balance, not for privacy.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from gmkit.families.elements import Elementwise, Mask, Matrix, plain_surprise
from gmkit.families.family import FamilyConfig

_JUDGED = 500
"""Kept records that a record's surprise is told by."""
_KERNEL = 0.3
"""Standard deviations around a kept record, for that."""
_EMBEDDED = 8
"""Dimensions that a class takes in distances."""
_ASKED = 256
"""Different given values up to which all that fit equally well are found."""


class SmoteConfig(FamilyConfig):
    """``family.*`` options of smote."""

    neighbours: int = Field(5, ge=1, le=100, description="nearest records to go towards")
    rows: int = Field(20_000, ge=2, description="records kept, at most")


class NoiseConfig(FamilyConfig):
    """``family.*`` options of noise."""

    scale: float = Field(0.1, gt=0, le=10, description="standard deviations of the noise")
    flip: float = Field(0.01, ge=0, le=1, description="chance of a class to be another record's")
    neighbours: int = Field(5, ge=1, le=100, description="nearest records that given values choose")
    rows: int = Field(20_000, ge=2, description="records kept, at most")


class Resampled(Elementwise):
    """``values`` (N, V): records kept."""

    config: SmoteConfig | NoiseConfig

    def fit(self, matrix: Matrix, rng: np.random.Generator) -> None:
        """Keep the records, a fair sample of too many."""
        if len(matrix) > self.config.rows:
            matrix = matrix[np.sort(rng.choice(len(matrix), self.config.rows, replace=False))]
        self.values = nn.Parameter(torch.from_numpy(matrix).to(self.values.device), False)

    @property
    def _records(self) -> Matrix:
        return np.asarray(self.values.detach().cpu().numpy())

    def _scales(self) -> NDArray[np.float64]:
        """Standard deviation of each element, (V,); 1 for a constant one and for classes."""
        found = self._records.std(0, dtype=np.float64)
        real = np.array([v.kind != "class" for v in self.variables])
        return np.where(real & (found > 0), found, 1.0)

    def _points(self, matrix: Matrix, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """Some elements of rows as points, (N, D): numbers by their deviation; two classes are
        about 1 apart."""
        scales, parts = self._scales(), []
        for place in places.tolist():
            variable, column = self.variables[place], matrix[:, place]
            if variable.kind != "class":
                parts.append((column / scales[place])[:, None])
                continue
            codes = np.clip(column.astype(np.int64), 0, variable.size - 1)
            if variable.size <= _EMBEDDED:
                corners = np.eye(variable.size)
            else:
                rng = np.random.default_rng(place)
                corners = rng.standard_normal((variable.size, _EMBEDDED)) / np.sqrt(_EMBEDDED)
            parts.append(corners[codes] / np.sqrt(2))
        return np.concatenate(parts, axis=1).astype(np.float32)

    def _begin(self, values: Matrix, known: Mask, rng: np.random.Generator) -> NDArray[np.int64]:
        """The record a of each row, (B,): one of those that fit what is known best."""
        records = self._records
        chosen = rng.integers(len(records), size=len(values))
        patterns, member = np.unique(known, axis=0, return_inverse=True)
        for number, pattern in enumerate(patterns):
            if not pattern.any():
                continue
            rows = np.flatnonzero(member.reshape(-1) == number)
            places = np.flatnonzero(pattern)
            asked, which = np.unique(values[np.ix_(rows, places)], axis=0, return_inverse=True)
            whole = np.zeros((len(asked), values.shape[1]), np.float32)
            whole[:, places] = asked
            wanted, have = self._points(whole, places), self._points(records, places)
            chosen[rows] = self._nearest(wanted, have, which.reshape(-1), rng)
        return chosen

    def _nearest(
        self,
        wanted: NDArray[np.float32],
        have: NDArray[np.float32],
        which: NDArray[np.int64],
        rng: np.random.Generator,
    ) -> NDArray[np.int64]:
        """For each row, of which ``wanted`` point ``which`` tells, one of the nearest records."""
        many = min(self.config.neighbours, len(have))
        found = np.empty(len(which), np.int64)
        if len(wanted) > _ASKED:
            from sklearn.neighbors import NearestNeighbors

            near = NearestNeighbors(n_neighbors=many).fit(have).kneighbors(wanted)[1]
            return np.asarray(near[which, rng.integers(many, size=len(which))])
        for number, point in enumerate(wanted):
            rows = np.flatnonzero(which == number)
            distance = ((have - point) ** 2).sum(1)
            farthest = np.partition(distance, many - 1)[many - 1]
            fitting = np.flatnonzero(distance <= farthest + 1e-6)  # all that fit as well
            found[rows] = rng.choice(fitting, len(rows))
        return found

    def surprise(self, matrix: Matrix) -> NDArray[np.float64]:
        """− log of a mixture of kernels around some of the records kept."""
        if not self.learned:
            return plain_surprise(self.variables, matrix)
        records = self._records[:: max(1, len(self._records) // _JUDGED)]
        scales = self._scales()
        cost = np.zeros((len(matrix), len(records)))
        for place, variable in enumerate(self.variables):
            gap = matrix[:, None, place] - records[None, :, place]
            if variable.kind == "real":
                width = _KERNEL * scales[place]
                cost += 0.5 * (gap / width) ** 2 + np.log(width) + 0.5 * np.log(2 * np.pi)
            else:
                counts = np.bincount(self._records[:, place].astype(np.int64), None, variable.size)
                shares = (counts + 1) / (len(self._records) + variable.size)
                codes = np.clip(matrix[:, place].astype(np.int64), 0, variable.size - 1)
                cost -= np.log(0.5 * (gap == 0) + 0.5 * shares[codes][:, None])
        least = cost.min(1, keepdims=True)
        mixed = np.exp(least - cost).mean(1)
        return np.asarray(least[:, 0] - np.log(mixed))

    def _rounded(self, drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        """Classes as such."""
        for place, variable in enumerate(self.variables):
            if variable.kind != "real":
                drawn[:, place] = np.clip(np.rint(drawn[:, place]), 0, variable.size - 1)
        return drawn


class Smote(Resampled):
    """Between neighbours."""

    Config = SmoteConfig
    config: SmoteConfig
    parts: ClassVar = {"near": torch.int64}
    near: torch.Tensor

    def fit(self, matrix: Matrix, rng: np.random.Generator) -> None:
        """Keep records and who is near whom, (N, k)."""
        from sklearn.neighbors import NearestNeighbors

        super().fit(matrix, rng)
        points = self._points(self._records, np.arange(len(self.variables)))
        many = min(self.config.neighbours, len(points) - 1)
        near = NearestNeighbors(n_neighbors=many + 1).fit(points).kneighbors(points)[1]
        own = np.arange(len(points))[:, None]
        order = np.argsort(near == own, axis=1, kind="stable")  # itself last, to be cut off
        others = np.take_along_axis(near, order, 1)[:, : max(many, 1)]
        self.near = torch.from_numpy(others).to(self.values.device)

    def draw(
        self, values: Matrix, known: Mask, rng: np.random.Generator, temperature: float
    ) -> NDArray[Any]:
        """Between a record that fits and a neighbour of it that has the same given classes."""
        records, near = self._records, self.near.cpu().numpy()
        begin = self._begin(values, known, rng)
        others = np.clip(near[begin], 0, len(records) - 1)
        fits = np.ones(others.shape, bool)
        for place, variable in enumerate(self.variables):
            if variable.kind == "class" and known[:, place].any():
                same = records[others, place] == values[:, place, None]
                fits &= same | ~known[:, place, None]
        fits |= ~fits.any(1, keepdims=True)
        choice = np.argmax(fits * rng.random(fits.shape), axis=1)
        first, second = records[begin], records[others[np.arange(len(begin)), choice]]
        share = rng.random((len(begin), 1)) * min(temperature, 1.0)
        drawn = first + share * (second.astype(np.float64) - first)
        classes = np.array([v.kind == "class" for v in self.variables])
        picked = np.where(rng.random(drawn.shape) < share, second, first)
        return self._rounded(np.where(classes, picked, drawn))


class Noise(Resampled):
    """With noise on them."""

    Config = NoiseConfig
    config: NoiseConfig

    def draw(
        self, values: Matrix, known: Mask, rng: np.random.Generator, temperature: float
    ) -> NDArray[Any]:
        """Numbers moved, classes now and then another record's."""
        records = self._records
        drawn = records[self._begin(values, known, rng)].astype(np.float64)
        classes = np.array([v.kind == "class" for v in self.variables])
        width = np.where(classes, 0.0, self.config.scale * self._scales())
        drawn += temperature * width * rng.standard_normal(drawn.shape)
        flips = classes & (rng.random(drawn.shape) < self.config.flip)
        others = rng.integers(len(records), size=drawn.shape)
        strange = records[others, np.arange(drawn.shape[1])]
        return self._rounded(np.where(flips, strange, drawn))
