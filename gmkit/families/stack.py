"""One family on the latents of another: latent diffusion, latent GAN, in every domain.

    x ← p(x|z) of the first,  z ~ p₂(z) of the second

A VAE alone draws z from N(0, I), where its encodings of real records need not lie; a second family
that learns where they do lie mends that (Dai & Wipf 2019, "Diagnosing and enhancing VAE models";
Rombach et al. 2022, "High-resolution image synthesis with latent diffusion models").

One run trains both in turn: for ``share`` of it the first, as if alone; then it is frozen, and the
second learns draws of q(z|x) as records of a Space of their own. The bound remains one:

    log p(x) ≥ E_{q(z|x)}[log p(x|z) − log q(z|x) + log p₂(z)]
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pydantic
import torch
from torch import Tensor

from gmkit.codecs import Batch
from gmkit.errors import ConfigError
from gmkit.families.family import Family, FamilyConfig, Step
from gmkit.families.latents import latent_name
from gmkit.families.standardiser import Standardiser
from gmkit.fields import Field, FieldScores, Real, Space
from gmkit.stacks import part_names, stack_capabilities
from gmkit.trunks import TrunkConfig

GATHER_FROM = 0.8
"""Share of the first part's training from which its latents are measured."""


class StackConfig(FamilyConfig):
    """``family.*`` options of a stack: these, and a table for each part."""

    share: float = pydantic.Field(
        0.5, gt=0, lt=1, description="share of the training that the first part gets"
    )


class Stack(Family):
    """What all stacks have in common; ``stack`` makes one of two families."""

    Config = StackConfig
    kinds: ClassVar[dict[str, type[Family]]]
    """Part's name → family, the first first."""

    def __init__(self, space: Space, config: StackConfig, trunk: TrunkConfig) -> None:
        super().__init__(space, config, trunk)
        (one, first), (two, second) = self.kinds.items()
        self.first = first(space, getattr(config, one), trunk)
        latent = self.first.latent_field()
        self.standardiser = None
        if isinstance(latent, Real):
            self.standardiser = Standardiser(latent.shape)
            latent = Real(shape=latent.shape, layout=latent.layout)
        self.name = latent_name(space.condition.names if space.condition else ())
        within = Space({self.name: latent}, space.condition)
        self.second = second(within, getattr(config, two), trunk)

    @property
    def config(self) -> FamilyConfig:
        """Its options; setting them passes each part its own."""
        return self._config

    @config.setter
    def config(self, config: FamilyConfig) -> None:
        assert isinstance(config, StackConfig)
        self._config = config
        for name, part in self._parts().items():
            part.config = getattr(config, name)

    # ------------------------------------------------------------ training

    def player_parameters(self, player: str) -> list[torch.nn.Parameter]:
        """Those of the part's player."""
        name, _, inner = player.partition(".")
        return self._parts()[name].player_parameters(inner)

    def betas(self, player: str) -> tuple[float, float]:
        """Those of the part's player."""
        name, _, inner = player.partition(".")
        return self._parts()[name].betas(inner)

    def turns(self, progress: float) -> list[tuple[str, float]]:
        """The first's players, then the second's, each by the share of its own part."""
        one, two = self.kinds
        share = self._config.share
        if progress < share:
            return _prefixed(one, self.first.turns(progress / share))
        return _prefixed(two, self.second.turns((progress - share) / (1 - share)))

    def losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Those of the part that ``step.player`` belongs to."""
        name, _, player = step.player.partition(".")
        inner = Step(step.index, step.progress, step.rng, player)
        if name == next(iter(self.kinds)):
            if self.training and step.progress > GATHER_FROM:
                self._gather(self.first.infer(batch, step.rng)[0])
            return self.first.losses(batch, inner)
        latent, _ = self.first.infer(batch, step.rng)
        if self.training:  # a short training may not have reached the measuring
            self._gather(latent, only_first=True)
        return self.second.losses(self._within(latent, batch), inner)

    def _gather(self, latent: Tensor, *, only_first: bool = False) -> None:
        if self.standardiser is not None:
            self.standardiser.gather(latent, only_first=only_first)

    def _within(self, latent: Tensor, batch: Batch) -> Batch:
        """A record of the second's Space: the latent in its units, and the conditions."""
        scaled = latent if self.standardiser is None else self.standardiser(latent)
        conditions = self.space.condition.names if self.space.condition else ()
        return {self.name: scaled.detach(), **{name: batch[name] for name in conditions}}

    # ------------------------------------------------------------ drawing and reading

    @torch.no_grad()
    def sample(
        self,
        n: int,
        condition: Batch | None,
        rng: torch.Generator,
        temperature: float = 1.0,
    ) -> Batch:
        """z ~ p₂(z), x ~ p(x|z); as in a VAE ``temperature`` sharpens p(x|z) alone."""
        latent = self.second.sample(n, condition, rng)[self.name]
        if self.standardiser is not None:
            latent = self.standardiser.inverse(latent)
        return self.first.decode(latent, condition, rng, temperature)

    def encode(self, batch: Batch) -> Tensor:
        """The first's latents, without noise and in its own units."""
        return self.first.encode(batch)

    def figures(self, batches: list[Batch], rng: torch.Generator) -> dict[str, tuple[float, str]]:
        """The first's."""
        return self.first.figures(batches, rng)

    def latent_field(self) -> Field:
        """The first's."""
        return self.first.latent_field()

    def decode(
        self,
        latent: Tensor,
        condition: Batch | None,
        rng: torch.Generator,
        temperature: float = 1.0,
    ) -> Batch:
        """The first's."""
        return self.first.decode(latent, condition, rng, temperature)

    def _parts(self) -> dict[str, Family]:
        """Name → part, of those made so far."""
        made = (self._modules.get(attribute) for attribute in ("first", "second"))
        return {
            name: part
            for name, part in zip(self.kinds, made, strict=True)
            if isinstance(part, Family)
        }


# ---------------------------------------------------------------- what not every stack can


def _reconstruct(self: Stack, batch: Batch, rng: torch.Generator) -> Batch:
    """By the first."""
    return self.first.reconstruct(batch, rng)


def _complete(
    self: Stack,
    batch: Batch,
    known: Mapping[str, Tensor],
    rng: torch.Generator,
    temperature: float = 1.0,
) -> Batch:
    """By the first."""
    return self.first.complete(batch, known, rng, temperature)


@torch.no_grad()
def _log_prob(self: Stack, batch: Batch, rng: torch.Generator, samples: int = 1) -> FieldScores:
    """A bound of − log p in nats: the fields' − log p(x|z), and log q(z|x) − log p₂(z) as
    ``latent``; averaged over ``samples`` draws of z it is steadier, but no tighter.

    Not importance-weighted: the second gives bounds of log p₂(z) that may themselves be noisy, and
    weights made of noisy bounds would put the mean above log p(x).
    """
    volume: Tensor | float = 0.0
    if self.standardiser is not None:
        volume = self.standardiser.log_volume()
    total: dict[str, Tensor] = {}
    rest = latent_name(self.space.names)
    for _ in range(samples):
        latent, log_posterior = self.first.infer(batch, rng)
        nll = self.first.nll_given(latent, batch)
        prior = self.second.log_prob(self._within(latent, batch), rng).total
        for name, value in {**nll, rest: prior + volume + log_posterior}.items():
            total[name] = total.get(name, 0.0) + value / samples
    return FieldScores(total, torch.stack(list(total.values())).sum(0))


ABILITIES: dict[str, Callable[..., Any]] = {
    "reconstruct": _reconstruct,
    "complete": _complete,
    "log_prob": _log_prob,
}


@functools.cache
def stack(
    first: type[Family], second: type[Family], first_name: str, second_name: str
) -> type[Stack]:
    """The family of ``second`` on the latents of ``first``; the same class for the same call.

    ``first`` needs the capability ``encode``. The names, those families are registered by, tell
    apart the tables of options (``family.vae.latent``) and the players (``vae.model``). Raises
    ConfigError for a family that no gradients train.
    """
    for kind, name in ((first, first_name), (second, second_name)):
        if kind.learned is not Family.learned:
            raise ConfigError(
                f"model {name!r} learns by itself and cannot be part of a stack",
                hint=f"Take it alone: --model {name}.",
            )
    one, two = part_names(first_name, second_name)
    capabilities = stack_capabilities(first.capabilities, second.capabilities)
    tables: dict[str, Any] = {
        name: (kind.Config, pydantic.Field(default_factory=kind.Config))
        for name, kind in ((one, first), (two, second))
    }
    label = f"{second.__name__}On{first.__name__}"
    members: dict[str, Any] = {
        "__doc__": f"{second.__name__} on the latents of {first.__name__}.",
        "__module__": __name__,
        "Config": pydantic.create_model(f"{label}Config", __base__=StackConfig, **tables),
        "kinds": {one: first, two: second},
        "capabilities": capabilities,
        "players": (
            *(f"{one}.{player}" for player in first.players),
            *(f"{two}.{player}" for player in second.players),
        ),
        "adjustable": frozenset(
            f"{name}.{option}"
            for name, kind in ((one, first), (two, second))
            for option in kind.adjustable
        ),
        **{name: verb for name, verb in ABILITIES.items() if name in capabilities},
    }
    return type(label, (Stack,), members)


def _prefixed(part: str, turns: list[tuple[str, float]]) -> list[tuple[str, float]]:
    return [(f"{part}.{player}", share) for player, share in turns]
