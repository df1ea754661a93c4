"""From scores to p-values and discoveries.

A record's conformal p-value against n held-out records is (1 + #{scores ≥ its own}) / (n + 1),
which is uniform or larger for a record like them, whatever the score (Vovk, Gammerman & Shafer
2005; Bates et al. 2023, "Testing for outliers with conformal p-values").
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gmkit.scoring.stored import Stored

OUTER, FAR = 0.125, 3.0
"""A score is far out that lies ``FAR`` times as far above the middle as the outermost eighth begins
(for a normal law 3.5 standard deviations, of an exponential one in 130). Chosen on made tables of
eight kinds and four of scikit-learn's: of clean ones 1.5 % of the records are, of those with 5 %
planted 94 % of scattered records, all of a cluster, 86 % of stretched ones, 66 % with single cells
broken and 14 % where only the dependence is, as the scorer says that finds most."""
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

    @property
    def far_out(self) -> float:
        """Share of the held-out scores that are far out. Where many are alike, what is above."""
        if not len(self.known):
            return 0.0
        middle, outer = torch.quantile(self.known, self.known.new_tensor([0.5, 1 - OUTER]))
        reach = torch.maximum(FAR * (outer - middle), 1e-9 * (1 + middle.abs()))
        return float((self.known > middle + reach).double().mean())

    def at_least(self, scores: Tensor) -> Tensor:
        """How many held-out scores are as high, (N,)."""
        return len(self.known) - torch.searchsorted(self.known, scores.double().contiguous())

    def surprise(self, scores: Tensor, *, own: bool = False, least: float = 0.0) -> Tensor:
        """− log p in nats, (N,). ``own``: the scores are the held-out ones themselves, each to be
        compared with all others. ``least``: spread of the highest of them, at least."""
        return _surprise(self.known.unsqueeze(0), scores.unsqueeze(0), own, least)[0]


class FieldScale(Stored):
    """Held-out scores of several fields (F, n), ascending: what is usual in one need not be in
    another."""

    parts = {"known": torch.float64}  # noqa: RUF012
    known: Tensor

    def fit(self, scores: Tensor) -> None:
        """(F, n) of held-out records."""
        self.keep(known=scores.double().nan_to_num(nan=0.0).sort(dim=1).values)

    def surprise(self, scores: Tensor, *, own: bool = False) -> Tensor:
        """− log p in nats of scores, (F, N) both. ``own``: as of ``Scale``."""
        return _surprise(self.known, scores, own)


def _surprise(known: Tensor, scores: Tensor, own: bool, least: float = 0.0) -> Tensor:
    """− log p (F, N) of scores (F, N) against held-out ones (F, n), ascending.

    Beyond the highest it goes on with the distance in units of the outer twentieth's spread,
    logarithmically damped: how far beyond still counts, but no single scorer outvotes all others.
    """
    count = known.shape[1]
    scores = scores.double().nan_to_num(nan=0.0, posinf=1e300, neginf=-1e300).contiguous()
    if count <= own:
        return torch.zeros_like(scores)
    as_high = count - torch.searchsorted(known, scores)
    first = max(0, count - max(2, int(TAIL * count)))
    threshold, top = known[:, first : first + 1], known[:, -1:]
    spread = (known[:, first:] - threshold).mean(1, keepdim=True)
    spread = torch.maximum(spread, 1e-9 * (1 + threshold.abs())).clamp(min=least)
    if own:  # without itself among them, or others would seem more unusual than these ever can
        as_high, count = as_high - 1, count - 1
        top = torch.where(scores >= top, known[:, -2:-1], top)
    within = -torch.log((1 + as_high.clamp(min=0)) / (count + 1))
    beyond = torch.log1p(((scores - top) / spread).clamp(min=0, max=1e6))
    return torch.where(scores > top, float(np.log(count + 1)) + beyond, within)


def p_values(scores: Tensor, as_high: Tensor, known: Tensor) -> Tensor:
    """(N,) of joined scores (N,) in nats, of which ``as_high`` (N,) of the held-out ones ``known``
    (n,), ascending, are as high.

    Conformal down to 1 / (n + 1), below which n records cannot tell. Beyond the highest of them it
    falls exponentially with the distance, by the mean excess of the outer twentieth (Pickands 1975;
    a logarithm of a Pareto tail is exponential) but at least a nat: else a handful of records that
    are far out could never be discoveries, however far. How many have p ≤ α is as conformal for
    every α that n records can tell.
    """
    count = len(known)
    found = (1 + as_high).double() / (1 + count)
    if count < 2:
        return found
    outer = known[count - max(2, int(TAIL * count)) :].double()
    spread = max(1.0, float((outer - outer[0]).mean()))
    beyond = ((scores.double() - outer[-1]) / spread).clamp(min=0, max=50)
    return torch.where(as_high == 0, found * torch.exp(-beyond), found)


def false_discoveries(p_values: Floats, rate: float) -> float:
    """The greatest p-value that counts as a discovery, so that at most ``rate`` of the discoveries
    are false on average; −1 where none does (Benjamini & Hochberg 1995)."""
    ordered = np.sort(p_values[p_values <= rate])  # no other can be one
    places = np.arange(1, len(ordered) + 1)
    met = np.flatnonzero(ordered <= rate * places / max(len(p_values), 1))
    return float(ordered[met[-1]]) if len(met) else -1.0
