"""gmkit-text: text as characters, bytes or byte-pair tokens, in windows of fixed length.

This module is the plugin: light descriptions only, nothing heavy is imported.
"""

from __future__ import annotations

from gmkit.api import DatasetInfo, DomainInfo, MetricInfo, hookimpl

__gmkit_api__ = "1.0"


@hookimpl
def gmkit_register_domains() -> list[DomainInfo]:
    """The text domain."""
    return [
        DomainInfo(
            name="text",
            summary="text as characters, bytes or byte-pair tokens",
            loader="gmkit_text.domain:TextDomain",
            extensions=(".txt", ".md", ".rst", ".txt.gz"),
            requires=("tokenizers",),
        )
    ]


@hookimpl
def gmkit_register_datasets() -> list[DatasetInfo]:
    """Python's own help topics; tiny Shakespeare and a novel to fetch."""
    from gmkit_text.dataset_infos import DATASETS

    return DATASETS


@hookimpl
def gmkit_register_metrics() -> list[MetricInfo]:
    """Divergence, diversity, words and copying."""
    from gmkit_text.metric_infos import METRICS

    return METRICS
