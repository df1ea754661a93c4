"""Records as sparse rows of ones: a cell for each class of an element, or bin of a real one.

What tells nothing has no one: elements that are not known, those after a sequence's end, and idle
ones. A real element is idle where a class element is of classes with which it always has the same
value (codecs write 0 where a column's value is missing, or a repeated one that is a class).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmkit.families.binning import Binning, binned
from gmkit.families.elements import SETTLERS, Mask, Matrix, Variable, settled
from gmkit.fields import GOES_ON, Categorical, Space

_FACTS = 2 + SETTLERS
_NEAR = 0.05
"""Standard deviation of what is around a bin, as a part of all bins."""
_BINNED = 4.0
_NONE = 1e-30
Doubles = NDArray[np.float64]


class Cells:
    """The cells of ``variables``, the first ``conditions`` of which are conditions."""

    def __init__(self, space: Space, variables: Sequence[Variable], bins: int) -> None:
        self.bins = bins
        self.sizes = np.array([v.size or bins for v in variables])
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.total = int(self.sizes.sum())
        kinds = [v.kind for v in variables]
        own = [_BINNED if k == "real" else size for k, size in zip(kinds, self.sizes, strict=True)]
        self.weight = np.repeat(np.array(own, np.float32), self.sizes)[:, None]
        """(cells, 1): the number of an element's classes, by which a prior weighs: of bins, which
        have those around them, a few."""
        self.real = {i: n for n, i in enumerate(i for i, k in enumerate(kinds) if k == "real")}
        """Place of a real element → its number among these."""
        self.binned = np.repeat([k == "real" for k in kinds], self.sizes)[:, None]
        self._sequences = [
            (f.end, [i for i, v in enumerate(variables) if v.field == name])
            for name, f in space.fields.items()
            if isinstance(f, Categorical) and f.end is not None
        ]
        self.take(np.empty((len(self.real), 0)), np.zeros((len(self.real), 1, 1)), np.empty((0, 0)))

    def take(self, edges: Doubles, knots: Doubles, idle: Doubles) -> None:
        """Bins as of ``binned``, and of each real element the class element that tells whether it
        is idle (−1: none), its value then, and for each class whether it is."""
        self.binning, self.idle = Binning(edges, knots), idle

    def learn(self, matrix: Matrix) -> tuple[Doubles, Doubles, Doubles]:
        """What ``take`` takes, of records (N, V)."""
        idle = np.reshape([self._idle_of(matrix, place) for place in self.real], (-1, _FACTS))
        self.idle = idle
        present = self.present(matrix, np.ones(matrix.shape, bool))
        edges, knots = binned([matrix[present[:, i], i] for i in self.real], self.bins)
        self.take(edges, knots, idle)
        return edges, knots, idle

    def _idle_of(self, matrix: Matrix, place: int) -> Doubles:
        found = np.zeros(_FACTS)
        found[0] = -1
        others = {
            i: (matrix[:, i].astype(np.int64), size)
            for i, size in enumerate(self.sizes.tolist())
            if i not in self.real and size <= SETTLERS
        }
        facts = settled(matrix[:, place], others)
        if facts is not None:
            found[:2], found[2 : 2 + len(facts[2])] = facts[:2], facts[2]
        return found

    def idles(self, place: int, matrix: Matrix, known: Mask) -> NDArray[np.bool_]:
        """(N,): where a real element has its one value for the sake of a class, or, of a class
        that is not known, may have it for its sake."""
        facts = self.idle[self.real[place]]
        other = int(facts[0])
        if other < 0:
            return np.zeros(len(matrix), bool)
        codes = matrix[:, other].astype(np.int64).clip(0, self.sizes[other] - 1)
        return np.where(known[:, other], facts[2 + codes] > 0, matrix[:, place] == facts[1])

    def present(self, matrix: Matrix, known: Mask) -> Mask:
        """(N, V): which elements are known and tell something."""
        found = known.copy()
        for end, places in self._sequences:
            ended = (matrix[:, places] == end) & known[:, places]
            found[:, places] &= ended.cumsum(1) - ended == 0
        for place in self.real:
            found[:, place] &= ~self.idles(place, matrix, known)
        return found

    def going(self, values: Matrix, known: Mask) -> dict[int, tuple[int, NDArray[np.bool_]]]:
        """Element → the end of its sequence, and where (N,) it may not stand: before something
        that is known, and where the record says so."""
        found: dict[int, tuple[int, NDArray[np.bool_]]] = {}
        for end, places in self._sequences:
            here, held = known[:, places], values[:, places]
            later = (here & (held != end))[:, ::-1].cumsum(1)[:, ::-1] > 0
            open_ = later | (~here & (held == GOES_ON))
            found |= {i: (end, open_[:, n]) for n, i in enumerate(places) if open_[:, n].any()}
        return found

    def codes(self, place: int, column: NDArray[Any]) -> NDArray[np.int64]:
        """Classes or bins of an element's values, (N,)."""
        if place in self.real:
            return self.binning.bins(self.real[place], column)
        return column.astype(np.int64).clip(0, self.sizes[place] - 1)

    def rows(self, matrix: Matrix, present: Mask) -> Any:
        """(N, cells), a scipy array of ones, float32."""
        from scipy.sparse import csr_array

        codes = [self.starts[i] + self.codes(i, column) for i, column in enumerate(matrix.T)]
        places = np.stack(codes, axis=1)[present].astype(np.int32)
        ends = np.concatenate([[0], present.sum(1).cumsum()]).astype(np.int32)
        return csr_array((np.ones(ends[-1], np.float32), places, ends), (len(matrix), self.total))

    def shares(self, counts: NDArray[Any]) -> NDArray[np.float32]:
        """Counts (cells, K) as shares within each element."""
        total = np.add.reduceat(counts, self.starts, axis=0)
        return np.asarray(counts / np.repeat(total, self.sizes, 0), np.float32)

    def marginal(self, rows: Any) -> NDArray[np.float32]:
        """(cells, 1): shares in the data, of classes that do not occur next to nothing, of bins
        that there are not nothing."""
        counts = np.asarray(rows.sum(0), np.float64) + np.repeat(0.5 / self.sizes, self.sizes)
        for place, used in zip(self.real, self.binning.used, strict=True):
            counts[self.starts[place] :][: len(used)][~used] = 0.0
        return self.shares(counts[:, None])

    def around(self, counts: NDArray[Any], shares: NDArray[Any]) -> NDArray[np.float32]:
        """Counts (cells, K) of real elements as shares, as those of the bins around have it, for
        data of ``shares`` (cells, 1); of other elements 0:  m_c Σ_b w_cb n_b / Σ_b w_cb m_b."""
        found = np.zeros(counts.shape, np.float32)
        bins = np.arange(self.bins)
        near = np.exp(-0.5 * ((bins[:, None] - bins) / (_NEAR * self.bins)) ** 2)
        near = near.astype(np.float32)
        for place in self.real:
            part = slice(self.starts[place], self.starts[place] + self.bins)
            expected = np.maximum(near @ shares[part], _NONE)
            told = shares[part] * (near @ counts[part]) / expected
            found[part] = told / np.maximum(told.sum(0), _NONE)
        return found
