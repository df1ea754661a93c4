"""The variational autoencoder, on any Space.

    ELBO(x) = E_{q(z|x)}[log p(x|z)] − β KL(q(z|x) ‖ p(z)),   p(z) = N(0, I)

Kingma & Welling 2014, "Auto-encoding variational Bayes" (eq. 3). The latent is a Gaussian vector or
codes of a finite grid, for which p(z) is uniform: see ``gmkit.families.latents``.

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
from gmkit.families.latents import Drawn, FSQLatent, GaussianLatent, Latent, latent_name
from gmkit.fields import Field as SpaceField
from gmkit.fields import FieldScores, Space
from gmkit.trunks import TrunkConfig, build_trunk

AGGREGATED = 2000
"""Records over which q(z) is averaged."""
COMPLETION_ROUNDS = 10
"""Rounds of ``complete``; Rezende et al. 2014, appendix F, used 15 on images."""


class VAEConfig(FamilyConfig):
    """``family.*`` options of the VAE."""

    latent: int = Field(64, ge=1, le=4096, description="dimensions of z")
    latent_kind: Literal["gaussian", "fsq"] = Field(
        "gaussian", description="fsq: codes, best under a second family such as vae+diffusion"
    )
    levels: int = Field(8, ge=2, le=256, description="values of a dimension of an fsq latent")
    beta: float = Field(1.0, ge=0, description="weight of the KL term; 1 is the true bound")
    schedule: Literal["constant", "linear", "cyclic"] = Field(
        "linear", description="how beta rises"
    )
    warmup: float = Field(0.3, gt=0, le=1, description="share of training until beta is reached")
    cycles: int = Field(4, ge=1, description="rises of the cyclic schedule")
    free_bits: float = Field(0.0, ge=0, description="nats a latent dimension has for free")
    word_drop: float = Field(0.0, ge=0, lt=1, description="share of hidden decoder inputs")
    top_p: float = Field(1.0, gt=0, le=1, description="draw only of the likeliest classes")


class VAE(Family):
    """Encoder and decoder of the space's trunk around a latent."""

    Config = VAEConfig
    config: VAEConfig
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {"log_prob", "reconstruct", "encode", "complete"}
    )
    adjustable: ClassVar[frozenset[str]] = frozenset({"top_p"})

    def __init__(self, space: Space, config: VAEConfig, trunk: TrunkConfig) -> None:
        super().__init__(space, config, trunk)
        self.latent: Latent = (
            FSQLatent(config.latent, config.levels)
            if config.latent_kind == "fsq"
            else GaussianLatent(config.latent)
        )
        networks = build_trunk(space, trunk)
        self.encoder = networks.encoder(self.latent.params * config.latent)
        self.decoder = networks.decoder(config.latent)

    def beta(self, progress: float) -> float:
        """The weight of KL at this share of training."""
        if self.config.schedule == "constant":
            return self.config.beta
        if self.config.schedule == "cyclic":
            progress = (progress * self.config.cycles) % 1.0 if progress < 1 else 1.0
        return self.config.beta * min(1.0, progress / self.config.warmup)

    def posterior(self, batch: Batch, rng: torch.Generator) -> Drawn:
        """z ~ q(z|x)."""
        return self.latent.draw(self.encoder(batch).float(), rng)

    def losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Negative ELBO with β and free bits; ``nll`` and ``kl`` in nats per record."""
        drawn = self.posterior(batch, step.rng)
        seen = batch
        if self.config.word_drop > 0:
            seen = self.space.hide(batch, self.config.word_drop, step.rng)
        params = self.decoder(drawn.read, seen)
        nll = torch.stack(list(self.space.nll(params, batch).values())).sum(0).mean()
        kl = drawn.kl.mean(0)  # per dimension
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
        return self.decode(self.latent.prior(n, rng, self._device), condition, rng, temperature)

    @torch.no_grad()
    def log_prob(self, batch: Batch, rng: torch.Generator, samples: int = 1) -> FieldScores:
        """The importance-weighted bound, in nats. Fields share it by their mean log-likelihood
        under the normalised weights; the rest is ``latent``, which is KL for one sample."""
        head = self.encoder(batch).float()
        log_weights, parts = [], []
        for _ in range(samples):
            drawn = self.latent.draw(head, rng)
            nll = self.space.nll(self.decoder(drawn.read, batch), batch)
            log_ratio = drawn.log_prior - drawn.log_posterior
            log_weights.append(log_ratio - torch.stack(list(nll.values())).sum(0))
            parts.append(nll)
        stacked = torch.stack(log_weights)  # (K, B)
        total = math.log(samples) - torch.logsumexp(stacked, 0)
        share = torch.softmax(stacked, 0)
        fields = {
            name: (share * torch.stack([part[name] for part in parts])).sum(0)
            for name in self.space.names
        }
        fields[latent_name(fields)] = total - torch.stack(list(fields.values())).sum(0)
        return FieldScores(fields, total)

    @torch.no_grad()
    def figures(self, batches: list[Batch], rng: torch.Generator) -> dict[str, tuple[float, str]]:
        """How much the latent is used, in nats a record: ``KL``, E[KL(q(z|x) ‖ p(z))], and of it
        the ``mutual information`` of z and x, E[log q(z|x) − log q(z)], with the aggregate q(z)
        over as many records as are given, up to ``AGGREGATED`` (Hoffman & Johnson 2016, "ELBO
        surgery"). It is at most the log of their number. 0 for a latent that is ignored."""
        heads = torch.cat([self.encoder(batch).float() for batch in batches])[:AGGREGATED]
        drawn = self.latent.draw(heads, rng)
        parts = torch.split(drawn.value, 64)  # (64, records, dimensions) at once
        near = torch.cat([self.latent.log_posterior(heads, part) for part in parts])
        aggregate = torch.logsumexp(near, 1) - math.log(len(heads))
        return {
            "KL (nats)": (float(drawn.kl.sum(1).mean()), "match"),
            "mutual information (nats)": (float((near.diagonal() - aggregate).mean()), "higher"),
        }

    # ------------------------------------------------------------ the latent

    def latent_field(self) -> SpaceField:
        """A real vector, or one of codes."""
        return self.latent.field()

    @torch.no_grad()
    def encode(self, batch: Batch) -> Tensor:
        """Posterior means, or codes."""
        return self.latent.settle(self.encoder(batch).float())

    @torch.no_grad()
    def infer(self, batch: Batch, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """(z, log q(z|x)), z ~ q(z|x)."""
        drawn = self.posterior(batch, rng)
        return drawn.value, drawn.log_posterior

    @torch.no_grad()
    def nll_given(self, latent: Tensor, batch: Batch) -> dict[str, Tensor]:
        """− log p(x|z) of each field."""
        return self.space.nll(self.decoder(self.latent.read(latent), batch), batch)

    @torch.no_grad()
    def decode(
        self,
        latent: Tensor,
        condition: Batch | None,
        rng: torch.Generator,
        temperature: float = 1.0,
    ) -> Batch:
        """x ~ p(x|z)."""
        read, top_p = self.latent.read(latent), self.config.top_p
        return self.decoder.generate(read, condition or {}, rng, temperature, top_p=top_p)

    @torch.no_grad()
    def reconstruct(self, batch: Batch, rng: torch.Generator) -> Batch:
        """The mode of p(x | z without noise)."""
        return self.decode(self.encode(batch), batch, rng, temperature=0.0)

    @torch.no_grad()
    def complete(
        self,
        batch: Batch,
        known: Mapping[str, Tensor],
        rng: torch.Generator,
        temperature: float = 1.0,
    ) -> Batch:
        """Pseudo-Gibbs (Rezende et al. 2014, appendix F): fill from a prior draw, then repeat
        z ~ q(z|x), unknown part ~ p(x|z)."""
        rows = len(next(iter(batch.values())))
        z = self.latent.read(self.latent.prior(rows, rng, self._device))
        top_p = self.config.top_p
        filled = self.decoder.generate(z, batch, rng, temperature, batch, known, top_p)
        for _ in range(COMPLETION_ROUNDS):
            z = self.posterior({**batch, **filled}, rng).read
            filled = self.decoder.generate(z, batch, rng, temperature, batch, known, top_p)
        return filled

    @property
    def _device(self) -> torch.device:
        return next(self.parameters()).device
