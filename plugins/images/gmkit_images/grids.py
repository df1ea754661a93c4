"""Pictures of many images: a grid as PNG, and a grid of half blocks in a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gmkit_images.png import Pixels, write_png

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.text import Text

__all__ = ["TerminalGrid", "picture"]

_CELL = 64
"""Pixels along a side to which small images are enlarged in a picture."""
_GAP = 4
_TEXT = 14
"""Height of a line of labels."""
_SHADES = " .:-=+*#%@"
"""Dark to bright, for terminals without colour."""


def picture(images: Pixels, labels: Sequence[str] | None = None) -> bytes | None:
    """The images (N, S, S, C) in a square grid as PNG, small ones enlarged without smoothing, with
    ``labels`` below each; None for no images. Equal input gives equal bytes."""
    count, side, _, channels = images.shape
    if not count:
        return None
    factor = max(1, _CELL // side)
    cell = side * factor
    columns = math.ceil(math.sqrt(count))
    rows = -(-count // columns)
    step_x, step_y = cell + _GAP, cell + _GAP + (_TEXT if labels else 0)
    shape = (_GAP + rows * step_y, _GAP + columns * step_x, channels)
    canvas = np.full(shape, 255, np.uint8)
    large = images.repeat(factor, axis=1).repeat(factor, axis=2)
    for number, image in enumerate(large):
        top, left = _GAP + number // columns * step_y, _GAP + number % columns * step_x
        canvas[top : top + cell, left : left + cell] = image
        if labels:
            text = _written(labels[number], cell, channels)
            canvas[top + cell : top + cell + _TEXT, left : left + cell] = text
    return write_png(canvas)


def _written(text: str, width: int, channels: int) -> Pixels:
    """A line of text in black on white, (14, width, channels), cut at its width."""
    from PIL import Image, ImageDraw, ImageFont

    line = Image.new("L", (width, _TEXT), 255)
    font = ImageFont.load_default_imagefont()
    ascii_only = text.encode("ascii", "replace").decode()  # the built-in font has no more
    ImageDraw.Draw(line).text((1, 1), ascii_only, font=font, fill=0)
    return np.repeat(np.asarray(line)[..., None], channels, axis=-1)


class TerminalGrid:
    """Images side by side, as many as fit the width, two rows of pixels in a line of text (▀ with
    one colour above and one below); in shades of characters where there are no colours."""

    def __init__(self, images: Pixels, labels: Sequence[str] | None = None) -> None:
        """``images`` (N, S, S, C)."""
        self._images = images
        self._labels = labels

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not len(self._images):
            yield "no images"
            return
        colour = console.color_system is not None and not console.no_color
        images = self._fitting(options.max_width, colour)
        width = images.shape[2] * (1 if colour else 2)
        columns = max(1, (options.max_width + 1) // (width + 1))
        for first in range(0, len(images), columns):
            part = images[first : first + columns]
            yield from (_coloured if colour else _shaded)(part)
            if self._labels is not None:
                shown = self._labels[first : first + columns]
                yield _line([label[:width].ljust(width) for label in shown])
            yield ""

    def _fitting(self, width: int, colour: bool) -> Pixels:
        """The images at most 32 pixels wide, or as wide as the terminal allows."""
        from gmkit_images.normalising import square

        most = max(2, min(32, width if colour else width // 2))
        images = self._images
        if images.shape[1] <= most:
            return images
        return np.stack([square(image, most) for image in images])


def _coloured(images: Pixels) -> list[Text]:
    """Lines of half blocks."""
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    rgb = images if images.shape[-1] == 3 else np.repeat(images, 3, axis=-1)
    if rgb.shape[1] % 2:
        rgb = np.pad(rgb, ((0, 0), (0, 1), (0, 0), (0, 0)))
    lines = []
    for row in range(0, rgb.shape[1], 2):
        line = Text(no_wrap=True, end="")
        for image in rgb:
            for above, below in zip(image[row].tolist(), image[row + 1].tolist(), strict=True):
                style = Style(color=Color.from_rgb(*above), bgcolor=Color.from_rgb(*below))
                line.append("▀", style)
            line.append(" ")
        line.append("\n")
        lines.append(line)
    return lines


def _shaded(images: Pixels) -> list[Text]:
    """Lines of characters, two for each pixel."""
    grey = images.mean(-1)
    shade = np.array(list(_SHADES))[(grey * (len(_SHADES) - 1) / 255 + 0.5).astype(int)]
    return [_line(["".join(np.repeat(image[row], 2)) for image in shade]) for row in
            range(shade.shape[1])]  # fmt: skip


def _line(parts: Sequence[str]) -> Text:
    from rich.text import Text

    return Text(" ".join(parts).rstrip() + "\n", no_wrap=True, end="")
