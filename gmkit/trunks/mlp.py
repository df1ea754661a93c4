"""The flat trunk: a residual multi-layer perceptron for values without neighbours."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from gmkit.codecs import Batch
from gmkit.fields import Space
from gmkit.fields.space import Params
from gmkit.trunks.inputs import (
    ConditionInput,
    TimeInput,
    VectorInput,
    VectorOutput,
    add,
)
from gmkit.trunks.trunk import Critic, Decoder, Denoiser, Encoder, Generator, Trunk, TrunkConfig


class ResidualBlock(nn.Module):
    """x + W₂ SiLU(W₁ norm(x)), pre-normalised (He et al. 2016; Zhang & Sennrich 2019)."""

    def __init__(self, width: int, expansion: int = 2) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(width)
        self.inner = nn.Linear(width, width * expansion)
        self.outer = nn.Linear(width * expansion, width)
        nn.init.zeros_(self.outer.weight)  # each block starts as the identity
        nn.init.zeros_(self.outer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(…, width) → (…, width)."""
        return x + self.outer(F.silu(self.inner(self.norm(x))))


def perceptron(width: int, depth: int) -> nn.Sequential:
    """``depth`` residual blocks and a last norm."""
    return nn.Sequential(*(ResidualBlock(width) for _ in range(depth)), nn.RMSNorm(width))


class FlatEncoder(Encoder):
    """Everything flattened into one vector, then the perceptron."""

    def __init__(self, space: Space, config: TrunkConfig, out_dim: int) -> None:
        super().__init__()
        width = config.channels
        self.input = VectorInput(dict(space.fields), width)
        self.condition = ConditionInput(space, width)
        self.body = perceptron(width, config.encoder_blocks)
        self.output = nn.Linear(width, out_dim)

    def forward(self, batch: Batch) -> Tensor:
        """(B, out_dim)."""
        return self.output(self.body(add(self.input(batch), self.condition(batch))))


class FlatDecoder(Decoder, Generator):
    """A latent through the perceptron to the parameters of every field at once."""

    def __init__(self, space: Space, config: TrunkConfig, in_dim: int) -> None:
        super().__init__()
        width = config.channels
        self.space = space
        self.input = nn.Linear(in_dim, width)
        self.condition = ConditionInput(space, width)
        self.body = perceptron(width, config.blocks)
        self.output = VectorOutput(dict(space.fields), width)

    def forward(self, latent: Tensor, batch: Batch) -> Params:
        """Name → (B, *shape, param_dim); of ``batch`` only the conditions are read."""
        return self.output(self.body(add(self.input(latent), self.condition(batch))))


class FlatCritic(Critic):
    """Everything flattened into one vector, then the perceptron, whose norms would hide the scale
    that a critic judges by: it has none."""

    def __init__(self, space: Space, config: TrunkConfig, out_dim: int) -> None:
        super().__init__()
        width = config.channels
        self.input = VectorInput(dict(space.fields), width)
        layers: list[nn.Module] = []
        for _ in range(config.blocks):
            layers += [nn.Linear(width, width), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(nn.LeakyReLU(0.2), *layers)
        self.output = nn.Linear(width, out_dim)

    def forward(self, embedded: Mapping[str, Tensor]) -> Tensor:
        """(B, out_dim)."""
        return self.output(self.body(self.input.embedded(embedded)))


class FlatDenoiser(Denoiser):
    """The perceptron over all noisy fields at once; time and condition are added to its input.

    An input of classes leaves no trace of which are masked but zeros, which is enough.
    """

    def __init__(self, space: Space, config: TrunkConfig) -> None:
        super().__init__()
        width = config.channels
        self.input = VectorInput(dict(space.fields), width)
        self.time = TimeInput(width)
        self.condition = ConditionInput(space, width, withheld=True)
        self.body = perceptron(width, config.blocks)
        self.output = VectorOutput(dict(space.fields), width)

    def forward(
        self, noisy: Batch, time: Tensor, condition: Batch, drop: Tensor | None = None
    ) -> Params:
        """Name → (B, *shape, param_dim)."""
        context = add(self.time(time), self.condition(condition, drop))
        return self.output(self.body(self.input(noisy) + context))


class FlatTrunk(Trunk):
    """Roles of the perceptron."""

    def encoder(self, out_dim: int) -> FlatEncoder:
        """Perceptron over all fields."""
        return FlatEncoder(self.space, self.config, out_dim)

    def decoder(self, in_dim: int) -> FlatDecoder:
        """Perceptron to all fields."""
        return FlatDecoder(self.space, self.config, in_dim)

    def generator(self, in_dim: int) -> FlatDecoder:
        """Perceptron to all fields."""
        return FlatDecoder(self.space, self.config, in_dim)

    def critic(self, out_dim: int) -> FlatCritic:
        """Perceptron without norms."""
        return FlatCritic(self.space, self.config, out_dim)

    def denoiser(self) -> FlatDenoiser:
        """Perceptron from all fields to all fields."""
        return FlatDenoiser(self.space, self.config)
