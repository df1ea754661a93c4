"""The metrics this plugin offers: light descriptions, each loaded only when it is computed."""

from __future__ import annotations

from gmkit.api import MetricInfo

__all__ = ["METRICS"]

_PACKAGE = "gmkit_text.metrics"

METRICS: list[MetricInfo] = [
    MetricInfo(
        name="text-validity",
        summary="share of samples that are neither empty nor broken",
        loader=f"{_PACKAGE}.validity:validity",
        domain="text",
        quick=True,
    ),
    MetricInfo(
        name="text-words",
        summary="share of words in the samples that occur in the data",
        loader=f"{_PACKAGE}.words:word_validity",
        domain="text",
        quick=True,
    ),
    MetricInfo(
        name="text-divergence",
        summary="between 3 and 4 characters in a row of samples and held-out text",
        loader=f"{_PACKAGE}.divergence:divergence",
        domain="text",
        direction="lower",
        quick=True,
    ),
    MetricInfo(
        name="text-distinct",
        summary="share of different words and pairs of words among the first 5,000",
        loader=f"{_PACKAGE}.distinct:distinct",
        domain="text",
        direction="match",
        quick=True,
    ),
    MetricInfo(
        name="text-self-bleu",
        summary="how much samples are like each other, BLEU-3",
        loader=f"{_PACKAGE}.bleu:self_bleu",
        domain="text",
        direction="match",
    ),
    MetricInfo(
        name="text-copying",
        summary="share copied in passages of 50 characters, and the longest passage",
        loader=f"{_PACKAGE}.copying:copying",
        domain="text",
        direction="lower",
    ),
]
