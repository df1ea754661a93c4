"""Scorers by name: those that learn by themselves, and those that need a family's abilities."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from gmkit.api import ScorerInfo

if TYPE_CHECKING:
    from gmkit.scoring import Scorer


def own_scorers() -> dict[str, Callable[[], Scorer]]:
    """Name → what makes one, of those that need nothing of a family."""
    from gmkit.scoring.registered import scorer_infos

    return {name: partial(_made, info) for name, info in scorer_infos().items() if not info.needs}


def _made(info: ScorerInfo) -> Scorer:
    from gmkit.scoring.registered import load_scorer

    return load_scorer(info)()


def fitting_scorers(capabilities: frozenset[str]) -> dict[str, ScorerInfo]:
    """Name → info, of those whose needs a family meets."""
    from gmkit.scoring.registered import scorer_infos

    return {
        n: info for n, info in scorer_infos().items() if info.needs and info.needs <= capabilities
    }
