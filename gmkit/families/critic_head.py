"""The head of a GAN's critic: features of records → scores.

projection           D(x, c) = ψ(φ(x)) + ⟨e(c), φ(x)⟩ for a condition c
                     (Miyato & Koyama 2018, "cGANs with projection discriminator", eq. 3)
packing              ``pack`` records get one score together, so that a batch with too few
                     kinds of record gives itself away (Lin et al. 2018, "PacGAN")
minibatch statistic  the standard deviation of features over the batch, averaged over features,
                     is one more feature (Karras et al. 2018, "Progressive growing", section 3)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gmkit.codecs import Batch
from gmkit.fields import Space
from gmkit.trunks.inputs import ConditionInput

MEMORY = 0.01
"""Share of the newest batch in what is remembered of real records."""


class CriticHead(nn.Module):
    """Features (B, width) → scores (⌈B / pack⌉,), or of records one by one (``alone``)."""

    companion: Tensor
    """(width,): mean features of real records, which stand in for the rest of a pack."""
    spread: Tensor
    """(): mean of the minibatch statistic of real records."""
    seen: Tensor
    """(): batches in these means."""

    def __init__(self, space: Space, width: int, pack: int, minibatch: bool) -> None:
        super().__init__()
        self.pack, self.minibatch = pack, minibatch
        self.activation = nn.LeakyReLU(0.2)
        self.condition = ConditionInput(space, width)
        self.projection = nn.Sequential(nn.SiLU(), nn.Linear(width, width))
        if self.condition.vector is None:
            self.projection = nn.Sequential()
        inputs = pack * width + minibatch
        # what joins records must not be linear, or it would weigh each by itself
        joint = pack > 1 or minibatch
        self.score = (
            nn.Sequential(nn.Linear(inputs, width), nn.LeakyReLU(0.2), nn.Linear(width, 1))
            if joint
            else nn.Linear(inputs, 1)
        )
        self.register_buffer("companion", torch.zeros(width))
        self.register_buffer("spread", torch.zeros(()))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, features: Tensor, condition: Batch) -> Tensor:
        """(⌈B / pack⌉,): neighbours in the batch are packed, and where ``pack`` does not divide B
        the last pack is filled up with the first records. ``condition`` holds (B, …) values."""
        features = self.activation(features)
        spread = self._spread(features) if self.minibatch else None
        score = self._score(self.gather(features), spread)
        fit = self._fit(features, condition)
        return score if fit is None else score + self.gather(fit[:, None]).mean(1)

    def gather(self, values: Tensor) -> Tensor:
        """(B, D) of records → (⌈B / pack⌉, pack · D) of packs."""
        if self.pack == 1:
            return values
        count = -(-len(values) // self.pack)
        members = torch.arange(count * self.pack, device=values.device) % len(values)
        return values[members].reshape(count, -1)

    def alone(self, features: Tensor, condition: Batch) -> Tensor:
        """(B,): each record in the company of typical real ones, whatever else is in the batch."""
        features = self.activation(features)
        others = self.companion.repeat(self.pack - 1).expand(len(features), -1)
        packed = torch.cat((features, others), 1) if self.pack > 1 else features
        score = self._score(packed, self.spread if self.minibatch else None)
        fit = self._fit(features, condition)
        return score if fit is None else score + fit

    @torch.no_grad()
    def remember(self, features: Tensor) -> None:
        """Take the features of real records into the means that ``alone`` uses."""
        if self.pack == 1 and not self.minibatch:
            return
        features = self.activation(features)
        self.seen += 1
        share = (1 / self.seen).clamp(min=MEMORY)
        self.companion.lerp_(features.mean(0), share)
        self.spread.lerp_(self._spread(features), share)

    def _score(self, packed: Tensor, spread: Tensor | None) -> Tensor:
        """(G,) from (G, pack · width) and the minibatch statistic, if the head looks at it."""
        if spread is not None:
            packed = torch.cat((packed, spread.expand(len(packed), 1)), 1)
        return self.score(packed).squeeze(1)

    def _fit(self, features: Tensor, condition: Batch) -> Tensor | None:
        """⟨e(c), φ(x)⟩ per record, of unit scale at the start."""
        embedded = self.condition(condition)
        if embedded is None:
            return None
        return (self.projection(embedded) * features).sum(1) * features.shape[1] ** -0.5

    def _spread(self, features: Tensor) -> Tensor:
        """The minibatch statistic, a scalar."""
        return (features.var(0, correction=0) + 1e-8).sqrt().mean()
