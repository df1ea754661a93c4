"""Validity: how many raw samples are images like those of the data at all."""

from __future__ import annotations

import pyarrow as pa

from gmkit_images.metrics.features import images

__all__ = ["validity"]


def validity(real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
    """Share of samples that can be decoded, are of a size that training images have and not all
    of one colour, in [0, 1]. NaN without samples."""
    samples = images(synthetic)
    sizes = {image.shape[:2] for image in images(real).kept}
    # larger training images were scaled to one size, which none of them need have
    known = sizes if len(sizes) == 1 else {image.shape[:2] for image in samples.kept}
    proper = [i.shape[:2] in known and bool((i != i[:1, :1]).any()) for i in samples.kept]
    return {"validity": sum(proper) / samples.seen if samples.seen else float("nan")}
