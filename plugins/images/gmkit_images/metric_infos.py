"""The metrics this plugin offers: light descriptions, each loaded only when it is computed."""

from __future__ import annotations

from gmkit.api import MetricInfo

__all__ = ["METRICS"]

_PACKAGE = "gmkit_images.metrics"

METRICS: list[MetricInfo] = [
    MetricInfo(
        name="image-validity",
        summary="share of raw samples that are images like the data's",
        loader=f"{_PACKAGE}.validity:validity",
        domain="images",
        quick=True,
    ),
    MetricInfo(
        name="image-labels",
        summary="share of samples that show the class they were asked for",
        loader=f"{_PACKAGE}.labels:label_accuracy",
        domain="images",
        quick=True,
    ),
    MetricInfo(
        name="image-frechet",
        summary="Fréchet distance to the test images, digit classifier, 64 features",
        loader=f"{_PACKAGE}.frechet:frechet_distance",
        domain="images",
        direction="lower",
        quick=True,
    ),
    MetricInfo(
        name="image-kernel",
        summary="kernel distance to the test images, digit classifier, 64 features",
        loader=f"{_PACKAGE}.kernel:kernel",
        domain="images",
        direction="lower",
    ),
    MetricInfo(
        name="image-coverage",
        summary="precision, recall, density, coverage; digit classifier's features",
        loader=f"{_PACKAGE}.coverage:coverage",
        domain="images",
    ),
    MetricInfo(
        name="image-inception-coverage",
        summary="precision, recall, density, coverage by InceptionV3, if no digits",
        loader=f"{_PACKAGE}.inception:inception_coverage",
        domain="images",
        extra="inception",
    ),
    MetricInfo(
        name="image-inception",
        summary="Fréchet and kernel distance by InceptionV3, if no digits",
        loader=f"{_PACKAGE}.inception:inception_distances",
        domain="images",
        direction="lower",
        extra="inception",
    ),
]
