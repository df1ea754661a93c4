"""The metrics this plugin offers: light descriptions, each loaded only when it is computed."""

from __future__ import annotations

from gmkit.api import MetricInfo

__all__ = ["METRICS"]

_PACKAGE = "gmkit_molecules.metrics"

METRICS: list[MetricInfo] = [
    MetricInfo(
        name="validity",
        summary="share of raw samples that are molecules, before any filter",
        loader=f"{_PACKAGE}.validity:validity",
        domain="molecules",
        quick=True,
    ),
    MetricInfo(
        name="uniqueness",
        summary="share of distinct molecules among the valid, also @1k and @10k",
        loader=f"{_PACKAGE}.uniqueness:uniqueness",
        domain="molecules",
        quick=True,
    ),
    MetricInfo(
        name="novelty",
        summary="share of distinct valid molecules that are not training ones",
        loader=f"{_PACKAGE}.novelty:novelty",
        domain="molecules",
        quick=True,
    ),
    MetricInfo(
        name="likeness",
        summary="median weight and QED over those of the training molecules",
        loader=f"{_PACKAGE}.likeness:likeness",
        domain="molecules",
        direction="match",
        quick=True,
    ),
    MetricInfo(
        name="diversity",
        summary="mean Tanimoto distance between samples, p = 1 and 2",
        loader=f"{_PACKAGE}.diversity:diversity",
        domain="molecules",
        direction="match",
    ),
    MetricInfo(
        name="snn",
        summary="mean Tanimoto similarity to the nearest test molecule",
        loader=f"{_PACKAGE}.snn:snn",
        domain="molecules",
        direction="match",
    ),
    MetricInfo(
        name="fragments",
        summary="cosine similarity of BRICS fragment counts with the test set",
        loader=f"{_PACKAGE}.fragments:fragments",
        domain="molecules",
    ),
    MetricInfo(
        name="scaffolds",
        summary="cosine similarity of Murcko scaffold counts with the test set",
        loader=f"{_PACKAGE}.scaffolds:scaffolds",
        domain="molecules",
    ),
    MetricInfo(
        name="filters",
        summary="share that passes the medicinal chemistry and PAINS filters",
        loader=f"{_PACKAGE}.filters:filters",
        domain="molecules",
        direction="match",
    ),
    MetricInfo(
        name="properties-w1",
        summary="Wasserstein-1 distance of logP, SA, QED, weight to the test set",
        loader=f"{_PACKAGE}.wasserstein:wasserstein",
        domain="molecules",
        direction="lower",
    ),
    MetricInfo(
        name="fcd",
        summary="Fréchet ChemNet distance to the test set",
        loader=f"{_PACKAGE}.fcd:fcd",
        domain="molecules",
        direction="lower",
        extra="fcd",
    ),
]
