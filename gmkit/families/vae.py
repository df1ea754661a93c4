"""The variational autoencoder, on any Space.

    ELBO(x) = E_{q(z|x)}[log p(x|z)] − β KL(q(z|x) ‖ p(z)),   p(z) = N(0, I)

Kingma & Welling 2014, "Auto-encoding variational Bayes" (eq. 3); q(z|x) is a diagonal Gaussian,
so with reparametrised z = μ + σ ε the divergence is closed:

    KL = ½ Σ_d (μ_d² + σ_d² − 1 − log σ_d²)

What keeps the latent in use beside a decoder strong enough to ignore it:
    free bits   Σ_d max(λ, E_batch KL_d): a dimension pays nothing for its first λ nats
                (Kingma et al. 2016, "Improved variational inference with IAF", eq. 15)
    β schedule  rises over the first part of training: linearly (Bowman et al. 2016), or in
                cycles (Fu et al. 2019, "Cyclical annealing")
    word drop   a share of the tokens that the causal decoder looks back at is hidden
                (Bowman et al. 2016)

Evaluation by the importance-weighted bound (Burda et al. 2016, eq. 8), tighter with K:

    log p(x) ≥ E[log 1/K Σ_k p(x|z_k) p(z_k) / q(z_k|x)],   z_k ~ q(z|x)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from gmkit.codecs import Batch
from gmkit.families.family import Family, FamilyConfig, Step
from gmkit.fields import FieldScores, Space
from gmkit.trunks import TrunkConfig, build_trunk

COMPLETION_ROUNDS = 10
"""Rounds of ``complete``; Rezende et al. 2014, appendix F, used 15 on images."""


class VAEConfig(FamilyConfig):
    """``family.*`` options of the VAE."""

    latent: int = Field(64, ge=1, le=4096, description="dimensions of z")
    beta: float = Field(1.0, ge=0, description="weight of the KL term; 1 is the true bound")
    schedule: Literal["constant", "linear", "cyclic"] = Field(
        "linear", description="how beta rises"
    )
    warmup: float = Field(0.3, gt=0, le=1, description="share of training until beta is reached")
    cycles: int = Field(4, ge=1, description="rises of the cyclic schedule")
    free_bits: float = Field(0.0, ge=0, description="nats a latent dimension has for free")
    word_drop: float = Field(0.0, ge=0, lt=1, description="share of hidden decoder inputs")


class VAE(Family):
    """Encoder and decoder of the space's trunk around a Gaussian latent."""

    Config = VAEConfig
    config: VAEConfig
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {"log_prob", "reconstruct", "encode", "complete"}
    )

    def __init__(self, space: Space, config: VAEConfig, trunk: TrunkConfig) -> None:
        super().__init__(space, config, trunk)
        networks = build_trunk(space, trunk)
        self.encoder = networks.encoder(2 * config.latent)
        self.decoder = networks.decoder(config.latent)

    def beta(self, progress: float) -> float:
        """The weight of KL at this share of training."""
        if self.config.schedule == "constant":
            return self.config.beta
        if self.config.schedule == "cyclic":
            progress = (progress * self.config.cycles) % 1.0 if progress < 1 else 1.0
        return self.config.beta * min(1.0, progress / self.config.warmup)

    def posterior(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(μ, log σ) of q(z|x), each (B, latent)."""
        mean, log_scale = self.encoder(batch).float().chunk(2, dim=1)
        return mean, log_scale.clamp(-8, 4)

    def losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Negative ELBO with β and free bits; ``nll`` and ``kl`` in nats per record."""
        mean, log_scale = self.posterior(batch)
        z = mean + torch.exp(log_scale) * _normal(mean.shape, step.rng, mean.device)
        seen = batch
        if self.config.word_drop > 0:
            seen = self.space.hide(batch, self.config.word_drop, step.rng)
        params = self.decoder(z, seen)
        nll = torch.stack(list(self.space.nll(params, batch).values())).sum(0).mean()
        kl = gaussian_kl(mean, log_scale).mean(0)  # per dimension
        charged = kl.clamp(min=self.config.free_bits).sum()
        return {
            "loss": nll + self.beta(step.progress) * charged,
            "nll": nll.detach(),
            "kl": kl.sum().detach(),
        }

    @torch.no_grad()
    def sample(
        self,
        n: int,
        condition: Batch | None,
        rng: torch.Generator,
        temperature: float = 1.0,
    ) -> Batch:
        """z ~ p(z), x ~ p(x|z); ``temperature`` sharpens p(x|z) below 1."""
        z = _normal((n, self.config.latent), rng, next(self.parameters()).device)
        return self.decode(z, condition, rng, temperature)

    @torch.no_grad()
    def log_prob(self, batch: Batch, rng: torch.Generator, samples: int = 1) -> FieldScores:
        """The importance-weighted bound, in nats. Fields share it by their mean log-likelihood
        under the normalised weights; the rest is ``latent``, which is KL for one sample."""
        mean, log_scale = self.posterior(batch)
        scale = torch.exp(log_scale)
        log_weights, parts = [], []
        for _ in range(samples):
            noise = _normal(mean.shape, rng, mean.device)
            z = mean + scale * noise
            nll = self.space.nll(self.decoder(z, batch), batch)
            log_prior = -0.5 * (z**2).sum(1)
            log_posterior = -0.5 * (noise**2).sum(1) - log_scale.sum(1)
            log_weights.append(-torch.stack(list(nll.values())).sum(0) + log_prior - log_posterior)
            parts.append(nll)
        stacked = torch.stack(log_weights)  # (K, B)
        total = math.log(samples) - torch.logsumexp(stacked, 0)
        share = torch.softmax(stacked, 0)
        fields = {
            name: (share * torch.stack([part[name] for part in parts])).sum(0)
            for name in self.space.names
        }
        rest = "latent" + "_" * ("latent" in fields)  # a field may bear that name
        fields[rest] = total - torch.stack(list(fields.values())).sum(0)
        return FieldScores(fields, total)

    @torch.no_grad()
    def encode(self, batch: Batch) -> Tensor:
        """Posterior means."""
        return self.posterior(batch)[0]

    @torch.no_grad()
    def decode(
        self,
        latent: Tensor,
        condition: Batch | None,
        rng: torch.Generator,
        temperature: float = 1.0,
    ) -> Batch:
        """x ~ p(x|z)."""
        return self.decoder.generate(latent, condition or {}, rng, temperature)

    @torch.no_grad()
    def reconstruct(self, batch: Batch, rng: torch.Generator) -> Batch:
        """The mode of p(x | z = posterior mean)."""
        return self.decoder.generate(self.encode(batch), batch, rng, temperature=0.0)

    @torch.no_grad()
    def complete(self, batch: Batch, known: Mapping[str, Tensor], rng: torch.Generator) -> Batch:
        """Pseudo-Gibbs (Rezende et al. 2014, appendix F): fill from a prior draw, then repeat
        z ~ q(z|x), unknown part ~ p(x|z)."""
        z = _normal((_rows(batch), self.config.latent), rng, next(self.parameters()).device)
        filled = self.decoder.generate(z, batch, rng, given=batch, known=known)
        for _ in range(COMPLETION_ROUNDS):
            mean, log_scale = self.posterior({**batch, **filled})
            z = mean + torch.exp(log_scale) * _normal(mean.shape, rng, mean.device)
            filled = self.decoder.generate(z, batch, rng, given=batch, known=known)
        return filled


def gaussian_kl(mean: Tensor, log_scale: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, 1)) per element."""
    return 0.5 * (mean**2 + torch.exp(2 * log_scale) - 1) - log_scale


def _normal(shape: tuple[int, ...], rng: torch.Generator, device: torch.device) -> Tensor:
    return torch.randn(shape, generator=rng, device=rng.device).to(device)


def _rows(batch: Batch) -> int:
    return len(next(iter(batch.values())))
