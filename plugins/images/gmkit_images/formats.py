"""File formats of images by ending."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from gmkit_images.cifar import CifarBatch
from gmkit_images.files import ENDINGS, ImageFile
from gmkit_images.idx import IdxImages
from gmkit_images.png_file import PngFile

if TYPE_CHECKING:
    from gmkit.data.formats import Format

FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        **{end: ImageFile() for end in ENDINGS},
        ".png": PngFile(),
        **{f"{mark}idx3-ubyte{gz}": IdxImages() for mark in "-." for gz in ("", ".gz")},
        **{f"_batch_{number}.bin": CifarBatch() for number in range(1, 6)},
    }
)
