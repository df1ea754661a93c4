"""Metrics: figures about synthetic records beside real ones."""

from gmkit.metrics.metric import Metric

__all__ = ["Metric"]
