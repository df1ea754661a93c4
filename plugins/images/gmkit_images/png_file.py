"""Writing samples to a ``.png``: one picture of the first images in a grid."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from gmkit.errors import DataError
from gmkit_images.batch import images_of, squares
from gmkit_images.files import ImageFile
from gmkit_images.grids import picture

__all__ = ["PngFile"]

SHOWN = 1024
"""Most images in a picture, 32 a row."""


class PngFile(ImageFile):
    """A ``.png``: read as one image, written as a grid of many."""

    def open_writer(self, path: Path, schema: pa.Schema) -> GridWriter:
        """A picture of the first ``SHOWN`` images. Raises DataError without a column of them."""
        if "image" not in schema.names:
            raise DataError("a picture needs a column 'image'", file=str(path))
        return GridWriter(path)


class GridWriter:
    """Gathers the first images and draws them at the end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._columns: list[pa.Array] = []
        self._labels: list[str] = []
        self._held = 0
        self.skipped = 0
        """Images beyond ``SHOWN``, and records that are none."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Keep as many as the picture takes."""
        kept = batch.slice(0, max(0, SHOWN - self._held))
        self._held += len(kept)
        self.skipped += len(batch) - len(kept)
        self._columns.append(kept.column("image"))
        if "label" in kept.schema.names:
            self._labels += [str(label) for label in kept.column("label").to_pylist()]

    def close(self) -> None:
        """Draw the picture."""
        found = [image for column in self._columns for image in images_of(column)]
        images = [image for image in found if image is not None]
        labels = [v for v, i in zip(self._labels, found, strict=False) if i is not None]
        self.skipped += len(found) - len(images)
        drawn = picture(squares(images), labels or None)
        if drawn is None:
            raise DataError("no image to draw", file=str(self._path))
        self._path.write_bytes(drawn)
