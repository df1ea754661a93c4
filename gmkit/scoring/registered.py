"""Scorers that plugins offer, by name."""

from __future__ import annotations

from gmkit.api import ScorerInfo
from gmkit.scoring.scorer import Scorer


def scorer_infos() -> dict[str, ScorerInfo]:
    """Of all that is installed."""
    from gmkit.plugins import registry

    return registry().scorers()


def load_scorer(info: ScorerInfo) -> type[Scorer]:
    """Its class. Raises PluginError where its plugin is broken."""
    from gmkit.plugins import registry

    kind: type[Scorer] = registry().load(info)
    return kind
