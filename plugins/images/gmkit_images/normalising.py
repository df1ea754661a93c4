"""Pixels of any size and colour → the square, and the channels, that the options ask for.

Every function leaves alone what already is as it makes it, so that doing it twice changes nothing.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np

from gmkit_images.decoding import to_pillow
from gmkit_images.png import Pixels

__all__ = ["Binarise", "Channels", "binarise", "is_normal", "recolour", "square", "target_side"]

LARGEST = 64
"""Side to which larger images are scaled where no size is asked for."""
Channels = Literal[1, 3, "auto"]
Binarise = Literal["", "static", "threshold"]


def target_side(height: int, width: int, size: int | None) -> int:
    """The side of the square that an image becomes: ``size``, else its own shorter side."""
    return size or min(height, width, LARGEST)


def is_normal(images: Pixels, size: int | None, channels: Channels, kind: Binarise) -> bool:
    """Whether the functions below would leave all of (N, H, W, C) as they are: seen at once, since
    nearly all that is asked for are records that were normalised before."""
    _, height, width, have = images.shape
    if height != width or height != target_side(height, width, size):
        return False
    if channels == "auto":
        grey = have == 3 and (images == images[..., :1]).all(axis=(1, 2, 3)).any()
    else:
        grey = have != channels
    return not grey and (not kind or bool(((images == 0) | (images == 255)).all()))


def square(pixels: Pixels, side: int) -> Pixels:
    """The centre square of (H, W, C), scaled to (side, side, C): bicubic, with the averaging that
    scaling down needs (Parmar et al. 2022, "On aliased resizing")."""
    height, width, _ = pixels.shape
    if (height, width) == (side, side):
        return pixels
    from PIL import Image

    edge = min(height, width)
    left, top = (width - edge) / 2, (height - edge) / 2
    image = to_pillow(np.ascontiguousarray(pixels)).resize(
        (side, side), Image.Resampling.BICUBIC, box=(left, top, left + edge, top + edge)
    )
    scaled: Pixels = np.asarray(image).reshape(side, side, -1)
    return scaled


def recolour(pixels: Pixels, channels: Channels) -> Pixels:
    """(H, W, C) with the channels asked for; ``auto``: 1 where red, green and blue are equal."""
    have = pixels.shape[-1]
    if channels == "auto":
        grey = have == 3 and bool((pixels == pixels[..., :1]).all())
        return np.ascontiguousarray(pixels[..., :1]) if grey else pixels
    if have == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=-1)
    if bool((pixels == pixels[..., :1]).all()):
        return np.ascontiguousarray(pixels[..., :1])
    return np.asarray(to_pillow(np.ascontiguousarray(pixels)).convert("L"))[..., None]


def binarise(pixels: Pixels, kind: Binarise) -> Pixels:
    """Every pixel 0 or 255. ``threshold``: bright from 128 on. ``static``: bright with the
    probability pixel/255, drawn once and for ever from the image's own hash, which is the fixed
    Bernoulli draw on which bounds of MNIST are reported (Salakhutdinov & Murray 2008)."""
    if not kind:
        return pixels
    if kind == "threshold":
        return np.where(pixels > 127, 255, 0).astype(np.uint8)
    noise = hashlib.shake_128(pixels.tobytes()).digest(2 * pixels.size)
    uniform = np.frombuffer(noise, "<u2").reshape(pixels.shape) % 65_535
    return np.where(uniform < pixels.astype(np.uint16) * 257, 255, 0).astype(np.uint8)
