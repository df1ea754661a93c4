"""The columns trunk: a Transformer that reads one token per field, for flat data whose fields are
many and of several kinds: the columns of a table.

Gorishniy et al. 2021, "Revisiting deep learning models for tabular data" (FT-Transformer). Where a
perceptron has to find out which inputs belong together, attention compares columns pairwise; it
costs as many times more as there are columns. Columns have no order, so there are no positions: a
vector of its own tells each from the others.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gmkit.codecs import Batch
from gmkit.errors import ConfigError
from gmkit.fields import Field, Space
from gmkit.fields.space import Params
from gmkit.trunks.inputs import ConditionInput, TimeInput, VectorInput, VectorOutput, add
from gmkit.trunks.mlp import FlatCritic
from gmkit.trunks.transformer import Transformer
from gmkit.trunks.trunk import Decoder, Denoiser, Encoder, Generator, Trunk, TrunkConfig

OWN = 8
"""Channels of the latent's slice that each column of a decoder gets for itself."""


class ColumnInput(nn.Module):
    """Fields → tokens (B, C, width): each field's linear map, and the vector that names it."""

    def __init__(self, fields: dict[str, Field], width: int) -> None:
        super().__init__()
        self.inputs = nn.ModuleList(VectorInput({n: f}, width) for n, f in fields.items())
        self.names = nn.Parameter(torch.randn(len(fields), width) * width**-0.5)

    def forward(self, batch: Batch) -> Tensor:
        """Unobserved values count as zero, which leaves the name alone."""
        return torch.stack([read(batch) for read in self.inputs], dim=1) + self.names


class ColumnOutput(nn.Module):
    """Tokens (B, C, width) → parameters of each field, by a linear map of its own."""

    def __init__(self, fields: dict[str, Field], width: int) -> None:
        super().__init__()
        self.outputs = nn.ModuleList(VectorOutput({n: f}, width) for n, f in fields.items())

    def forward(self, tokens: Tensor) -> Params:
        """Name → (B, *shape, param_dim)."""
        found: Params = {}
        for write, token in zip(self.outputs, tokens.unbind(1), strict=True):
            found.update(write(token))
        return found


class ColumnEncoder(Encoder):
    """Columns look at each other; their mean is the record's vector."""

    def __init__(self, space: Space, config: TrunkConfig, out_dim: int) -> None:
        super().__init__()
        width = config.channels
        self.input = ColumnInput(dict(space.fields), width)
        self.condition = ConditionInput(space, width)
        self.body = Transformer(width, config.encoder_blocks, config.head_width, ordered=False)
        self.output = nn.Linear(width, out_dim)

    def forward(self, batch: Batch) -> Tensor:
        """(B, out_dim)."""
        context = self.condition(batch)
        x = add(self.input(batch), None if context is None else context[:, None])
        return self.output(self.body(x).mean(1))


class ColumnDecoder(Decoder, Generator):
    """Every column starts from its name, the latent and a slice of a linear map of the latent."""

    def __init__(self, space: Space, config: TrunkConfig, in_dim: int) -> None:
        super().__init__()
        width = config.channels
        self.space = space
        self.names = nn.Parameter(torch.randn(len(space.fields), width) * width**-0.5)
        self.spread = nn.Linear(in_dim, len(space.fields) * OWN)
        self.lift = nn.Linear(OWN, width)
        self.latent = nn.Linear(in_dim, width)
        self.condition = ConditionInput(space, width)
        self.body = Transformer(width, config.blocks, config.head_width, ordered=False)
        self.output = ColumnOutput(dict(space.fields), width)

    def forward(self, latent: Tensor, batch: Batch) -> Params:
        """Name → (B, *shape, param_dim); of ``batch`` only the conditions are read."""
        context = add(self.latent(latent), self.condition(batch))
        own = self.lift(self.spread(latent).reshape(len(latent), -1, OWN))
        return self.output(self.body(self.names + own + context[:, None]))


class ColumnDenoiser(Denoiser):
    """Reads noisy columns and answers at each; time and condition are added everywhere."""

    def __init__(self, space: Space, config: TrunkConfig) -> None:
        super().__init__()
        width = config.channels
        self.input = ColumnInput(dict(space.fields), width)
        self.time = TimeInput(width)
        self.condition = ConditionInput(space, width, withheld=True)
        self.body = Transformer(width, config.blocks, config.head_width, ordered=False)
        self.output = ColumnOutput(dict(space.fields), width)

    def forward(
        self, noisy: Batch, time: Tensor, condition: Batch, drop: Tensor | None = None
    ) -> Params:
        """Name → (B, *shape, param_dim)."""
        context = add(self.time(time), self.condition(condition, drop))
        return self.output(self.body(self.input(noisy) + context[:, None]))


class ColumnTrunk(Trunk):
    """Roles of the Transformer over columns.

    The critic is the perceptron's: a Transformer's norms hide the scale that a critic judges by.
    Raises ConfigError for a space with neighbours in it.
    """

    def __init__(self, space: Space, config: TrunkConfig) -> None:
        super().__init__(space, config)
        if space.layout != "flat":
            raise ConfigError(
                f"the columns trunk reads flat data, and this is of layout {space.layout}",
                hint="Leave trunk.flat out.",
            )

    def encoder(self, out_dim: int) -> ColumnEncoder:
        """Columns pooled."""
        return ColumnEncoder(self.space, self.config, out_dim)

    def decoder(self, in_dim: int) -> ColumnDecoder:
        """Columns from a latent."""
        return ColumnDecoder(self.space, self.config, in_dim)

    def generator(self, in_dim: int) -> ColumnDecoder:
        """Columns from a latent."""
        return ColumnDecoder(self.space, self.config, in_dim)

    def critic(self, out_dim: int) -> FlatCritic:
        """Perceptron without norms."""
        return FlatCritic(self.space, self.config, out_dim)

    def denoiser(self) -> ColumnDenoiser:
        """Noisy columns, compared with each other."""
        return ColumnDenoiser(self.space, self.config)
