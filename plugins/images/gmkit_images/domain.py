"""The images domain: what ties codec, files, validation and pictures together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from gmkit.domain import Domain
from gmkit_images.codec import COLUMN, LABEL, ImageCodec
from gmkit_images.png import Pixels

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gmkit.data.formats import FolderFormat, Format

_PREVIEW = 12
PATIENT = 120.0
"""Seconds of a time budget from which wider networks pay."""


class ImagesDomain(Domain):
    """Images; a record is an encoded image in the column ``image``, and where known a ``label``."""

    column = COLUMN
    aliases = ("image", "img", "images", "picture", "photo", "pixels", "pixel_values")

    def codec(self, config: Mapping[str, Any]) -> ImageCodec:
        """A new codec for ``codec.*`` options (``ImageConfig``)."""
        return ImageCodec(config)

    def formats(self) -> Mapping[str, Format]:
        """Image files, idx files and CIFAR's batches."""
        from gmkit_images.formats import FORMATS

        return FORMATS

    def folder(self) -> FolderFormat:
        """A folder of image files, in sub-folders by class or not."""
        from gmkit_images.files import ImageFolder

        return ImageFolder()

    def keys(self, records: pa.RecordBatch) -> pa.Array:
        """A hash of the pixels: two files of the same picture are one record."""
        from gmkit_images.batch import images_of

        return pa.array(map(_key, images_of(records.column(COLUMN))), pa.binary())

    def validate(self, records: pa.RecordBatch) -> pa.BooleanArray:
        """Whether each can be decoded and is not all of one colour."""
        from gmkit_images.batch import images_of

        images = images_of(records.column(COLUMN))
        proper = [i is not None and bool((i != i[:1, :1]).any()) for i in images]
        return pa.array(proper, pa.bool_())

    def defaults(self, family: str, budget: float | None) -> dict[str, Any]:
        """Narrow networks and small batches: on two cores the number of updates decides.

        A VAE gets a perceptron, many times faster on small images than convolutions and no worse
        (digits: label accuracy .98, .94 with convolutions), and is drawn from at temperature 0:
        means of pixels. Its divergence counts twice: pixels are so many that otherwise the latent
        holds on to the class, and labels asked for are not obeyed (digits .975, then 1.0).
        Diffusion leans on its condition with guidance 2. The GAN's critic sees how far the images
        of a batch differ, without which those of a class look alike. Settings were tried on the
        digits, one seed each; who gives minutes gets wider convolutions.
        """
        patient = budget is not None and budget >= PATIENT
        training: dict[str, Any] = {"batch_size": 64, "warmup": 50}
        settings: dict[str, Any] = {"training": training, "trunk": {"width": 32, "depth": 1}}
        if family.split("+")[0] == "vae":
            settings["codec"] = {"layout": "flat"}
            settings["trunk"] = {"width": 256, "depth": 2}
            settings["sampling"] = {"temperature": 0.0}
            settings["family"] = {"latent": 16, "beta": 2.0}
            training |= {"steps": 3000, "learning_rate": 1e-3}
            if "+" in family:
                settings["family"] = {"vae": {"latent": 16}}
                training["steps"] = 5000
        elif family == "gan":
            settings["trunk"]["width"] = 128 if patient else 64
            settings["family"] = {"gamma": 0.1, "minibatch": True}
            training |= {"steps": 1000, "learning_rate": 2e-3, "ema": 0.995}
        elif family in ("diffusion", "flow"):
            settings["trunk"] = {"width": 64 if patient else 32, "depth": 2}
            settings["family"] = {"steps": 20, "guidance": 2.0}
            training |= {"steps": 2500, "learning_rate": 3e-3}
        return settings

    def preview(self, records: pa.RecordBatch) -> RenderableType:
        """The first images, with their labels below."""
        from gmkit_images.grids import TerminalGrid

        return TerminalGrid(*_shown(records.slice(0, _PREVIEW)))

    def draw(self, records: pa.RecordBatch) -> bytes | None:
        """The images in a grid with their labels, as PNG."""
        from gmkit_images.grids import picture

        return picture(*_shown(records))


def _shown(records: pa.RecordBatch) -> tuple[Pixels, list[str] | None]:
    """The images that are any, (N, S, S, C), and their labels."""
    from gmkit_images.batch import images_of, squares

    found = images_of(records.column(COLUMN))
    labels = records.column(LABEL).to_pylist() if LABEL in records.schema.names else None
    kept = [row for row, image in enumerate(found) if image is not None]
    images = squares([image for image in found if image is not None])
    return images, None if labels is None else [str(labels[row]) for row in kept]


def _key(image: Pixels | None) -> bytes | None:
    """16 bytes; the same for a grey image stored as RGB."""
    if image is None:
        return None
    if image.shape[-1] == 3 and bool((image == image[..., :1]).all()):
        image = image[..., :1]
    return hashlib.blake2b(image.tobytes(), digest_size=16, key=str(image.shape).encode()).digest()
