"""Every column from all others, linearly, by one matrix: quick enough for any number of records.

With Λ the inverse of the covariance, a group g of columns given all others is normal with
covariance Λ_gg⁻¹, and its distance from what is expected is

    r_g = Λ_gg⁻¹ (Λ (x − μ))_g      (Bishop 2006, eq. 2.73 and 2.75)
    − log p(x_j | rest) = 2.5 log(1 + r_j² / 4 s_j²) + log s_j,   a heavy-tailed t₄

One product of matrices gives all columns at once.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gmkit.fields import FieldScores
from gmkit.scoring import Rows, Scorer

RIDGE = 1e-3
"""Added to the variances, in squares of a column's spread: columns may repeat each other."""
REACH = 5.0
"""Spreads at which a value ends where others are told by it, and where the matrix is learned."""
FLOOR = 1e-3
"""Least spread of what is left of a column."""
MOST = 1000
"""Columns; of wider matrices those that vary most."""
_AT_ONCE = 4096


class Linear(Scorer):
    """``chosen`` (C,): columns told and seen; ``mean`` (C,); ``left`` (C, C): what takes from a
    record, centred, what is expected of it; ``spread`` (C,): of what is left."""

    by_field = True
    kind = "conditional"
    parts = {  # noqa: RUF012
        "chosen": torch.int64,
        "mean": torch.float32,
        "left": torch.float32,
        "spread": torch.float32,
    }
    chosen: Tensor
    mean: Tensor
    left: Tensor
    spread: Tensor

    def fit(self, rows: Rows, rng: torch.Generator) -> None:
        """In closed form."""
        chosen = torch.arange(rows.matrix.shape[1])
        if len(chosen) > MOST:
            chosen = rows.matrix.var(0).topk(MOST).indices.sort().values
        known = rows.matrix[:, chosen].clamp(-REACH, REACH).double().numpy()
        group = rows.features.group[chosen].numpy()
        mean = known.mean(0) if len(known) else np.zeros(known.shape[1])
        centred = known - mean
        left = _left(centred.T @ centred / max(1, len(centred)), group)
        spread = np.sqrt(np.square(centred @ left).mean(0)) if len(known) else mean + 1
        self.keep(chosen=chosen, mean=mean, left=left, spread=np.maximum(spread, FLOOR))

    @torch.no_grad()
    def score(self, rows: Rows) -> FieldScores:
        """Each field's; in total their sum."""
        names = list(rows.features.space.fields)
        owner = rows.features.field[self.chosen]
        every = len(self.chosen) == rows.matrix.shape[1]
        matrix = rows.matrix if every else rows.matrix[:, self.chosen]
        # in double precision, and rounded: see Network
        mean, left, spread = (part.double() for part in (self.mean, self.left, self.spread))
        terms = torch.empty(len(matrix), len(self.chosen), dtype=torch.float64)
        pieces = zip(torch.split(matrix, _AT_ONCE), torch.split(terms, _AT_ONCE), strict=True)
        for some, found in pieces:
            value = some.double()
            seen = value.clamp(-REACH, REACH)
            # its own value counts as it is, however far out
            beyond = value.sub_(seen).mul_(left.diagonal())
            torch.mm(seen.sub_(mean), left, out=found).add_(beyond)
            found.div_(2 * spread).square_().log1p_().mul_(2.5).add_(spread.log())
            found.round_(decimals=9)
        single = bool((owner.diff() != 0).all())  # then no sum is needed
        fields = {
            names[field]: terms[:, place] if single else terms[:, owner == field].sum(1)
            for place, field in enumerate(torch.unique(owner).tolist())
        }
        return FieldScores(fields, terms.sum(1))


def _left(covariance: NDArray[np.float64], group: NDArray[np.int64]) -> NDArray[np.float64]:
    """(C, C), of which the column j makes r_j."""
    width = len(covariance)
    ridged = covariance + RIDGE * np.eye(width)
    inverse = np.asarray(np.linalg.inv(ridged), np.float64) if width else covariance
    for one in np.unique(group):
        mine = np.flatnonzero(group == one)
        inverse[mine] = np.linalg.solve(inverse[np.ix_(mine, mine)], inverse[mine])
    return inverse.T
