"""Distance to the k-th nearest known record (Ramaswamy, Rastogi & Shim 2000)."""

from __future__ import annotations

import torch
from torch import Tensor

from gmkit.fields import FieldScores
from gmkit.scoring import Rows, Scorer

NEIGHBOURS = 5
REFERENCES = 20_000
"""Known records kept, at most."""
_AT_ONCE = 512


class Neighbours(Scorer):
    """``references`` (R, D)."""

    kind = "distance"
    parts = {"references": torch.float32}  # noqa: RUF012
    references: Tensor

    def fit(self, rows: Rows, rng: torch.Generator) -> None:
        """Keep some of them."""
        chosen = torch.randperm(len(rows), generator=rng)[:REFERENCES]
        self.keep(references=rows.matrix[chosen])

    @torch.no_grad()
    def score(self, rows: Rows) -> FieldScores:
        """The distance."""
        known = self.references
        count = min(NEIGHBOURS, len(known))
        square = known.square().sum(1)
        parts = []
        for some in _blocks(rows.matrix):
            # centred squares: |a − b|² = |a|² − 2ab + |b|²
            far = square - 2 * (some @ known.T) + some.square().sum(1, keepdim=True)
            nearest = far.topk(count, dim=1, largest=False).values[:, -1]
            parts.append(nearest.clamp(min=0).sqrt())
        found = torch.cat(parts) if parts else torch.zeros(0)
        return FieldScores({}, found[: len(rows)])


def _blocks(matrix: Tensor) -> list[Tensor]:
    """Always of the same number of rows, the last filled up: a matrix product of other sizes adds
    up in another order, and a record's score must not depend on how many come with it."""
    blocks = []
    for some in torch.split(matrix, _AT_ONCE):
        if len(some) < _AT_ONCE:
            some = torch.cat([some, some.new_zeros(_AT_ONCE - len(some), some.shape[1])])
        blocks.append(some)
    return blocks
