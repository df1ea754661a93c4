"""The scorer contract: how unusual records are, in total and field by field."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from gmkit.codecs import Batch
from gmkit.fields import FieldScores
from gmkit.scoring.features import Features
from gmkit.scoring.stored import Stored

if TYPE_CHECKING:
    from gmkit.families import Family


@dataclass(frozen=True)
class Rows:
    """Records as scorers are given them: tensors of their fields, and the same as numbers."""

    batch: Batch
    matrix: Tensor
    """(N, D), see ``Features``."""
    features: Features

    def take(self, rows: Tensor) -> Rows:
        """Some of them."""
        batch = {name: value[rows] for name, value in self.batch.items()}
        return Rows(batch, self.matrix[rows], self.features)

    def __len__(self) -> int:
        return len(self.matrix)


class Scorer(Stored, ABC):
    """A way to say how unusual records are. Described by a ``ScorerInfo``; its ``needs`` name what
    the family must be able to do, whose trained model it is then made with."""

    by_field: ClassVar[bool] = False
    """Whether its scores tell fields apart."""
    kind: ClassVar[str] = "other"
    """The question it asks: scorers of one kind are averaged, see ``Judge``."""
    family: Any

    def __init__(self, family: Family | None = None) -> None:
        """``family``: of a scorer that needs one. Raises nothing."""
        super().__init__()
        object.__setattr__(self, "family", family)  # not a part of its own state

    def fit(self, rows: Rows, rng: torch.Generator) -> None:
        """Learn what is usual. By default nothing: the family knows."""

    @abstractmethod
    def score(self, rows: Rows) -> FieldScores:
        """Higher is more unusual; each record's own, whatever else is among the rows. ``fields``
        is empty where they are not told apart; else they need not sum to the total, but two of one
        record can be compared."""
