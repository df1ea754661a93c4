"""What images have in common, gathered in any order: side, colour and levels of brightness."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gmkit_images.png import Pixels

__all__ = ["LEVELS", "Grid", "ImageSketch"]

LEVELS = 256


@dataclass
class ImageSketch:
    """Gathered from normalised images; a fixed few hundred bytes however many there are."""

    side: int = 0
    """The largest."""
    several: bool = False
    """Whether sides differ."""
    coloured: bool = False
    seen: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(LEVELS, np.bool_))
    """(256,) which levels occur."""

    def add(self, pixels: Pixels) -> None:
        """Take in an image (S, S, C), or several of one size (N, S, S, C)."""
        side = pixels.shape[-2]
        self.several |= self.side not in (0, side)
        self.side = max(self.side, side)
        self.coloured |= pixels.shape[-1] == 3
        self.seen |= np.bincount(pixels.reshape(-1), minlength=LEVELS) > 0

    def merge(self, other: ImageSketch) -> ImageSketch:
        """Of both."""
        differ = 0 not in (self.side, other.side) and self.side != other.side
        return ImageSketch(
            max(self.side, other.side),
            self.several or other.several or differ,
            self.coloured or other.coloured,
            self.seen | other.seen,
        )

    def bins(self, side: int) -> int:
        """The fewest evenly spaced levels from 0 to 255 among which are all that occur; 256
        where images must be scaled to ``side``, which makes levels of its own."""
        if self.several or self.side != side:
            return LEVELS
        return next(n for n in range(2, LEVELS + 1) if self.seen[~Grid(n).exact].sum() == 0)


class Grid:
    """``bins`` levels of brightness, evenly from 0 to 255, and the real values they stand for.

    Those lie in −1 … 1, of 256 levels in ±255/256, so that half precision holds each exactly:
    the data set then needs half the memory.
    """

    def __init__(self, bins: int) -> None:
        self.bins = bins
        edge = (LEVELS - 1) / LEVELS if bins == LEVELS else 1.0
        self.bounds = (-edge, edge)
        numbers = np.arange(bins) / (bins - 1)
        pixels = np.floor(numbers * (LEVELS - 1) + 0.5).astype(np.uint8)
        self.exact = np.zeros(LEVELS, np.bool_)
        """(256,) which levels are on the grid."""
        self.exact[pixels] = True
        values = ((2 * numbers - 1) * edge).astype(np.float32)
        half = values.astype(np.float16)
        stored = half if (half == values).all() else values
        nearest = np.floor(np.arange(LEVELS) / (LEVELS - 1) * (bins - 1) + 0.5).astype(np.int64)
        self.values: NDArray[np.floating] = stored[nearest]
        """(256,) level → value, of the nearest on the grid."""

    def pixels(self, values: NDArray[np.floating]) -> Pixels:
        """Levels 0 … 255 nearest to real values of any shape; beyond the bounds their ends."""
        low, high = self.bounds
        inside = np.fmin(np.fmax(values.astype(np.float32), low), high)  # no number counts as low
        share = (inside - low) / (high - low)
        # ties such as 127.5 of 17 levels go up, as above, whatever the rounding before
        found: Pixels = np.minimum(share * 255 + 0.501, 255).astype(np.uint8)
        return found
