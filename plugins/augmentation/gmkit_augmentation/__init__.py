"""gmkit-augmentation: tables. More rows, balanced classes, missing values filled in.

This module is the plugin: light descriptions only, nothing heavy is imported.
"""

from __future__ import annotations

from gmkit.api import CommandInfo, DatasetInfo, DomainInfo, MetricInfo, hookimpl

__gmkit_api__ = "1.0"


@hookimpl
def gmkit_register_domains() -> list[DomainInfo]:
    """The augmentation domain: rows of a table."""
    return [
        DomainInfo(
            name="augmentation",
            summary="rows of a table: numbers, categories, dates, missing values",
            loader="gmkit_augmentation.domain:TablesDomain",
        )
    ]


@hookimpl
def gmkit_register_datasets() -> list[DatasetInfo]:
    """Tables inside scikit-learn."""
    loader = "gmkit_augmentation.datasets"
    return [
        DatasetInfo(
            name="breast-cancer",
            summary="569 tumours, 30 measurements and the diagnosis (scikit-learn)",
            domain="augmentation",
            licence="CC-BY-4.0",
            loader=f"{loader}:breast_cancer",
            rows=569,
            default=True,
            citation="Wolberg et al. 1995, Breast Cancer Wisconsin (Diagnostic), UCI",
        ),
        DatasetInfo(
            name="wine",
            summary="178 wines, 13 measurements and the cultivar (scikit-learn)",
            domain="augmentation",
            licence="CC-BY-4.0",
            loader=f"{loader}:wine",
            rows=178,
            citation="Aeberhard & Forina 1992, Wine, UCI",
        ),
    ]


@hookimpl
def gmkit_register_commands() -> list[CommandInfo]:
    """Commands on tables."""
    return [
        CommandInfo(
            name="augment",
            summary="More rows for a table, like those it has",
            loader="gmkit_augmentation.commands.augment:augment",
        ),
        CommandInfo(
            name="impute",
            summary="A table's missing values filled in, once or several times",
            loader="gmkit_augmentation.commands.impute:impute",
        ),
    ]


@hookimpl
def gmkit_register_metrics() -> list[MetricInfo]:
    """Fidelity, detection, privacy."""
    from gmkit_augmentation.metric_infos import METRICS

    return METRICS
