"""A model that learns from what scored well, while the search goes on."""

from __future__ import annotations

import torch

from gmkit.codecs import Batch
from gmkit.config import TrainingConfig
from gmkit.families import Family, Step
from gmkit.training.optimisers import Optimiser

__all__ = ["Replay"]


class Replay:
    """Further training steps on records of the archive, drawn by rank.

    Kim et al. 2024, "Genetic-guided GFlowNets for sample efficient molecular optimization": records
    that a search found, replayed with weights by rank, teach the model where the good ones lie.
    """

    def __init__(self, family: Family, *, learning_rate: float = 1e-3) -> None:
        self.family = family
        config = TrainingConfig(learning_rate=learning_rate, warmup=0)
        named = dict(family.named_parameters())
        names = {id(p): name for name, p in named.items()}
        self._optimisers = {
            player: Optimiser(
                {names[id(p)]: p for p in family.player_parameters(player)},
                config,
                family.betas(player),
            )
            for player in family.players
        }
        self._clip = config.clip
        self._steps = 0

    def step(self, batch: Batch, rng: torch.Generator) -> None:
        """One step of each player, as at the end of training; a step that is not finite is left
        out."""
        self.family.train()
        for player, share in self.family.turns(1.0):
            optimiser = self._optimisers[player]
            loss = self.family.losses(batch, Step(self._steps, share, rng, player))["loss"]
            for other in self._optimisers.values():
                other.clear()
            loss.backward()  # type: ignore[no-untyped-call]
            if bool(torch.isfinite(loss)) and optimiser.clip(self._clip):
                optimiser.step()
            optimiser.clear()
        self.family.eval()
        self._steps += 1
