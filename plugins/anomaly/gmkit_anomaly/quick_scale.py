"""Scores of the quick law as − log p, and p-values, by what held-out records score.

As ``gmkit.scoring.calibration`` without torch, but for one thing: between two held-out scores it
goes up evenly, so that a million records are not as many as there are held-out ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
OUTER, FAR = 0.125, 3.0
"""A score is far out that lies ``FAR`` times as far above the middle as the outermost eighth
begins: for a normal law 3.5 standard deviations."""
TAIL = 0.05
"""Share of the held-out scores that the tail beyond them is learned from."""


class QuickScale:
    """Held-out scores (n,), n ≥ 2."""

    def __init__(self, totals: Floats) -> None:
        self._known = np.sort(totals)
        count = len(totals)
        self._nats = -np.log(np.arange(count, 0, -1) / (count + 1))
        gap, rise = np.diff(self._known), np.diff(self._nats)
        self._slope = np.concatenate([[0.0], rise / np.where(gap > 0, gap, np.inf), [0.0]])
        outer = self._known[count - max(2, int(TAIL * count)) :]
        self._spread = max(float((outer - outer[0]).mean()), 1e-9 * (1 + abs(float(outer[0]))))

    @property
    def scores(self) -> Floats:
        """Of the held-out ones, ascending."""
        return self._nats

    @property
    def far_out(self) -> float:
        """Share of the held-out scores that are far out."""
        middle, outer = np.quantile(self._known, [0.5, 1 - OUTER])
        reach = max(FAR * (outer - middle), 1e-9 * (1 + abs(middle)))
        return float((self._known > middle + reach).mean())

    def judged(self, totals: Floats) -> tuple[Floats, Floats]:
        """− log p in nats, and conformal p-values, (N,) each. Beyond the highest the first goes on
        with the logarithm of the distance, in units of the outer twentieth's spread; the second
        falls exponentially with the first, by its mean excess in the outer twentieth."""
        known, nats = self._known, self._nats
        count = len(known)
        place = np.searchsorted(known, totals)  # of the first that is as high
        p_value = (1 + count - place) / (1 + count)
        next_ = np.minimum(place, count - 1)
        score = nats[next_] - self._slope[place] * (known[next_] - totals)
        score[place == 0] = 0.0
        above = np.flatnonzero(place == count)
        if len(above):
            more = np.log1p(np.minimum((totals[above] - known[-1]) / self._spread, 1e6))
            score[above] += more
            outer = nats[len(nats) - max(2, int(TAIL * len(nats))) :]
            excess = max(1.0, float((outer - outer[0]).mean()))
            p_value[above] *= np.exp(-np.minimum(more / excess, 50))
        return score, p_value
