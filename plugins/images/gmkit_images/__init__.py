"""gmkit-images: images of any kind as squares of pixels, with labels.

This module is the plugin: light descriptions only, nothing heavy is imported.
"""

from __future__ import annotations

from gmkit.api import DatasetInfo, DomainInfo, MetricInfo, hookimpl

__gmkit_api__ = "1.0"


@hookimpl
def gmkit_register_domains() -> list[DomainInfo]:
    """The images domain."""
    return [
        DomainInfo(
            name="images",
            summary="images, grey or in colour, with labels",
            loader="gmkit_images.domain:ImagesDomain",
            extensions=(
                ".png",
                ".jpg",
                ".jpeg",
                ".webp",
                ".bmp",
                ".gif",
                ".tif",
                ".tiff",
                "-idx3-ubyte",
                "-idx3-ubyte.gz",
                ".idx3-ubyte",
                ".idx3-ubyte.gz",
            ),
            requires=("PIL",),
        )
    ]


@hookimpl
def gmkit_register_datasets() -> list[DatasetInfo]:
    """Digits inside scikit-learn; MNIST, Fashion-MNIST and CIFAR-10 to fetch."""
    from gmkit_images.dataset_infos import DATASETS

    return DATASETS


@hookimpl
def gmkit_register_metrics() -> list[MetricInfo]:
    """Distances and shares in a space of features."""
    from gmkit_images.metric_infos import METRICS

    return METRICS
