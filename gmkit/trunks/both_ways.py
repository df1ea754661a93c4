"""Networks that look both ways over sequences: a GAN's generator and critic, a diffusion's
denoiser."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gmkit.codecs import Batch
from gmkit.fields import Field, Space
from gmkit.fields.space import Params
from gmkit.trunks.inputs import (
    ConditionInput,
    TimeInput,
    VectorInput,
    VectorOutput,
    add,
)
from gmkit.trunks.positions import PositionInput, observed_positions, split_by_layout
from gmkit.trunks.transformer import Transformer
from gmkit.trunks.trunk import Critic, Denoiser, Generator, TrunkConfig


class PositionOutput(nn.Module):
    """Hidden states of positions, and a vector for the other fields → parameters."""

    def __init__(self, sequences: dict[str, Field], others: dict[str, Field], width: int) -> None:
        super().__init__()
        self.names = list(sequences)
        self.heads = nn.ModuleList(nn.Linear(width, f.param_dim) for f in sequences.values())
        self.others = VectorOutput(others, width) if others else None

    def forward(self, hidden: Tensor, pooled: Tensor) -> Params:
        """(B, L, width) and (B, width) → name → parameters."""
        heads = zip(self.names, self.heads, strict=True)
        found = {name: head(hidden) for name, head in heads}
        return found if self.others is None else {**found, **self.others(pooled)}


class SequenceGenerator(Generator):
    """Every position starts from the latent and a vector of its own."""

    def __init__(self, space: Space, config: TrunkConfig, in_dim: int) -> None:
        super().__init__()
        width = config.channels
        sequences, others = split_by_layout(space)
        length = next(iter(sequences.values())).shape[0]
        self.positions = nn.Parameter(torch.randn(length, width) * width**-0.5)
        self.spread = nn.Linear(in_dim, length * 8)
        self.lift = nn.Linear(8, width)
        self.latent = nn.Linear(in_dim, width)
        self.condition = ConditionInput(space, width)
        self.body = Transformer(width, config.blocks, config.head_width)
        self.output = PositionOutput(sequences, others, width)

    def forward(self, latent: Tensor, condition: Batch) -> Params:
        """Each position has noise of its own (a slice of a linear map of the latent), or all would
        have to be told apart by attention alone."""
        context = add(self.latent(latent), self.condition(condition))
        own = self.lift(self.spread(latent).reshape(len(latent), -1, 8))
        hidden = self.body(self.positions + own + context[:, None])
        return self.output(hidden, context + hidden.mean(1))


class SequenceCritic(Critic):
    """Strided convolutions over positions with leaky rectifiers, down to four or fewer, which are
    flattened (Zhang et al. 2017, "TextGAN", read with convolutions too). A Transformer's norms
    would hide the scale that a critic judges by: with one the generator falls for one sequence.
    """

    def __init__(self, space: Space, config: TrunkConfig, out_dim: int) -> None:
        super().__init__()
        width = config.channels
        self.sequences, others = split_by_layout(space)
        length = next(iter(self.sequences.values())).shape[0]
        self.input = PositionInput(self.sequences, width)
        self.positions = nn.Parameter(torch.randn(length, width) * width**-0.5)
        layers: list[nn.Module] = [nn.LeakyReLU(0.2)]
        while length > 4:
            layers += [nn.Conv1d(width, width, 4, 2, 1 + length % 2), nn.LeakyReLU(0.2)]
            length = (length + 1) // 2
        for _ in range(config.encoder_blocks):
            layers += [nn.Conv1d(width, width, 3, 1, 1), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers)
        self.others = VectorInput(others, width) if others else None
        self.output = nn.Linear(width * (length + bool(others)), out_dim)

    def forward(self, embedded: Mapping[str, Tensor]) -> Tensor:
        """(B, out_dim)."""
        x = self.input.embedded(embedded) + self.positions
        x = x * x.shape[-1] ** 0.5  # to unit scale, which the rows of both tables lack
        parts = [self.layers(x.mT).flatten(1)]
        if self.others is not None:
            parts.append(F.leaky_relu(self.others.embedded(embedded), 0.2))
        return self.output(torch.cat(parts, 1))


class SequenceDenoiser(Denoiser):
    """Reads noisy elements both ways and answers at each of them; time, condition and fields
    without positions are a vector added everywhere. Positions past the end are not looked at."""

    def __init__(self, space: Space, config: TrunkConfig) -> None:
        super().__init__()
        width = config.channels
        self.sequences, others = split_by_layout(space)
        self.input = PositionInput(self.sequences, width)
        # rotary positions are relative: where all is masked they tell no element from another
        length = next(iter(self.sequences.values())).shape[0]
        self.positions = nn.Parameter(torch.randn(length, width) * width**-0.5)
        self.others = VectorInput(others, width) if others else None
        self.time = TimeInput(width)
        self.condition = ConditionInput(space, width, withheld=True)
        self.body = Transformer(width, config.blocks, config.head_width)
        self.output = PositionOutput(self.sequences, others, width)

    def forward(
        self, noisy: Batch, time: Tensor, condition: Batch, drop: Tensor | None = None
    ) -> Params:
        """Name → (B, L, param_dim), and of the other fields (B, *shape, param_dim)."""
        context = add(self.time(time), self.condition(condition, drop))
        if self.others is not None:
            context = context + self.others(noisy)
        x = self.input(noisy)
        x = x + self.positions[: x.shape[1]] + context[:, None]
        mask = observed_positions(self.sequences, noisy)
        hidden = self.body(x, mask=mask)
        if mask is None:
            return self.output(hidden, hidden.mean(1) + context)
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        pooled = (hidden * weight).sum(1) / weight.sum(1).clamp(min=1)
        return self.output(hidden, pooled + context)
