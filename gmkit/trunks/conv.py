"""Layers of the grid networks: residual blocks steered by a vector, changes of size.

Sources: He et al. 2016 (pre-activation), Wu & He 2018 (GroupNorm), Perez et al. 2018 (FiLM),
Dhariwal & Nichol 2021 (scale and shift by time).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gmkit.trunks.levels import Level, Pair


def norm(channels: int) -> nn.GroupNorm:
    """Up to eight groups of at least eight channels; smaller ones are slow in channels-last."""
    groups = next(g for g in range(min(8, max(1, channels // 8)), 0, -1) if channels % g == 0)
    return nn.GroupNorm(groups, channels)


def conv(inside: int, outside: int, kernel: Pair, stride: Pair = (1, 1)) -> nn.Conv2d:
    """A convolution that keeps the size, or divides it by ``stride`` and rounds up."""
    return nn.Conv2d(inside, outside, kernel, stride, (kernel[0] // 2, kernel[1] // 2))


def zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    """``layer`` with nothing but zeros, so that its block starts as the identity."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class ConvBlock(nn.Module):
    """x + conv(SiLU(norm(conv(SiLU(norm(x)))) · (1 + scale) + shift)), where a linear map of the
    context gives scale and shift per channel; neither where ``context`` has no width."""

    def __init__(self, channels: int, kernel: Pair, context: int) -> None:
        super().__init__()
        self.first_norm, self.second_norm = norm(channels), norm(channels)
        self.first = conv(channels, channels, kernel)
        self.second = zeroed(conv(channels, channels, kernel))
        self.film = nn.Linear(context, 2 * channels) if context else None

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        """(B, channels, H, W) and (B, context) → (B, channels, H, W)."""
        hidden = self.second_norm(self.first(F.silu(self.first_norm(x))))
        if self.film is not None:
            scale, shift = self.film(context)[:, :, None, None].chunk(2, dim=1)
            hidden = torch.addcmul(shift, hidden, 1 + scale)
        return x + self.second(F.silu(hidden))


class ConvBlocks(nn.Module):
    """The blocks of one level, in order."""

    def __init__(self, count: int, channels: int, kernel: Pair, context: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ConvBlock(channels, kernel, context) for _ in range(count))

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        """(B, channels, H, W) and (B, context) → (B, channels, H, W)."""
        for block in self.blocks:
            x = block(x, context)
        return x


class Down(nn.Module):
    """To the next coarser level."""

    def __init__(self, above: Level, below: Level, kernel: Pair) -> None:
        super().__init__()
        self.conv = conv(above.channels, below.channels, kernel, below.stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C′, H′, W′)."""
        return self.conv(x)


class Up(nn.Module):
    """To the next finer level: fewer channels first, then each position repeated."""

    def __init__(self, below: Level, above: Level) -> None:
        super().__init__()
        self.size, self.stride = above.size, below.stride
        self.conv = nn.Conv2d(below.channels, above.channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C′, H′, W′) → (B, C, H, W), cut where sizes do not divide."""
        vertical, horizontal = self.stride
        found = F.interpolate(self.conv(x), scale_factor=(vertical, horizontal), mode="nearest")
        return found[:, :, : self.size[0], : self.size[1]]
