"""What work tells whoever watches: a terminal, a log, a notebook, nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """A moment of training."""

    step: int
    steps: int | None
    """Total; None when only the time budget ends training."""
    terms: Mapping[str, float]
    """Loss terms, averaged since the last report."""
    items_per_second: float
    seconds_left: float | None


class Observer:
    """Hears of stages and progress; this one ignores all."""

    def stage(self, text: str) -> None:
        """A new stage of work begins ("Reading data")."""

    def advance(self, done: int, total: int | None) -> None:
        """Within a stage: ``done`` of ``total`` items."""

    def progress(self, progress: Progress) -> None:
        """A few times a second while training."""

    def note(self, text: str) -> None:
        """Something the user should know, in one line."""

    def close(self) -> None:
        """Work is over, well or badly."""
