"""Pyramids of convolutions: down for a grid's encoder and critic, up for its decoder and
generator (LeCun et al. 1989; Radford et al. 2016, "DCGAN")."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gmkit.codecs import Batch
from gmkit.fields import Space
from gmkit.fields.space import Params
from gmkit.trunks.conv import ConvBlocks, Down, Up, conv, norm
from gmkit.trunks.inputs import ConditionInput, VectorInput, add
from gmkit.trunks.levels import Plan, plan
from gmkit.trunks.patches import BesideOutput, PatchInput, PatchOutput, grid_size, split_grids
from gmkit.trunks.trunk import Critic, Decoder, Encoder, Generator, TrunkConfig

SQUEEZE = 4
"""Channels of the bottom level for each one that is flattened into the record's vector."""


class GridEncoder(Encoder):
    """Records down the pyramid; the bottom level, flattened, is the record's vector."""

    def __init__(self, space: Space, config: TrunkConfig, out_dim: int) -> None:
        super().__init__()
        grids, others = split_grids(space)
        shape = pyramid(space, config)
        width = 2 * shape.bottom.channels
        self.input = PatchInput(grids, shape)
        self.others = VectorInput(others, width) if others else None
        self.condition = ConditionInput(space, width)
        steered = width if others or space.condition else 0
        self.levels = _blocks(shape, config.encoder_blocks, steered)
        self.downs = nn.ModuleList(
            Down(above, below, shape.kernel)
            for above, below in zip(shape.levels[:-1], shape.levels[1:], strict=True)
        )
        self.norm = norm(shape.bottom.channels)
        self.squeeze = nn.Conv2d(shape.bottom.channels, _squeezed(shape), 1)
        self.output = nn.Linear(_flattened(shape) + steered, out_dim)

    def forward(self, batch: Batch) -> Tensor:
        """(B, out_dim)."""
        x = self.input(batch)
        context = self.condition(batch)
        if self.others is not None:
            context = add(self.others(batch), context)
        context = None if context is None else F.silu(context)
        for number, blocks in enumerate(self.levels):
            if number:
                x = self.downs[number - 1](x)
            x = blocks(x, context)
        vector = F.silu(self.squeeze(F.silu(self.norm(x))).flatten(1))
        return self.output(vector if context is None else torch.cat((vector, context), dim=1))


class GridDecoder(Decoder, Generator):
    """A latent spread over the bottom level, then up the pyramid; it steers every block too."""

    def __init__(self, space: Space, config: TrunkConfig, in_dim: int) -> None:
        super().__init__()
        grids, others = split_grids(space)
        shape = pyramid(space, config)
        bottom = shape.bottom
        width = 2 * bottom.channels
        self.space = space
        self.latent = nn.Linear(in_dim, width)
        self.condition = ConditionInput(space, width)
        self.spread = nn.Linear(width, _flattened(shape))
        self.start = (_squeezed(shape), *bottom.size)
        self.lift = conv(_squeezed(shape), bottom.channels, shape.kernel)
        self.levels = _blocks(shape, config.blocks, width)
        self.ups = nn.ModuleList(
            Up(below, above)
            for above, below in zip(shape.levels[:-1], shape.levels[1:], strict=True)
        )
        self.norm = norm(shape.finest.channels)
        self.output = PatchOutput(grids, shape)
        self.beside = BesideOutput(others, bottom.channels, width) if others else None

    def forward(self, latent: Tensor, batch: Batch) -> Params:
        """Name → (B, *shape, param_dim); of ``batch`` only the conditions are read."""
        context = F.silu(add(self.latent(latent), self.condition(batch)))
        x = self.spread(context).reshape(len(latent), *self.start)
        x = self.lift(x.contiguous(memory_format=torch.channels_last))
        found: Params = {}
        for number in reversed(range(len(self.levels))):
            x = self.levels[number](x, context)
            if number == len(self.levels) - 1 and self.beside is not None:
                found = self.beside(x, context)
            if number:
                x = self.ups[number - 1](x)
        found = {**found, **self.output(F.silu(self.norm(x)))}
        return {name: found[name] for name in self.space.names}


class GridCritic(Critic):
    """Strided convolutions with leaky rectifiers and no norm, which would hide the scale that a
    critic judges by; further ones at the bottom level, where they are cheap."""

    def __init__(self, space: Space, config: TrunkConfig, out_dim: int) -> None:
        super().__init__()
        grids, others = split_grids(space)
        shape = pyramid(space, config)
        bottom = shape.bottom.channels
        self.input = PatchInput(grids, shape)
        layers: list[nn.Module] = [nn.LeakyReLU(0.2)]
        for above, below in zip(shape.levels[:-1], shape.levels[1:], strict=True):
            layers += [Down(above, below, shape.kernel), nn.LeakyReLU(0.2)]
        for _ in range(config.encoder_blocks - 1):
            layers += [conv(bottom, bottom, shape.kernel), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers)
        width = _flattened(shape)
        self.squeeze = nn.Conv2d(bottom, _squeezed(shape), 1)
        self.others = VectorInput(others, width) if others else None
        self.output = nn.Linear(width, out_dim)

    def forward(self, embedded: Mapping[str, Tensor]) -> Tensor:
        """(B, out_dim)."""
        vector = self.squeeze(self.layers(self.input.embedded(embedded))).flatten(1)
        if self.others is not None:
            vector = vector + self.others.embedded(embedded)
        return self.output(F.leaky_relu(vector, 0.2))


def pyramid(space: Space, config: TrunkConfig) -> Plan:
    """Levels of a pyramid, down to four positions a side or fewer (one dimension: eight)."""
    return plan(space, grid_size(space), config, share=16, bottom=2)


def _blocks(shape: Plan, total: int, context: int) -> nn.ModuleList:
    """Blocks of each level, finest first: half of ``total`` at the bottom, a quarter above; none
    at the finest of three levels or more, where they would cost a GAN's step a third more."""
    counts = [max(1, total // 4)] * (len(shape.levels) - 1) + [max(1, total // 2)]
    if len(counts) > 2:
        counts[0] = 0
    return nn.ModuleList(
        ConvBlocks(count, level.channels, shape.kernel, context)
        for level, count in zip(shape.levels, counts, strict=True)
    )


def _squeezed(shape: Plan) -> int:
    return max(8, shape.bottom.channels // SQUEEZE)


def _flattened(shape: Plan) -> int:
    return _squeezed(shape) * shape.bottom.size[0] * shape.bottom.size[1]
