"""Distance to the k-th nearest known record (Ramaswamy, Rastogi & Shim 2000)."""

from __future__ import annotations

import torch
from torch import Tensor

from gmkit.fields import FieldScores
from gmkit.scoring import Rows, Scorer
from gmkit.scoring.blocks import blocks

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
        for some in blocks(rows.matrix, _AT_ONCE):
            # centred squares: |a − b|² = |a|² − 2ab + |b|²
            far = square - 2 * (some @ known.T) + some.square().sum(1, keepdim=True)
            nearest = far.topk(count, dim=1, largest=False).values[:, -1]
            parts.append(nearest.clamp(min=0).sqrt())
        found = torch.cat(parts) if parts else torch.zeros(0)
        return FieldScores({}, found[: len(rows)])
