"""Scorers by name: those that learn by themselves, and those that need a family's abilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gmkit.api import ScorerInfo


def own_scorers() -> dict[str, Callable[[], Any]]:
    """Name → what loads the class, of those that need nothing of a family."""
    from gmkit.scoring.registered import load_scorer, scorer_infos

    return {
        name: (lambda info=info: load_scorer(info))
        for name, info in scorer_infos().items()
        if not info.needs
    }


def fitting_scorers(capabilities: frozenset[str]) -> dict[str, ScorerInfo]:
    """Name → info, of those whose needs a family meets."""
    from gmkit.scoring.registered import scorer_infos

    return {
        n: info for n, info in scorer_infos().items() if info.needs and info.needs <= capabilities
    }
