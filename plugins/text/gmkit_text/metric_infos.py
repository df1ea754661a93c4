"""The metrics this plugin offers: light descriptions, each loaded only when it is computed."""

from __future__ import annotations

from gmkit.api import MetricInfo

__all__ = ["METRICS"]

METRICS: list[MetricInfo] = []
