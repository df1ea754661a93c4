"""The U-Net: a grid's denoiser (Ronneberger et al. 2015; Ho et al. 2020)."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gmkit.codecs import Batch
from gmkit.fields import Space
from gmkit.fields.space import Params
from gmkit.trunks.conv import ConvBlocks, Down, Up, norm, zeroed
from gmkit.trunks.inputs import ConditionInput, TimeInput, VectorInput, add
from gmkit.trunks.levels import Level, plan
from gmkit.trunks.patches import BesideOutput, PatchInput, PatchOutput, grid_size, split_grids
from gmkit.trunks.trunk import Denoiser, TrunkConfig


class GridDenoiser(Denoiser):
    """Down the levels and up again, with a bridge at each; time, condition and fields beside the
    grid are a vector that steers every block."""

    def __init__(self, space: Space, config: TrunkConfig) -> None:
        super().__init__()
        grids, others = split_grids(space)
        shape = plan(space, grid_size(space), config, share=8, bottom=3.5)
        *above, bottom = shape.levels
        steps = list(itertools.pairwise(shape.levels))
        width = 2 * bottom.channels

        def blocks(level: Level) -> ConvBlocks:
            return ConvBlocks(max(1, config.blocks // 4), level.channels, shape.kernel, width)

        self.names = space.names
        self.input = PatchInput(grids, shape)
        self.others = VectorInput(others, width) if others else None
        self.time = TimeInput(width)
        self.condition = ConditionInput(space, width, withheld=True)
        self.before = nn.ModuleList(blocks(level) for level in above)
        self.downs = nn.ModuleList(Down(fine, coarse, shape.kernel) for fine, coarse in steps)
        count = max(2, config.blocks // 2)
        self.middle = ConvBlocks(count, bottom.channels, shape.kernel, width)
        self.ups = nn.ModuleList(Up(coarse, fine) for fine, coarse in steps)
        self.bridges = nn.ModuleList(
            nn.Conv2d(2 * level.channels, level.channels, 1) for level in above
        )
        self.after = nn.ModuleList(blocks(level) for level in above)
        self.norm = norm(shape.finest.channels)
        self.output = PatchOutput(grids, shape)
        zeroed(self.output.conv)
        self.beside = BesideOutput(others, bottom.channels, width) if others else None

    def forward(
        self, noisy: Batch, time: Tensor, condition: Batch, drop: Tensor | None = None
    ) -> Params:
        """Name → (B, *shape, param_dim)."""
        context = add(self.time(time), self.condition(condition, drop))
        if self.others is not None:
            context = context + self.others(noisy)
        context = F.silu(context)
        x = self.input(noisy)
        passed: list[Tensor] = []
        for blocks, down in zip(self.before, self.downs, strict=True):
            x = blocks(x, context)
            passed.append(x)
            x = down(x)
        x = self.middle(x, context)
        found: Params = {} if self.beside is None else self.beside(x, context)
        for level in reversed(range(len(passed))):
            x = self.bridges[level](torch.cat((self.ups[level](x), passed[level]), dim=1))
            x = self.after[level](x, context)
        found = {**found, **self.output(F.silu(self.norm(x)))}
        return {name: found[name] for name in self.names}
