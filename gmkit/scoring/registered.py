"""Scorers that plugins offer, by name, and the families that can serve them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gmkit.api import ScorerInfo

if TYPE_CHECKING:
    from gmkit.scoring.scorer import Scorer


def scorer_infos() -> dict[str, ScorerInfo]:
    """Of all that is installed."""
    from gmkit.plugins import registry

    return registry().scorers()


def families_for(needs: frozenset[str]) -> list[str]:
    """Names of the families of one model that can do what scorers need, in the order that plugins
    offer them."""
    from gmkit.plugins import registry

    return [name for name, info in registry().families().items() if needs <= info.capabilities]


def load_scorer(info: ScorerInfo) -> type[Scorer]:
    """Its class. Raises PluginError where its plugin is broken."""
    from gmkit.plugins import registry

    kind: type[Scorer] = registry().load(info)
    return kind
