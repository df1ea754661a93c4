"""The data set that lies inside scikit-learn, read where it is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from gmkit_images.levels import Grid
from gmkit_images.png import png_column

LEVELS = 17
"""scikit-learn's digits have whole values 0 … 16; here they are spread over 0 … 255."""


def digits() -> Iterator[pa.RecordBatch]:
    """1,797 handwritten digits of 8 × 8 pixels: ``image``, ``label`` (0 … 9)."""
    from sklearn.datasets import load_digits

    found = load_digits()
    levels = np.flatnonzero(Grid(LEVELS).exact).astype(np.uint8)
    pixels = levels[found.images.astype(np.int64)][..., None]
    yield pa.RecordBatch.from_pydict(
        {
            "image": png_column(pixels),
            "label": pa.array(found.target.astype(np.int64)),
        }
    )
