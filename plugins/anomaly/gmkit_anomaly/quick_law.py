"""Every column given all others, linearly, in closed form: a law that scores a million records in
a second or two, and needs no more than numpy.

A table becomes numbers x (a class as one of several, 1/√2 each). With Λ the inverse of their
covariance, a group g of numbers given all others is normal around x_g − r_g, where

    r_g = Λ_gg⁻¹ (Λ (x − μ))_g                       (Bishop 2006, eq. 2.73 and 2.75)
    number   z_j = r_j / s_j,   s_j the spread of r_j
    class    z_j² = −2 log p(class | rest), less its median, 0 at least
    score    ‖z‖₄ = (Σ_j z_j⁴)^¼

The 4-norm lies between the 2-norm, in which one broken value drowns among many good ones, and the
largest, which does not see that three are broken. Chosen on made tables of other structures and
seeds than any that is reported (factors, chains, blocks, heavy tails; 15 to 60 columns, 1 to 5
broken values): mean AUROC / average precision .861 / .500, sum of log t₄ .847 / .368, Mahalanobis
.831 / .384, largest .851 / .484.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]
CLASSES = 32
"""Classes of a field that are numbers of their own; the rarer ones share what these leave."""
MOST = 1000
"""Numbers; of more, the first."""
RIDGE = 1e-3
"""Added to the variances, in squares of a number's spread: columns may repeat each other."""
REACH = 5.0
"""Spreads at which a value ends where others are told by it, and where the law is learned."""
CLIP = 50.0
"""Spreads at which a value ends for itself: one wild value must not hide how wild others are."""
FLOOR = 1e-3
"""Least spread of what is left of a number."""
RARE = 1e-3
"""Least share of a class."""
USUAL = 5000
"""Records by which is told how unlikely a class usually is."""
AT_ONCE = 1 << 18
"""Numbers worked on at once: what does not leave the processor's cache."""
_ROOT = float(np.sqrt(2))


@dataclass(frozen=True)
class Part:
    """A field, and the rows of the matrix that are its numbers."""

    field: str
    first: int
    codes: NDArray[np.int64] | None = None
    """Of a class: those with a number each, none where only one is known; the others count by"""
    share: Floats | None = None
    """of each code in what these leave."""

    @property
    def width(self) -> int:
        """Numbers."""
        return 1 if self.codes is None else len(self.codes)

    @property
    def rows(self) -> slice:
        """Of the matrix."""
        return slice(self.first, self.first + self.width)


class Law:
    """Learned from fields (N,) by name, reals as floats and classes as whole numbers; ``owner``:
    field → column, whose fields must not explain each other."""

    def __init__(self, arrays: Arrays, owner: Mapping[str, str], *, trim: float = 0.0) -> None:
        """``trim``: share of the records, the oddest by a first law, that a second is not learned
        from (a step of Rousseeuw & Van Driessen 1999)."""
        self.parts, self.centre, self.scale = _parts(arrays)
        self._usual: dict[str, float] = {}
        names = list(dict.fromkeys(owner.values()))
        group = [names.index(owner[p.field]) for p in self.parts for _ in range(p.width)]
        matrix = self._matrix(arrays)
        self._learn(matrix, np.array(group, np.int64))
        if trim:
            total = self.totals(arrays)
            kept = np.sort(np.argsort(total, kind="stable")[: max(1, int((1 - trim) * len(total)))])
            self._learn(matrix[:, kept], np.array(group, np.int64))
        few = {name: values[:USUAL] for name, values in arrays.items()}
        self._usual = {
            fields[0]: float(np.median(square))
            for fields, square in self._squares(few)
            if few[fields[0]].dtype.kind != "f"
        }

    def _learn(self, matrix: Floats, group: NDArray[np.int64]) -> None:
        known = np.clip(matrix, -REACH, REACH)
        self._mean = known.mean(1)
        known -= self._mean[:, None]
        covariance = known @ known.T / known.shape[1]
        self._left = left = _left(covariance, group)
        self.spread = np.maximum(np.sqrt(((left @ covariance) * left).sum(1).clip(0)), FLOOR)

    # ------------------------------------------------------------ numbers

    def _matrix(self, arrays: Arrays) -> Floats:
        """(D, N), a row for each number."""
        rows = len(next(iter(arrays.values())))
        found = np.empty((len(self.centre), rows))
        for part in self.parts:
            values = arrays[part.field]
            if part.codes is None:
                np.subtract(values, self.centre[part.first], out=found[part.first])
                found[part.first] /= self.scale[part.first]
                continue
            for row, code in enumerate(part.codes.tolist(), part.first):
                np.multiply(values == code, 1 / _ROOT, out=found[row])
        return np.clip(found, -CLIP, CLIP, out=found)

    def residuals(self, matrix: Floats) -> Floats:
        """(D, N): what is left of each number when what the others let expect is taken off."""
        seen = np.clip(matrix, -REACH, REACH)
        beyond = matrix - seen  # its own value counts as it is, however far out
        beyond *= self._left.diagonal()[:, None]
        seen -= self._mean[:, None]
        beyond += self._left @ seen
        return beyond

    # ------------------------------------------------------------ scores

    def totals(self, arrays: Arrays) -> Floats:
        """(N,): the score."""
        total = np.empty(len(next(iter(arrays.values()))))
        for here, some in _pieces(arrays, len(self.centre)):
            fourth = np.zeros(len(total[here]))
            for _, square in self._squares(some):
                fourth += (square * square).sum(0) if square.ndim > 1 else square * square
            total[here] = np.sqrt(np.sqrt(fourth))
        # a product of other sizes adds up in another order, and a record's rank must not depend
        # on how many come with it
        return total.round(9)

    def nats(self, arrays: Arrays) -> dict[str, Floats]:
        """Field → (N,): − log p of its value given the rest, of a number up to a constant and with
        the tails of a t₄."""
        rows = len(next(iter(arrays.values())))
        found = {part.field: np.zeros(rows) for part in self.parts}
        for here, some in _pieces(arrays, len(self.centre)):
            for fields, square in self._squares(some):
                for field, own in zip(fields, np.atleast_2d(square), strict=True):
                    real = some[field].dtype.kind == "f"
                    found[field][here] = 2.5 * np.log1p(own / 4) if real else own / 2
        return found

    def _squares(self, arrays: Arrays) -> list[tuple[list[str], Floats]]:
        """Fields, and their z² (fields, N) or (N,)."""
        matrix = self._matrix(arrays)
        left = self.residuals(matrix)
        reals = [part for part in self.parts if part.codes is None]
        places = [part.first for part in reals]
        found = []
        if reals:
            own = left if len(places) == len(left) else left[places]
            scaled = own / self.spread[places, None]
            found.append(([part.field for part in reals], np.square(scaled, out=scaled)))
        for part in self.parts:
            if part.codes is not None:
                share = self._share(part, arrays[part.field], matrix, left)
                if share is not None:
                    own = -2 * np.log((1 - RARE) * share + RARE) - self._usual.get(part.field, 0.0)
                    found.append(([part.field], own.clip(0)))
        return found

    def _share(
        self, part: Part, codes: NDArray[Any], matrix: Floats, left: Floats
    ) -> Floats | None:
        """(N,): how likely each record's class is; None where all are the only one known."""
        assert part.codes is not None and part.share is not None
        if not part.width:
            known = np.flatnonzero(part.share)
            if len(known) == 1 and (codes == known[0]).all():  # as nearly always
                return None
        share: Floats = part.share[np.clip(codes, 0, len(part.share) - 1)]
        if not part.width:
            return share
        own = matrix[part.rows]
        likely = (own - left[part.rows]) * _ROOT
        rest = np.clip(1 - likely.sum(0), 0, 1) * share
        told = (own * likely).sum(0) * _ROOT
        found: Floats = np.clip(np.where(own.any(0), told, rest), 0, 1)
        return found

    def expected(self, arrays: Arrays) -> tuple[Floats, Floats]:
        """(N, D) what the rest lets expect of each number, and how far it strays, in the fields'
        own units; of a class its share times 1/√2."""
        matrix = self._matrix(arrays)
        mean = (matrix - self.residuals(matrix)) * self.scale[:, None] + self.centre[:, None]
        spread = np.broadcast_to((self.spread * self.scale)[:, None], mean.shape)
        return mean.T, spread.T


def _parts(arrays: Arrays) -> tuple[list[Part], Floats, Floats]:
    """What varies, and the centre and the scale of each number."""
    parts: list[Part] = []
    centre: list[float] = []
    scale: list[float] = []
    for field, values in arrays.items():
        first = len(centre)
        if values.dtype.kind == "f":
            mean, deviation = float(values.mean(dtype=float)), float(values.std(dtype=float))
            if deviation > 1e-9 * (1 + abs(mean)) and first < MOST:
                parts.append(Part(field, first))
                centre.append(mean)
                scale.append(deviation)
            continue
        counts = np.bincount(values, minlength=1)
        counts = np.append(counts, 0)  # the last for what was never seen
        kept = np.sort(np.argsort(-counts, kind="stable")[:CLASSES])
        kept = kept[counts[kept] > 0]
        if len(kept) < 2 or first + len(kept) > MOST:
            share = (counts > 0).astype(float)
            kept = kept[:0]
        else:
            share = counts.astype(float)
            share[kept] = 0
            share /= max(1.0, share.sum())
        parts.append(Part(field, first, kept, share))
        centre += [0.0] * len(kept)
        scale += [1.0] * len(kept)
    return parts, np.array(centre), np.array(scale)


def _left(covariance: Floats, group: NDArray[np.int64]) -> Floats:
    """(D, D), of which the row j makes r_j."""
    width = len(covariance)
    inverse = np.linalg.inv(covariance + RIDGE * np.eye(width)) if width else covariance
    for one in np.unique(group):
        mine = np.flatnonzero(group == one)
        inverse[mine] = np.linalg.solve(inverse[np.ix_(mine, mine)], inverse[mine])
    return np.asarray(inverse, np.float64)


def _pieces(arrays: Arrays, width: int) -> list[tuple[slice, dict[str, NDArray[Any]]]]:
    """So many records at once as stay in the cache."""
    rows = len(next(iter(arrays.values())))
    step = max(64, AT_ONCE // max(1, width))
    cuts = [slice(begin, begin + step) for begin in range(0, rows, step)]
    return [(cut, {name: values[cut] for name, values in arrays.items()}) for cut in cuts]
