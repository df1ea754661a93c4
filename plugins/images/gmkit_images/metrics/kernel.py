"""Kernel distance: like the Fréchet distance, without its bias for few images."""

from __future__ import annotations

import pyarrow as pa

from gmkit.metrics.kernel_distance import kernel_distance
from gmkit_images.metrics.features import SPACE, images

__all__ = ["kernel"]

MOST = 2_500
"""Images of each side: all pairs of them are compared."""


def kernel(real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
    """Kernel distance to the held-out images in ``digits-64``; about 0 for real images.

    Bińkowski et al. 2018 in another space than theirs (KID). NaN with fewer than two images.
    """
    samples, test = images(synthetic).features[:MOST], images(holdout).features[:MOST]
    return {f"kernel/{SPACE}": kernel_distance(samples, test)}
