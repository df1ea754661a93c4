"""Conditions of training records that a run keeps, to draw from what nobody asked for.

A model of several conditions needs a value of each, and those of one record go together: who asks
for ``qed=0.9`` gets weights of molecules whose QED is about that.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gmkit.artifact.tensors import load_tensors, save_tensors
from gmkit.codecs import Batch, Codec
from gmkit.errors import ArtifactError, DataError
from gmkit.fields import Space
from gmkit.randomness import generator
from gmkit.training.dataset import PARTS, Dataset

NAME = "conditions.safetensors"
"""The file of a run."""
MOST = 10_000
"""Rows kept."""
NEAREST = 100
"""Rows that are near enough to numbers asked for."""


class ConditionPool:
    """Conditions of some training records, as encoded."""

    def __init__(self, space: Space, rows: Batch) -> None:
        """``space``: of the conditions; ``rows``: name → (N,), N ≥ 1."""
        self.space = space
        self.rows = space.pick(rows, slice(None), "cpu")
        self.count = len(next(iter(self.rows.values())))

    @classmethod
    def of_training(cls, codec: Codec, dataset: Dataset, seed: int) -> ConditionPool | None:
        """Of up to ``MOST`` random training records; None where there are no conditions."""
        space = codec.conditions.space
        if space is None:
            return None
        training = torch.from_numpy(np.flatnonzero(dataset.parts == PARTS.index("train")))
        order = torch.randperm(len(training), generator=generator(seed, "conditions"))
        rows = training[order[:MOST]]
        return cls(space, {name: dataset.encoded[name][rows] for name in space.names})

    def save(self, folder: Path) -> None:
        """Write ``NAME`` into a run's folder."""
        save_tensors(folder / NAME, self.rows)

    @classmethod
    def load(cls, folder: Path, codec: Codec) -> ConditionPool | None:
        """The pool that ``save`` wrote; None where there are no conditions. Raises ArtifactError
        for a missing file, or one of other conditions."""
        space = codec.conditions.space
        if space is None:
            return None
        path = folder / NAME
        rows = load_tensors(path)
        counts = {len(value) if value.dim() else 0 for value in rows.values()}
        try:
            if set(rows) != set(space.names):
                raise DataError(f"holds {sorted(rows)}, expected {sorted(space.names)}")
            space.check(rows)
            if len(counts) != 1 or not 1 <= max(counts) <= MOST:
                raise DataError(f"holds {sorted(counts)} rows, expected as many of each")
        except DataError as error:
            raise ArtifactError(
                f"{path}: {str(error)[:500]}", hint="Restore it from a copy, or train again."
            ) from error
        return cls(space, rows)

    def draw(self, n: int, asked: Batch, rng: torch.Generator) -> Batch:
        """Conditions of ``n`` records: name → (n,). ``asked`` holds the values, each (1,), that
        all of them have; the others come from one random training record each, of those that have
        the classes asked for, if any do, and of these the nearest to the numbers."""
        rows = self._near(asked)
        chosen = rows[torch.randint(len(rows), (n,), generator=rng)]
        drawn = {name: value[chosen] for name, value in self.rows.items()}
        return {**drawn, **{name: value.expand(n).clone() for name, value in asked.items()}}

    def _near(self, asked: Batch) -> Tensor:
        """Row numbers to choose from."""
        agree = torch.ones(self.count, dtype=torch.bool)
        distance = torch.zeros(self.count)
        for name, value in asked.items():
            if value.is_floating_point():
                distance += (self.rows[name] - value) ** 2
            else:
                agree &= self.rows[name] == value
        rows = (agree if bool(agree.any()) else torch.ones_like(agree)).nonzero().squeeze(1)
        if not any(value.is_floating_point() for value in asked.values()):
            return rows
        return rows[distance[rows].argsort(stable=True)[:NEAREST]]
