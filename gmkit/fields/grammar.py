"""What may come next in a sequence of classes, where its notation has rules of its own.

A model that writes element by element may be held to them: a class that would break a rule gets
no chance. What the rules say is the codec's business (brackets that close, valences that suffice);
here is only what a decoder asks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

State = dict[str, Tensor]
"""Name → (B, …): where the writing of each record stands."""


class Grammar(ABC):
    """Rules over the classes of one sequence field."""

    @abstractmethod
    def begin(self, rows: int) -> State:
        """Nothing written yet."""

    @abstractmethod
    def allowed(self, state: State, classes: Tensor, room: int | None = None) -> Tensor:
        """(B, C), True where the class, one of ``classes`` (B, C), may come next. ``room``: how
        many more may come after it; None for any number."""

    @abstractmethod
    def advance(self, state: State, chosen: Tensor) -> State:
        """After the classes (B,), allowed or not: what was given may break rules."""

    @staticmethod
    def keep(state: State, rows: Tensor) -> State:
        """Only some records."""
        return {name: value[rows] for name, value in state.items()}
