"""From scores to p-values and discoveries.

A record's conformal p-value against n held-out records is (1 + #{their scores ≥ its own}) / (n + 1):
uniform or larger for a record like them, whatever the score (Vovk, Gammerman & Shafer 2005; Bates
et al. 2023, "Testing for outliers with conformal p-values").
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gmkit.scoring.stored import Stored

TAIL = 0.05
"""Share of the held-out scores that the tail beyond them is learned from."""
Floats = NDArray[np.float64]


class Scale(Stored):
    """Held-out scores (n,), ascending: what others are measured by."""

    parts = {"known": torch.float64}  # noqa: RUF012
    known: Tensor

    def fit(self, scores: Tensor) -> None:
        """Of held-out records."""
        self.keep(known=scores.double().nan_to_num(nan=0.0).sort().values)

    def at_least(self, scores: Tensor) -> Tensor:
        """How many held-out scores are as high, (N,)."""
        return len(self.known) - torch.searchsorted(self.known, scores.double().contiguous())

    def surprise(self, scores: Tensor) -> Tensor:
        """− log p in nats, (N,). Beyond the highest held-out score it goes on with that of an
        exponential tail, logarithmically damped: how far beyond still counts, but no single
        scorer can outvote all others."""
        count = len(self.known)
        scores = scores.double().nan_to_num(nan=0.0, posinf=1e300, neginf=-1e300)
        within = -torch.log((1 + self.at_least(scores)) / (count + 1))
        if not count:
            return torch.zeros_like(scores)
        # between two held-out scores p is that of the lower: ties in rank stay in order
        first = max(0, count - max(2, int(TAIL * count)))
        threshold, top = self.known[first], self.known[-1]
        spread = (self.known[first:] - threshold).mean().clamp(min=1e-9 * (1 + threshold.abs()))
        end = float(np.log(count + 1))
        beyond = torch.log1p(((scores - top) / spread).clamp(min=0, max=1e6))
        return torch.where(scores > top, end + beyond, within)


def false_discoveries(p_values: Floats, rate: float) -> float:
    """The greatest p-value that counts as a discovery, so that at most ``rate`` of the discoveries
    are false on average; −1 where none does (Benjamini & Hochberg 1995)."""
    ordered = np.sort(p_values)
    places = np.arange(1, len(ordered) + 1)
    met = np.flatnonzero(ordered <= rate * places / max(len(ordered), 1))
    return float(ordered[met[-1]]) if len(met) else -1.0
