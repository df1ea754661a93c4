"""The generative adversarial network, on any Space.

    min_G max_D  E[log σ(D(x))] + E[log(1 − σ(D(G(z))))],   z ~ N(0, I)

Goodfellow et al. 2014, "Generative adversarial nets" (eq. 1). This game (``loss: minimax``) and its
working relatives, with the penalties that make them converge, are in ``gan_losses``; conditions,
packing and the minibatch statistic in ``critic_head``. The default is the relativistic loss with
R1 and R2 (Huang et al. 2024, "The GAN is dead; long live the GAN!"), the slopes by finite
differences.

A critic sees records where gradients can flow, in embedded space: classes as one-hot vectors,
which a generator draws by straight-through Gumbel-softmax (Jang et al. 2017) of its logits. So
all of a generator's classes are drawn at once and must agree by way of z alone.

What is sampled is the average of the generator's weights over training's last steps
(Yazıcı et al. 2019), which the trainer keeps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils.parametrizations import spectral_norm

from gmkit.codecs import Batch
from gmkit.families import gan_losses as adversarial
from gmkit.families.critic_head import CriticHead
from gmkit.families.family import Family, FamilyConfig, Step
from gmkit.families.gan_losses import Embedded, Loss
from gmkit.fields import Space
from gmkit.trunks import TrunkConfig, build_trunk

GAMMA, WASSERSTEIN_GAMMA = 0.5, 10.0
"""Weights of a zero-centred and of a one-centred penalty (Gulrajani et al. 2017)."""


class GANConfig(FamilyConfig):
    """``family.*`` options of the GAN."""

    latent: int = Field(64, ge=1, le=4096, description="dimensions of z")
    loss: Loss = Field("relativistic", description="what critic and generator minimise")
    penalty: Literal["finite", "exact", "none"] = Field(
        "finite", description="how the critic's slope is found, to be held down"
    )
    gamma: float | None = Field(
        None, ge=0, description="weight of the penalty; unset: 0.5, for wasserstein 10"
    )
    gamma_end: float = Field(
        0.1, gt=0, le=1, description="share of gamma that is left at the end of training"
    )
    sigma: float = Field(0.1, gt=0, description="length of a finite difference in embedded space")
    lazy: int = Field(1, ge=1, description="penalise every so many steps, as much more")
    critic_steps: int = Field(
        1, ge=1, le=20, description="steps of the critic for one of the other"
    )
    spectral_norm: bool = Field(False, description="layers of the critic of spectral norm 1")
    pack: int = Field(1, ge=1, le=64, description="records that get one score together")
    # measured: on images more kinds in each class; on a ring of points and on words fewer
    minibatch: bool = Field(False, description="show the critic how much a batch varies")
    temperature: float = Field(1.0, gt=0, description="of the relaxation of classes in training")


class GAN(Family):
    """A generator and a critic of the space's trunk."""

    Config = GANConfig
    config: GANConfig
    capabilities: ClassVar[frozenset[str]] = frozenset({"critic"})
    players: ClassVar[tuple[str, ...]] = ("critic", "generator")
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "training": {"learning_rate": 2e-3, "weight_decay": 0.0, "clip": 0.0}
    }

    def __init__(self, space: Space, config: GANConfig, trunk: TrunkConfig) -> None:
        super().__init__(space, config, trunk)
        networks = build_trunk(space, trunk)
        self.generator = networks.generator(config.latent)
        self.reader = networks.critic(trunk.channels)
        self.head = CriticHead(space, trunk.channels, config.pack, config.minibatch)
        if config.spectral_norm:
            normalise(self.reader)
            normalise(self.head)

    def betas(self, player: str) -> tuple[float, float]:
        """No momentum: it overshoots where two players turn around each other (Gidel et al. 2019,
        "Negative momentum for improved game dynamics")."""
        return 0.0, 0.99

    def player_parameters(self, player: str) -> list[nn.Parameter]:
        """The generator's, or the critic's with its head."""
        if player == "generator":
            return list(self.generator.parameters())
        return [*self.reader.parameters(), *self.head.parameters()]

    def turns(self, progress: float) -> list[tuple[str, float]]:
        """The critic as often as configured, then the generator."""
        order = ["critic"] * self.config.critic_steps + ["generator"]
        return [(player, progress) for player in order]

    def gamma(self, progress: float) -> float:
        """The penalty's weight at this share of training: a smooth critic leads the way, a sharp
        one finishes (Huang et al. 2024 let it fall to a tenth). A one-centred penalty states a
        fact about the critic and keeps its weight."""
        if self.config.loss == "wasserstein":
            return WASSERSTEIN_GAMMA if self.config.gamma is None else self.config.gamma
        start = GAMMA if self.config.gamma is None else self.config.gamma
        return start * self.config.gamma_end**progress

    def losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Of the critic: ``loss``, ``critic`` (without the penalty) and ``penalty``, weighted; of
        the generator: ``loss`` and ``generator``."""
        if step.player == "generator":
            return self._generator_losses(batch, step)
        return self._critic_losses(batch, step)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        condition: Batch | None,
        rng: torch.Generator,
        temperature: float = 1.0,
    ) -> Batch:
        """x = G(z); ``temperature`` scales z: below 1 safer, less diverse (Brock et al. 2019)."""
        return self.space.settle(self.draw(n, condition or {}, rng, temperature))

    @torch.no_grad()
    def critic(self, batch: Batch) -> Tensor:
        """Scores (B,), higher: more like the data; each record's is its own, whatever else is in
        the batch."""
        features = self.reader(self.space.embed(self.space.full(batch)))
        return self.head.alone(features.float(), batch)

    def draw(
        self, n: int, condition: Batch, rng: torch.Generator, truncation: float = 1.0
    ) -> dict[str, Tensor]:
        """``n`` generated records in embedded space, differentiably."""
        z = torch.randn(n, self.config.latent, generator=rng, device=rng.device)
        z = truncation * z.to(next(self.parameters()).device)
        return self.space.relax(self.generator(z, condition), rng, self.config.temperature)

    # ------------------------------------------------------------ the two players

    def _critic_losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Without a gradient for the generator."""
        real = self.space.embed(self.space.full(batch))
        with torch.no_grad():
            fake = self.draw(_rows(real), batch, step.rng)
        gamma = self.gamma(step.progress) * self.config.lazy
        if self.config.penalty == "none" or gamma == 0 or step.index % self.config.lazy:
            scores = self._scores([real, fake], batch, remember=self.training)
            penalty = torch.zeros_like(scores[0].mean())
        elif self.config.loss == "wasserstein":
            scores, penalty = self._unit_sloped(real, fake, batch, step.rng)
        else:
            scores, penalty = self._flattened(real, fake, batch, step.rng)
        gained = adversarial.critic_loss(self.config.loss, scores[0], scores[1])
        return {
            "loss": gained + gamma * penalty,
            "critic": gained.detach(),
            "penalty": gamma * penalty.detach(),
        }

    def _generator_losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Without a gradient for the critic's weights, which would cost a third of the time."""
        with _frozen(self.reader, self.head):
            fake = self.draw(_rows(batch), batch, step.rng)
            scores = self._scores([fake], batch)[0]
            others = None
            if self.config.loss == "relativistic":
                with torch.no_grad():
                    real = self.space.embed(self.space.full(batch))
                    others = self._scores([real], batch)[0]
            loss = adversarial.generator_loss(self.config.loss, scores, others)
        return {"loss": loss, "generator": loss.detach()}

    def _scores(
        self, parts: list[Embedded], condition: Batch, *, remember: bool = False
    ) -> list[Tensor]:
        """Scores of each of several batches, read in one pass but packed apart. ``remember``: the
        first holds real records, to be known again by ``critic``."""
        together = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        features = self.reader(together).float().chunk(len(parts))
        if remember:
            self.head.remember(features[0])
        return [self.head(part, condition) for part in features]

    def _flattened(
        self, real: Embedded, fake: Embedded, batch: Batch, rng: torch.Generator
    ) -> tuple[list[Tensor], Tensor]:
        """Scores, and (R1 + R2)/2."""
        if self.config.penalty == "finite":
            noise, sigma = adversarial.noise_like(real, rng), self.config.sigma  # one for both
            moved = [adversarial.shifted(x, noise, sigma) for x in (real, fake)]
            scores = self._scores([real, fake, *moved], batch, remember=self.training)
            pairs = zip(scores[:2], scores[2:], strict=True)
            slopes = [adversarial.finite_slope(*pair, sigma) for pair in pairs]
            return scores[:2], 0.5 * (slopes[0] + slopes[1])
        with _twice_differentiable():
            points = [_leaves(real), _leaves(fake)]
            scores = self._scores([*points], batch, remember=self.training)
            ends = zip(scores, points, strict=True)
            slopes = [adversarial.squared_slope(*end) for end in ends]
        return scores, 0.5 * (slopes[0] + slopes[1])

    def _unit_sloped(
        self, real: Embedded, fake: Embedded, batch: Batch, rng: torch.Generator
    ) -> tuple[list[Tensor], Tensor]:
        """Scores, and Wasserstein's penalty between real and generated records."""
        first = next(iter(real.values()))
        share = torch.rand(len(first), generator=rng, device=rng.device).to(first.device)
        middle = adversarial.between(real, fake, share)
        if self.config.penalty == "finite":
            scores = self._scores([real, fake, middle], batch, remember=self.training)
            lengths = [self._lengths(middle, end) for end in (real, fake)]
            pairs = zip(scores[:2], lengths, strict=True)
            secants = [adversarial.secant_slope(scores[2], *pair) for pair in pairs]
            return scores[:2], 0.5 * (secants[0] + secants[1])
        with _twice_differentiable():
            middle = _leaves(middle)
            scores = self._scores([real, fake, middle], batch, remember=self.training)
            return scores[:2], adversarial.unit_slope(scores[2], middle)

    def _lengths(self, these: Embedded, those: Embedded) -> Tensor:
        """How far packs lie apart: ‖a − b‖ over all their records."""
        return self.head.gather(adversarial.distance(these, those).square()[:, None]).sum(1).sqrt()


def normalise(network: nn.Module) -> None:
    """Divide the weights of linear and convolutional layers by their largest singular value, found
    by one power iteration each training pass (Miyato et al. 2018)."""
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d)
    for layer in [module for module in network.modules() if isinstance(module, kinds)]:
        if not bool(layer.weight.any()):
            layer.reset_parameters()  # zeros have no direction to keep
        spectral_norm(layer)


def _rows(batch: Mapping[str, Any]) -> int:
    return len(next(iter(batch.values())))


def _leaves(embedded: Embedded) -> dict[str, Tensor]:
    """Points at which slopes are wanted."""
    return {name: value.detach().requires_grad_() for name, value in embedded.items()}


@contextmanager
def _twice_differentiable() -> Iterator[None]:
    """Within, gradients are kept (validation turns them off) and attention is computed plainly:
    its fused kernels have no second derivative."""
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        yield


@contextmanager
def _frozen(*networks: nn.Module) -> Iterator[None]:
    """Within, what is computed leads no gradient to the networks' parameters."""
    parameters = [p for network in networks for p in network.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
