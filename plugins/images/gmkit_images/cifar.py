"""CIFAR-10 in its binary form: records of a label and 32 × 32 pixels, red, green, blue.

Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009). The form for Python is
pickled and therefore not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from gmkit.data.formats import Writer
from gmkit.errors import DataError
from gmkit_images.png import png_column

__all__ = ["CLASSES", "CifarBatch"]

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
_SIDE = 32
_RECORD = 1 + 3 * _SIDE * _SIDE
_SCHEMA = pa.schema([("image", pa.binary()), ("label", pa.string())])


class CifarBatch:
    """``data_batch_1.bin`` … ``data_batch_5.bin``."""

    def schema(self, path: Path) -> pa.Schema:
        """``image`` and ``label`` (the class's name)."""
        return _SCHEMA

    def count(self, path: Path) -> int:
        """By the size. Raises DataError for one that no number of records has."""
        count, rest = divmod(path.stat().st_size, _RECORD)
        if rest:
            raise DataError(
                f"its size is no multiple of {_RECORD}, so it is not CIFAR-10 or not whole",
                file=str(path),
            )
        return count

    def read(
        self, path: Path, columns: Sequence[str] | None, batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Records in order, images as PNG."""
        self.count(path)
        row = 0
        with path.open("rb") as stream:
            while content := stream.read(_RECORD * batch_rows):
                records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
                batch = _batch(records, path, row)
                row += len(records)
                yield batch if columns is None else batch.select(list(columns))

    def open_writer(self, path: Path, schema: pa.Schema) -> Writer:
        """Not offered. Raises DataError."""
        raise DataError("CIFAR files are read, not written", file=str(path), hint="Write .parquet.")


def _batch(records: np.ndarray, path: Path, row: int) -> pa.RecordBatch:
    numbers = records[:, 0]
    wrong = np.flatnonzero(numbers >= len(CLASSES))
    if len(wrong):
        place = int(wrong[0])
        raise DataError(f"class {numbers[place]} is none of 0 … 9", file=str(path), row=row + place)
    pixels = records[:, 1:].reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
    labels = pa.array(CLASSES).take(pa.array(numbers))
    return pa.RecordBatch.from_arrays([png_column(pixels), labels], schema=_SCHEMA)
