"""Scores of how unusual records are, and what they are worth: p-values and false discoveries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gmkit.scoring.scorer import Rows, Scorer

__all__ = ["Rows", "Scorer"]


def __getattr__(name: str) -> Any:
    """Loaded on use: what only asks which scorers there are needs no torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from gmkit.scoring import scorer

    return getattr(scorer, name)
