"""What the metrics compute from a column of images, once however many metrics ask.

``images(table)`` gives the ``Images`` of a column; equal columns share one object, found by the
hash of their content.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmkit.errors import DataError, did_you_mean
from gmkit_images.batch import images_of, squares
from gmkit_images.png import Pixels

__all__ = ["MOST", "SPACE", "Images", "images"]

SPACE = "digits-64"
"""Name of the space of ``Images.features``."""
MOST = 10_000
"""Images measured; of more a fixed random part is taken."""
DIGIT_LIKE = 0.9
"""Mean certainty of the digit classifier from which images are taken for digits: it is .94 on
MNIST and .95 on scikit-learn's digits (trained with smoothed labels, it is never surer)."""
_JUDGED = 1_000
"""Images by which that is judged."""

Floats = NDArray[np.float64]


class Images:
    """The features of a list of images; what is no image counts in ``total`` and nowhere else."""

    def __init__(self, table: pa.Table) -> None:
        """``table``: with a column ``image``, and perhaps ``label``."""
        self.total = table.num_rows
        if self.total > MOST:
            rows = np.random.default_rng(0).choice(self.total, MOST, replace=False)
            table = table.take(pa.array(np.sort(rows)))
        found = images_of(table["image"])
        self.rows = np.array([row for row, image in enumerate(found) if image is not None], int)
        self.kept = [image for image in found if image is not None]
        self.seen = len(found)
        """Records looked at."""
        self._other: dict[str, Floats] = {}
        self._labels = table["label"] if "label" in table.column_names else None

    @cached_property
    def labels(self) -> list[str] | None:
        """The label of each of ``kept``; None without any, or where one is missing."""
        if self._labels is None:
            return None
        values = self._labels.to_pylist()
        told = [values[row] for row in self.rows]
        return None if any(label is None for label in told) else [str(label) for label in told]

    @cached_property
    def pixels(self) -> Pixels:
        """(N, S, S, C) of ``kept``."""
        return squares(self.kept)

    @cached_property
    def _measured(self) -> tuple[Floats, Floats]:
        from gmkit_images.metrics.network import classifier

        return classifier().measure(self.pixels)

    @property
    def features(self) -> Floats:
        """(N, 64) in ``digits-64``."""
        return self._measured[0]

    @property
    def digits(self) -> Floats:
        """(N, 10): how the digit classifier shares its certainty among 0 … 9."""
        return self._measured[1]

    def in_space(self, name: str, measure: Callable[[Pixels], Floats]) -> Floats:
        """(N, D) in another space, measured when it is first asked for."""
        if name not in self._other:
            self._other[name] = measure(self.pixels)
        return self._other[name]

    @cached_property
    def are_digits(self) -> bool:
        """Whether these are pictures of digits, as far as the classifier can tell."""
        if not self.kept or self.pixels.shape[-1] == 3:
            return False
        from gmkit_images.metrics.network import classifier

        _, digits = classifier().measure(self.pixels[:_JUDGED])
        return float(digits.max(1).mean()) >= DIGIT_LIKE


KEPT = 6
"""Columns kept: training, samples, floor and test images, with some to spare."""
_kept: OrderedDict[bytes, Images] = OrderedDict()


def images(table: pa.Table) -> Images:
    """The images of the column ``image``. Raises DataError when there is no such column."""
    if "image" not in table.column_names:
        raise DataError(
            "no column 'image' among the records", hint=did_you_mean("image", table.column_names)
        )
    table = table.select([name for name in ("image", "label") if name in table.column_names])
    digest = hashlib.blake2b(str(table.schema).encode())
    for batch in table.to_batches():
        digest.update(batch.serialize())
    key = digest.digest()
    found = _kept.pop(key, None) or Images(table)
    _kept[key] = found
    while len(_kept) > KEPT:
        _kept.popitem(last=False)
    return found
