"""The family contract: a model over any Space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from gmkit.codecs import Batch
from gmkit.fields import Field, FieldScores, Space
from gmkit.trunks import TrunkConfig


@dataclass(slots=True)
class Step:
    """Where training stands when losses are asked for."""

    index: int
    progress: float
    """Share of the training done, 0 … 1: what schedules go by."""
    rng: torch.Generator
    """Seeded by (run seed, index): the only randomness a loss may use."""
    player: str = "model"
    """Whose loss is wanted, one of the family's ``players``."""


class FamilyConfig(BaseModel):
    """Base of ``family.*`` options."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Family(nn.Module, ABC):
    """A model over a Space. Subclasses state ``Config`` and ``capabilities`` and implement the
    methods those name; the others raise NotImplementedError and are never called."""

    Config: ClassVar[type[FamilyConfig]] = FamilyConfig
    capabilities: ClassVar[frozenset[str]] = frozenset()
    players: ClassVar[tuple[str, ...]] = ("model",)
    """Who is optimised, in turn, each step: one model, or a generator and a critic."""
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Configuration that suits this family on any data (``{"training": {"clip": …}}``); what a
    domain finds suitable wins over it, and the user's options over both."""
    exact: ClassVar[bool] = False
    """Whether ``log_prob`` draws nothing, so that a record's is the same in any batch."""
    adjustable: ClassVar[frozenset[str]] = frozenset()
    """Options of ``Config`` that only drawing reads, so that a trained model may change them."""

    def __init__(self, space: Space, config: FamilyConfig, trunk: TrunkConfig) -> None:
        super().__init__()
        self.space = space
        self.config = config

    @property
    def looks_ahead(self) -> bool:
        """Whether ``complete`` heeds what is known after an unknown part, not only before it."""
        return True

    # ------------------------------------------------------------ learning without gradients

    @property
    def learned(self) -> float | None:
        """Of a family that learns by itself, the share of its learning that is done, 0 … 1; None
        of one that gradients of ``losses`` train."""
        return None

    def learn(self, data: Batch, step: Step) -> dict[str, Tensor]:
        """One step of a family that learns by itself, from all training records as compact
        tensors; until ``learned`` is 1. Returns terms to be shown, ``loss`` among them."""
        raise NotImplementedError

    def make_room(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Before stored state is loaded: size what the data decided, from the shapes of the
        state. Raises ArtifactError for shapes that make no sense. Most families have no such."""

    def player_parameters(self, player: str) -> list[nn.Parameter]:
        """The parameters that this player's loss moves."""
        return list(self.parameters())

    def betas(self, player: str) -> tuple[float, float]:
        """Decay of AdamW's two moments that suits the player."""
        return 0.9, 0.98

    def turns(self, progress: float) -> list[tuple[str, float]]:
        """The players that move at this share of the training, in order, each with the share of
        its own training, by which its learning rate and ``Step.progress`` go."""
        return [(player, progress) for player in self.players]

    @abstractmethod
    def losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """``loss`` to be minimised, and its terms to be shown; scalars, averaged over records."""

    @abstractmethod
    def sample(
        self, n: int, condition: Batch | None, rng: torch.Generator, temperature: float = 1.0
    ) -> Batch:
        """``n`` new records; ``condition`` holds (n, …) values when the space has conditions."""

    def log_prob(self, batch: Batch, rng: torch.Generator, samples: int = 1) -> FieldScores:
        """A bound of − log p in nats per record, tighter with more ``samples``."""
        raise NotImplementedError

    def reconstruct(self, batch: Batch, rng: torch.Generator) -> Batch:
        """Records through the latent and back, without noise."""
        raise NotImplementedError

    def encode(self, batch: Batch) -> Tensor:
        """Latents (B, D), without noise."""
        raise NotImplementedError

    def latent_field(self) -> Field:
        """What ``encode`` gives, as a field: the space of a family stacked on this one. Part of the
        capability ``encode``."""
        raise NotImplementedError

    def infer(self, batch: Batch, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """A latent drawn of q(z|x), as a value of ``latent_field``, and log q(z|x) in nats, (B,):
        what a family stacked on this one learns from. By default ``encode``, which is certain:
        right for codes, but continuous latents have a density, without which there is no bound."""
        latent = self.encode(batch)
        return latent, torch.zeros(len(latent), device=latent.device)

    def nll_given(self, latent: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Field name → − log p(x|z) in nats, (B,). Part of ``encode`` beside ``log_prob``."""
        raise NotImplementedError

    def decode(
        self,
        latent: Tensor,
        condition: Batch | None,
        rng: torch.Generator,
        temperature: float = 1.0,
    ) -> Batch:
        """Records from latents."""
        raise NotImplementedError

    def complete(
        self,
        batch: Batch,
        known: Mapping[str, Tensor],
        rng: torch.Generator,
        temperature: float = 1.0,
    ) -> Batch:
        """Records that keep ``batch`` where the masks ``known`` are True, the rest drawn. What it
        holds elsewhere does not matter, but ``GOES_ON``: there a sequence has not ended."""
        raise NotImplementedError

    @torch.no_grad()
    def figures(self, batches: list[Batch], rng: torch.Generator) -> dict[str, tuple[float, str]]:
        """Figures of the model's own on held-out records, name → (value, better: higher, lower or
        match), for the evaluation. None by default."""
        return {}

    def judge(self, batch: Batch, *, fields: bool = True) -> Any:
        """How unusual records are, calibrated by records held out while learning: a
        ``gmkit.scoring.judge.Judged``, where asked for with ``fields``. Of families that learn
        nothing else."""
        raise NotImplementedError

    def critic(self, batch: Batch) -> Tensor:
        """Scores of records, (B,): higher is more like the data. Their scale and origin are the
        model's own; each record's score is the same whatever else is in the batch."""
        raise NotImplementedError
