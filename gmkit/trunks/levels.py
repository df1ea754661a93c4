"""The levels of a grid network: from the finest grid, of patches, down to a few positions.

Two dimensions halve from level to level with 3 × 3 kernels. One dimension is quartered with
kernels of 9, which has the same costs and reach (Donahue et al. 2019, "WaveGAN"), and is held as
a plane of height 1 so that one code serves both.
"""

from __future__ import annotations

from dataclasses import dataclass

from gmkit.fields import Space
from gmkit.trunks.trunk import TrunkConfig

Pair = tuple[int, int]
"""(vertical, horizontal)."""
PATCH_FROM = {2: (4, 6), 4: (6, 7)}
"""Divisor → its powers from which a side is cut into patches of so many elements, and of so many
squared, that become the positions of the finest level: 16 and 64 elements, in one dimension 4,096
and 16,384. A step on images of 28 × 28 costs half to a third of what it did without."""


@dataclass(frozen=True)
class Level:
    """One resolution of a network."""

    size: Pair
    channels: int
    stride: Pair
    """From the level above it; (1, 1) at the first."""


@dataclass(frozen=True)
class Plan:
    """Levels, finest first, and the geometry of their layers."""

    patch: Pair
    """Elements of the record that become one position of the finest level."""
    kernel: Pair
    levels: tuple[Level, ...]

    @property
    def finest(self) -> Level:
        """Where records enter."""
        return self.levels[0]

    @property
    def bottom(self) -> Level:
        """The smallest grid."""
        return self.levels[-1]


def plan(
    space: Space, size: tuple[int, ...], config: TrunkConfig, *, share: int, bottom: float
) -> Plan:
    """Levels for a grid of ``size``, (T,) or (H, W).

    The bottom has half of the configured width and each level above it half as many channels, so
    that all cost about the same and channels are many where positions are few; none has fewer
    than if they doubled from one channel for ``share`` of the width at the finest. A side is
    divided while more than ``bottom`` positions of it are left (before rounding up), those of a
    long plane each for itself.
    """
    factor = 4 if space.layout == "grid1d" else 2
    sides: Pair = (1, size[0]) if len(size) == 1 else (size[0], size[1])
    patch = (_patch(sides[0], factor), _patch(sides[1], factor))
    shrunk: list[tuple[Pair, Pair]] = [(_divided(sides, patch), (1, 1))]
    while max(sides := shrunk[-1][0]) > bottom * factor:
        stride = (
            factor if sides[0] > bottom * factor else 1,
            factor if sides[1] > bottom * factor else 1,
        )
        shrunk.append((_divided(sides, stride), stride))
    most = max(8, config.channels // 2)
    levels = []
    for number, (sides, stride) in enumerate(shrunk):
        doubled = min(most, config.channels // share * 2**number)
        halved = most // 2 ** (len(shrunk) - 1 - number)
        levels.append(Level(sides, max(8, doubled, halved), stride))
    return Plan(patch, (1, 9) if space.layout == "grid1d" else (3, 3), tuple(levels))


def _patch(side: int, factor: int) -> int:
    """Elements of a side that enter as one position."""
    powers = sum(side >= factor**power for power in PATCH_FROM[factor])
    return int(factor**powers)


def _divided(sides: Pair, by: Pair) -> Pair:
    """Each side's share, rounded up."""
    return -(-sides[0] // by[0]), -(-sides[1] // by[1])
