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
from gmkit.scoring.blocks import scored_alike
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

        def once(some: Batch, rng: torch.Generator) -> FieldScores:
            found: FieldScores = self.family.log_prob(some, rng, 1)
            return found

        times = 1 if self.family.exact else DRAWS
        return scored_alike(self.family.space, rows.batch, _mean(once, times))


class Denoising(Scorer):
    """The error of taking noise off, over several levels (Graham et al. 2023)."""

    by_field = True

    def score(self, rows: Rows) -> FieldScores:
        """Summed over the levels."""

        def levels(some: Batch, rng: torch.Generator) -> FieldScores:
            return _sum([self.family.denoise_error(some, t, rng) for t in TIMES])

        return scored_alike(self.family.space, rows.batch, _mean(levels, DRAWS))


class Reconstruction(Scorer):
    """Squared distance between a record and its reconstruction, in embedded numbers."""

    by_field = True

    def score(self, rows: Rows) -> FieldScores:
        """Each field's; in total their sum."""
        space = self.family.space

        def lost(some: Batch, rng: torch.Generator) -> FieldScores:
            found = self.family.reconstruct(some, rng)
            before, after = space.embed(some), space.embed(space.full(found))
            fields = {n: (before[n] - after[n]).flatten(1).square().sum(1) for n in before}
            return FieldScores(fields, torch.stack(list(fields.values())).sum(0))

        return scored_alike(space, rows.batch, lost)


class Critic(Scorer):
    """How little a GAN's critic takes a record for one of the data's."""

    def score(self, rows: Rows) -> FieldScores:
        """− its score."""

        def doubt(some: Batch, rng: torch.Generator) -> FieldScores:
            return FieldScores({}, -self.family.critic(some))

        return scored_alike(self.family.space, rows.batch, doubt)


class LatentNeighbours(Scorer):
    """Distance to the fifth nearest of the records learned from, in the latent."""

    parts = {"known": torch.float32}  # noqa: RUF012
    known: Tensor

    def fit(self, rows: Rows, rng: torch.Generator) -> None:
        """Keep their latents."""
        self.keep(known=self.family.encode(rows.batch).detach().float().flatten(1))

    def score(self, rows: Rows) -> FieldScores:
        """The distance."""
        count = min(NEIGHBOURS, len(self.known))

        def far(some: Batch, rng: torch.Generator) -> FieldScores:
            latent = self.family.encode(some).float().flatten(1)
            near = torch.cdist(latent, self.known).topk(count, dim=1, largest=False)
            return FieldScores({}, near.values[:, -1])

        return scored_alike(self.family.space, rows.batch, far)


Score = Callable[[Batch, torch.Generator], FieldScores]


def _mean(score: Score, times: int) -> Score:
    """Of so many draws."""

    def averaged(some: Batch, rng: torch.Generator) -> FieldScores:
        found = _sum([score(some, rng) for _ in range(times)])
        return FieldScores({n: v / times for n, v in found.fields.items()}, found.total / times)

    return averaged


def _sum(found: list[FieldScores]) -> FieldScores:
    fields = {n: torch.stack([f.fields[n] for f in found]).sum(0) for n in found[0].fields}
    return FieldScores(fields, torch.stack([f.total for f in found]).sum(0))
