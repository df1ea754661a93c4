"""Scorers by name: those that learn by themselves, and those that need a family's abilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from gmkit.api import ScorerInfo
from gmkit.errors import ConfigError

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


def serving_model(names: Sequence[str], usual: str) -> str:
    """The family that scorers are asked of where none is named: ``usual`` for those that learn by
    themselves, else the first that can do what they need. Raises ConfigError where no one can."""
    from gmkit.scoring.registered import families_for, scorer_infos

    known = scorer_infos()
    needs = frozenset[str]().union(*(known[name].needs for name in names if name in known))
    if not needs:
        return usual
    serving = families_for(needs)
    if serving:
        return serving[0]
    raise ConfigError(
        f"no one model can serve all of {', '.join(names)}",
        hint="Take them one by one, or name a stack such as --model vae+diffusion.",
    )
