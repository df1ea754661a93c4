"""idx files, the form in which MNIST and its relatives are published.

A magic number (0, 0, type, dimensions), the sizes as 32-bit big-endian integers, then the values
row by row. Images are of type 8 (unsigned byte) and three dimensions; the labels lie beside them
in a file of one dimension and a like name: ``train-images-idx3-ubyte.gz`` and
``train-labels-idx1-ubyte.gz``.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa

from gmkit.data.formats import Writer
from gmkit.errors import DataError
from gmkit_images.png import MOST_PIXELS, png_column

__all__ = ["IdxImages"]

_UNSIGNED = 8
_IMAGE = pa.field("image", pa.binary())
_LABEL = pa.field("label", pa.int64())
_FAULTS = (OSError, EOFError, zlib.error)


class IdxImages:
    """``…-idx3-ubyte``, plain or ``.gz``: ``image``, and ``label`` where labels lie beside."""

    def companions(self, path: Path) -> tuple[Path, ...]:
        """The file of labels, if there is one."""
        found = labels_beside(path)
        return () if found is None else (found,)

    def schema(self, path: Path) -> pa.Schema:
        """``image``, and ``label`` where there are labels. Raises DataError."""
        self.count(path)
        return pa.schema([_IMAGE, _LABEL] if self.companions(path) else [_IMAGE])

    def count(self, path: Path) -> int:
        """Images by the header. Raises DataError where there are not as many labels."""
        with _opened(path) as stream:
            count = _sizes(stream, path, 3)[0]
        for labels in self.companions(path):
            with _opened(labels) as stream:
                (found,) = _sizes(stream, labels, 1)
            if found != count:
                raise DataError(
                    f"{found:,} labels for the {count:,} images in {path.name}", file=str(labels)
                )
        return count

    def read(
        self, path: Path, columns: Sequence[str] | None, batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Records in order, images as PNG."""
        schema = self.schema(path)
        with ExitStack() as stack:
            images = stack.enter_context(_opened(path))
            count, height, width = _sizes(images, path, 3)
            labels = [stack.enter_context(_opened(p)) for p in self.companions(path)]
            for stream, place in zip(labels, self.companions(path), strict=True):
                _sizes(stream, place, 1)
            rows = max(1, min(batch_rows, (16 << 20) // (height * width)))
            for first in range(0, count, rows):
                n = min(rows, count - first)
                pixels = _values(images, n * height * width, path, first)
                arrays: list[pa.Array] = [png_column(pixels.reshape(n, height, width, 1))]
                for stream, place in zip(labels, self.companions(path), strict=True):
                    arrays.append(pa.array(_values(stream, n, place, first).astype(np.int64)))
                batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
                yield batch if columns is None else batch.select(list(columns))
            if images.read(1):  # which also checks the sum at the end of a .gz
                raise DataError(f"goes on after its {count:,} images", file=str(path))

    def open_writer(self, path: Path, schema: pa.Schema) -> Writer:
        """Not offered. Raises DataError."""
        raise DataError(
            "idx files are read, not written",
            file=str(path),
            hint="Write .parquet, which keeps images and labels together.",
        )


def labels_beside(images: Path) -> Path | None:
    """The labels' file by its name, packed or not."""
    name = images.name.lower().removesuffix(".gz")
    if "images" not in name:
        return None
    wanted = name.replace("images", "labels").replace("idx3", "idx1")
    beside = {p.name.lower(): p for p in images.parent.iterdir() if p.is_file()}
    return beside.get(wanted) or beside.get(f"{wanted}.gz")


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        with path.open("rb") as file:
            if file.peek(2)[:2] == b"\x1f\x8b":
                with gzip.GzipFile(fileobj=file) as stream:
                    yield stream  # type: ignore[misc]
            else:
                yield file
    except _FAULTS as fault:
        raise DataError(f"cannot be read: {fault}", file=str(path)) from fault


def _sizes(stream: IO[bytes], path: Path, dimensions: int) -> tuple[int, ...]:
    head = stream.read(4 + 4 * dimensions)
    expected = bytes((0, 0, _UNSIGNED, dimensions))
    if head[:4] != expected or len(head) < 4 + 4 * dimensions:
        raise DataError(
            f"begins with {head[:4].hex(' ') or 'nothing'}, expected {expected.hex(' ')}: "
            f"unsigned bytes in {dimensions} dimension{'s' if dimensions > 1 else ''}",
            file=str(path),
        )
    sizes = struct.unpack(f">{dimensions}I", head[4:])
    if dimensions == 3 and not 0 < sizes[1] * sizes[2] <= MOST_PIXELS:
        raise DataError(f"images of {sizes[1]} × {sizes[2]} pixels", file=str(path))
    return sizes


def _values(stream: IO[bytes], wanted: int, path: Path, row: int) -> np.ndarray:
    content = stream.read(wanted)
    if len(content) < wanted:
        raise DataError("ends before all its records", file=str(path), row=row)
    return np.frombuffer(content, np.uint8)
