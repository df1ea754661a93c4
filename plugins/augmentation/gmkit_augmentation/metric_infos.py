"""The metrics this plugin offers: light descriptions, each loaded only when it is computed."""

from __future__ import annotations

from gmkit.api import MetricInfo

__all__ = ["METRICS"]

_PACKAGE = "gmkit_augmentation.measures.metrics"

METRICS: list[MetricInfo] = [
    MetricInfo(
        name="table-fidelity",
        summary="how alike single columns and pairs of columns are distributed",
        loader=f"{_PACKAGE}:fidelity",
        domain="augmentation",
        quick=True,
    ),
    MetricInfo(
        name="table-detection",
        summary="AUC of boosted trees that tell synthetic from real rows; .5 is best",
        loader=f"{_PACKAGE}:detectability",
        domain="augmentation",
        direction="lower",
    ),
    MetricInfo(
        name="table-privacy",
        summary="nearness to rows learned from against held-out rows; .5 is best",
        loader=f"{_PACKAGE}:nearness",
        domain="augmentation",
        direction="lower",
    ),
]
