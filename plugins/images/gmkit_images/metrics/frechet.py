"""Fréchet distance: how far the samples' features lie from those of held-out images."""

from __future__ import annotations

import pyarrow as pa

from gmkit.metrics.frechet import frechet_of
from gmkit_images.metrics.features import SPACE, images

__all__ = ["frechet_distance"]


def frechet_distance(real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
    """Fréchet distance to the held-out images in ``digits-64``, from 0.

    Heusel et al. 2017 in another space than theirs (FID). NaN with fewer than two images.
    """
    return {f"frechet/{SPACE}": frechet_of(images(synthetic).features, images(holdout).features)}
