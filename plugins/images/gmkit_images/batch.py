"""A column of images as one array, for looking at them and measuring them."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pyarrow as pa

from gmkit_images.contents import Content, contents
from gmkit_images.decoding import ImageError, decode
from gmkit_images.normalising import recolour, square, target_side
from gmkit_images.png import Pixels, read_column

__all__ = ["images_of", "squares"]


def images_of(column: pa.Array | pa.ChunkedArray) -> list[Pixels | None]:
    """Pixels (H, W, C) of each row; None for what is no image."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    found: list[Pixels | None] = []
    for chunk in chunks:
        alike = read_column(chunk)
        if alike is not None:
            found += list(alike)
        else:
            found += map(_image, contents(chunk, pa.field("image", chunk.type)))
    return found


def _image(content: Content) -> Pixels | None:
    if isinstance(content, ImageError):
        return None
    try:
        return decode(content) if isinstance(content, bytes) else content
    except ImageError:
        return None


def squares(images: list[Pixels]) -> Pixels:
    """(N, S, S, C), all at the size of the largest, in colour where any is."""
    if not images:
        return np.empty((0, 1, 1, 1), np.uint8)
    side = max(target_side(image.shape[0], image.shape[1], None) for image in images)
    channels: Literal[1, 3] = 3 if any(image.shape[-1] == 3 for image in images) else 1
    return np.stack([recolour(square(image, side), channels) for image in images])
