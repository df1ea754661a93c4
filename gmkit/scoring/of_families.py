"""Scores that a trained family gives: a bound of its likelihood, what reconstruction loses, how
hard noise is to take off, a critic's opinion, and how far off a record lies in the latent.

Where a family draws noise, each record is given the same draws, whatever records come with it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gmkit.codecs import Batch
from gmkit.fields import FieldScores
from gmkit.randomness import generator
from gmkit.scoring.scorer import Rows, Scorer

DRAWS = 8
"""Of the noise, for each record."""
TIMES = (0.1, 0.3, 0.5)
"""Noise levels, in shares of the way to pure noise."""
NEIGHBOURS = 5


class Likelihood(Scorer):
    """A bound of − log p(x), in nats. By itself no good judge of images: simple ones can be more
    likely than any of the data's (Nalisnick et al. 2019)."""

    by_field = True

    def score(self, rows: Rows) -> FieldScores:
        """Mean over the same draws for every record, where there are any."""
        if self.family.exact:
            found: FieldScores = self.family.log_prob(rows.batch, generator(0, "scores"))
            return found
        return _repeated(rows, lambda some, rng: self.family.log_prob(some, rng, 1))


class Denoising(Scorer):
    """The error of taking noise off, over several levels (Graham et al. 2023)."""

    by_field = True

    def score(self, rows: Rows) -> FieldScores:
        """Summed over the levels."""

        def levels(some: Batch, rng: torch.Generator) -> FieldScores:
            found = [self.family.denoise_error(some, t, rng) for t in TIMES]
            fields = {n: torch.stack([f.fields[n] for f in found]).sum(0) for n in found[0].fields}
            return FieldScores(fields, torch.stack([f.total for f in found]).sum(0))

        return _repeated(rows, levels)


class Reconstruction(Scorer):
    """Squared distance between a record and its reconstruction, in embedded numbers."""

    by_field = True

    def score(self, rows: Rows) -> FieldScores:
        """Each field's; in total their sum."""
        space = self.family.space
        rng = generator(0, "reconstruct")
        found = self.family.reconstruct(rows.batch, rng)
        before, after = space.embed(space.full(rows.batch)), space.embed(space.full(found))
        fields = {n: (before[n] - after[n]).flatten(1).square().sum(1) for n in before}
        return FieldScores(fields, torch.stack(list(fields.values())).sum(0))


class Critic(Scorer):
    """How little a GAN's critic takes a record for one of the data's."""

    def score(self, rows: Rows) -> FieldScores:
        """− its score."""
        return FieldScores({}, -self.family.critic(rows.batch))


class LatentNeighbours(Scorer):
    """Distance to the fifth nearest of the records learned from, in the latent."""

    parts = {"known": torch.float32}  # noqa: RUF012
    known: Tensor

    def fit(self, rows: Rows, rng: torch.Generator) -> None:
        """Keep their latents."""
        self.keep(known=self.family.encode(rows.batch).detach())

    def score(self, rows: Rows) -> FieldScores:
        """The distance."""
        count = min(NEIGHBOURS, len(self.known))
        far = torch.cdist(self.family.encode(rows.batch), self.known)
        return FieldScores({}, far.topk(count, dim=1, largest=False).values[:, -1])


def _repeated(rows: Rows, score: Callable[[Batch, torch.Generator], FieldScores]) -> FieldScores:
    """Each record by itself, ``DRAWS`` times over: its draws are those of its copies."""
    totals: list[Tensor] = []
    parts: dict[str, list[Tensor]] = {}
    for row in range(len(rows)):
        some = {n: v[row : row + 1].expand(DRAWS, *v.shape[1:]) for n, v in rows.batch.items()}
        found = score(some, generator(0, "scores"))
        totals.append(found.total.mean())
        for name, value in found.fields.items():
            parts.setdefault(name, []).append(value.mean())
    if not totals:
        return FieldScores({}, torch.zeros(0))
    return FieldScores({n: torch.stack(v) for n, v in parts.items()}, torch.stack(totals))
