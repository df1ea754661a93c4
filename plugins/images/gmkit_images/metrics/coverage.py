"""Precision, recall, density, coverage: whether samples are where real images are, and whether
they are everywhere that real images are."""

from __future__ import annotations

import pyarrow as pa

from gmkit.metrics.neighbourhoods import neighbourhoods
from gmkit_images.metrics.features import SPACE, images

__all__ = ["coverage"]

MOST = 2_500
"""Images of each side: all pairs of them are compared."""


def coverage(real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
    """The four shares in ``digits-64`` against as many held-out images; 1 for a copy of them.

    See ``gmkit.metrics.neighbourhoods``. NaN with five images or fewer.
    """
    samples, test = images(synthetic).features, images(holdout).features
    count = min(len(samples), len(test), MOST)
    found = neighbourhoods(test[:count], samples[:count])
    return {f"{name}/{SPACE}": value for name, value in found.items()}
