"""From whatever a record holds to pixels: PNG, JPEG and others by Pillow, and plain arrays.

Pillow is imported when a file needs it: images in the plugin's own form (``png``) do not.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

import numpy as np

from gmkit_images.png import MOST_PIXELS, Pixels, read_png

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["FORMATS", "ImageError", "decode", "from_pillow", "to_pillow"]

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""What Pillow may try: none that runs another program or reads another file."""
_WIDE = {"I", "I;16", "I;16B", "I;16L", "I;16N"}
_OPAQUE = {"1", "L"}


class ImageError(Exception):
    """Bytes that are no usable image; the text is the reason to reject them."""


def decode(data: bytes, near: int | None = None) -> Pixels:
    """Pixels (H, W, C) of an encoded image, upright and opaque.

    ``near``: the side to which it will be scaled, so that a large JPEG is decoded at about twice
    that only. Transparency is laid on white, 16 bits become 8, of an animation the first picture
    counts. Raises ImageError.
    """
    own = read_png(data)
    return own if own is not None else _by_pillow(data, near)


def _by_pillow(data: bytes, near: int | None) -> Pixels:
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not data:
        raise ImageError("is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, and of bombs, which we refuse
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                width, height = image.size
                if width * height > MOST_PIXELS:
                    raise ImageError(f"{width} × {height} pixels, more than {MOST_PIXELS:,}")
                if near is not None:
                    image.draft(None, (2 * near, 2 * near))
                return from_pillow(ImageOps.exif_transpose(image))
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(f"more than {MOST_PIXELS:,} pixels") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"not an image ({', '.join(FORMATS)})") from error
    except MemoryError as error:
        raise ImageError("needs more memory than there is") from error
    except Exception as error:  # decoders raise whatever they come upon in damaged data
        raise ImageError(f"damaged: {str(error) or type(error).__name__}") from error


def from_pillow(image: Image) -> Pixels:
    """Pixels (H, W, C) of a Pillow image of any mode."""
    from PIL import Image

    if image.mode in _WIDE:
        values = np.asarray(image).astype(np.int64)
        if values.size and not 0 <= int(values.min()) <= int(values.max()) <= 65_535:
            raise ImageError("values outside 0 … 65,535")
        return ((values + 128) // 257).astype(np.uint8)[..., None]
    if image.mode == "F":
        raise ImageError("floating-point pixels, expected integers")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image).convert("RGB")
    image = image.convert("L" if image.mode in _OPAQUE else "RGB")
    pixels: Pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def to_pillow(pixels: Pixels) -> Image:
    """A Pillow image, mode L or RGB, of pixels (H, W, C)."""
    from PIL import Image

    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
