"""Real elements as classes: bins of about equally many values, each with its own values within.

    p(x) = p(b) p(x | b),   b the bin of x,   p(x | b) piecewise uniform between quantiles of b

A value that fills more than a bin has one for itself, so that repeated values stay repeated. What
is drawn lies within the range of the data; a density beyond it falls off exponentially.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

KNOTS = 5
"""Quantiles within a bin."""
FAR = float(np.finfo(np.float64).max)
_NARROW = 1e-3
"""Standard deviations that two quantiles are taken to be apart at least, so that a density is
finite."""
_BEYOND = 1e-3
"""Share of the first and of the last bin that lies beyond the data."""
Floats = NDArray[np.float64]


def binned(columns: Sequence[NDArray[np.float32]], most: int) -> tuple[Floats, Floats]:
    """Of columns (N,) each the ``edges`` (R, most − 1) between bins, ``FAR`` where there are
    fewer, and the ``knots`` (R, most, KNOTS) within them."""
    edges = np.full((len(columns), most - 1), FAR)
    knots = np.zeros((len(columns), most, KNOTS))
    for number, column in enumerate(columns):
        if not len(column):
            continue
        line = np.sort(column.astype(np.float64))
        middle = np.searchsorted(line, line, "left") + np.searchsorted(line, line, "right")
        bins = middle * most // (2 * len(line))
        starts = np.flatnonzero(np.diff(bins, prepend=-1))
        sizes = np.diff(np.append(starts, len(line)))
        edges[number, : len(starts) - 1] = (line[starts[1:] - 1] + line[starts[1:]]) / 2
        place = starts[:, None] + np.linspace(0, 1, KNOTS) * (sizes - 1)[:, None]
        low = np.minimum(place.astype(np.int64), len(line) - 2 if len(line) > 1 else 0)
        step = line[np.minimum(low + 1, len(line) - 1)] - line[low]
        knots[number, : len(starts)] = line[low] + (place - low) * step
    return edges, knots


class Binning:
    """Values ⇄ bins and places within, by ``edges`` and ``knots`` as of ``binned``."""

    def __init__(self, edges: Floats, knots: Floats) -> None:
        self.edges, self.knots = edges, knots

    @property
    def used(self) -> NDArray[np.bool_]:
        """(R, most): which bins there are."""
        count = (self.edges < FAR).sum(1, keepdims=True) + 1
        return np.arange(self.knots.shape[1]) < count

    def bins(self, number: int, column: NDArray[Any]) -> NDArray[np.int64]:
        """Of an element's values, (N,)."""
        finite = self.edges[number]
        return np.searchsorted(finite[finite < FAR], column, "right")

    def between(self, number: int, bins: NDArray[np.int64], share: Floats) -> Floats:
        """Values at shares, 0 … 1, of their bins, (N,)."""
        place = np.clip(share, 0, 1) * (KNOTS - 1)
        low = np.minimum(place.astype(np.int64), KNOTS - 2)
        knots = self.knots[number]
        below, above = knots[bins, low], knots[bins, low + 1]
        return np.asarray(below + (place - low) * (above - below))

    def surprise(self, number: int, bins: NDArray[np.int64], column: NDArray[Any]) -> Floats:
        """− log p(x | b), (N,)."""
        finite = self.edges[number]
        used = int((finite < FAR).sum()) + 1
        knots = self.knots[number, :used]
        unit = max(float(knots.std()), 1e-3)
        low, high = knots[:, 0], knots[:, -1]
        # a bin reaches from edge to edge, so that no place is without density
        bounds = knots.copy()
        bounds[1:, 0], bounds[:-1, -1] = finite[: used - 1], finite[: used - 1]
        widths = np.maximum(np.diff(bounds, axis=1), _NARROW * unit)
        at = bounds[bins, 1:-1] <= column[:, None]
        inside = widths[bins, at.sum(1)]
        total = np.log(inside) + np.log(KNOTS - 1)
        outer = np.isin(bins, (0, used - 1))
        total[outer] -= np.log1p(-_BEYOND)
        beyond = np.maximum(low[0] - column, column - high[-1])
        far = beyond > _NARROW * unit
        total[far] = beyond[far] / unit + np.log(unit) - np.log(_BEYOND)
        return np.asarray(total)
