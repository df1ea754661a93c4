"""What lies between an encoder and a decoder: a Gaussian vector, or codes of a finite grid.

gaussian  q(z|x) = N(μ, σ²), p(z) = N(0, I), reparametrised z = μ + σ ε
          (Kingma & Welling 2014); KL = ½ Σ_d (μ_d² + σ_d² − 1 − log σ_d²)
fsq       each dimension bounded by tanh and rounded to one of L values, with the gradient passed
          straight through the rounding (Mentzer et al. 2024, "Finite scalar quantization: VQ-VAE
          made simple"). The encoder draws nothing; with p(z) uniform over the L^D codes the
          divergence is D log L whatever the record, so nothing pulls the latent to be unused.
          Ours lays an even L symmetrically too, instead of shifting it by half a step.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Container
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gmkit.fields import Categorical, Field, Real


@dataclass(frozen=True)
class Drawn:
    """A draw of q(z|x)."""

    value: Tensor
    """(B, D), a value of the latent's ``field``."""
    read: Tensor
    """(B, D), the same as a decoder reads it, with the gradient to the encoder."""
    kl: Tensor
    """(B, D): KL(q(z|x) ‖ p(z)) in nats."""
    log_posterior: Tensor
    """(B,): log q(z|x) in nats; a density, or 0 for codes, which are certain."""
    log_prior: Tensor
    """(B,): log p(z) in nats."""


class Latent(ABC):
    """A kind of latent of ``size`` dimensions. Holds no parameters."""

    params: ClassVar[int]
    """Numbers of the encoder's head per dimension."""

    def __init__(self, size: int) -> None:
        self.size = size

    @abstractmethod
    def field(self) -> Field:
        """The field of its values."""

    @abstractmethod
    def draw(self, head: Tensor, rng: torch.Generator) -> Drawn:
        """z ~ q(z|x) from an encoder's head (B, params · D)."""

    @abstractmethod
    def log_posterior(self, head: Tensor, value: Tensor) -> Tensor:
        """log q(z|x) in nats, (N, B): of each of N values (N, D) under each of B heads."""

    @abstractmethod
    def settle(self, head: Tensor) -> Tensor:
        """The value (B, D) that q(z|x) has without noise."""

    @abstractmethod
    def prior(self, n: int, rng: torch.Generator, device: torch.device) -> Tensor:
        """Values (n, D) of p(z)."""

    @abstractmethod
    def read(self, value: Tensor) -> Tensor:
        """Values as a decoder reads them, (B, D) of about unit scale."""


class GaussianLatent(Latent):
    """A diagonal Gaussian; its head is (μ, log σ)."""

    params = 2

    def field(self) -> Real:
        """A real vector."""
        return Real(shape=(self.size,))

    def split(self, head: Tensor) -> tuple[Tensor, Tensor]:
        """(μ, log σ), each (B, D)."""
        mean, log_scale = head.chunk(2, dim=1)
        return mean, log_scale.clamp(-8, 4)

    def draw(self, head: Tensor, rng: torch.Generator) -> Drawn:
        """μ + σ ε."""
        mean, log_scale = self.split(head)
        noise = _normal(mean.shape, rng, mean.device)
        z = mean + torch.exp(log_scale) * noise
        constant = 0.5 * self.size * math.log(2 * math.pi)
        return Drawn(
            z,
            z,
            gaussian_kl(mean, log_scale),
            -0.5 * (noise**2).sum(1) - log_scale.sum(1) - constant,
            -0.5 * (z**2).sum(1) - constant,
        )

    def log_posterior(self, head: Tensor, value: Tensor) -> Tensor:
        """The Gaussian density."""
        mean, log_scale = self.split(head)
        off = (value[:, None] - mean) * torch.exp(-log_scale)
        return -(0.5 * off**2 + log_scale).sum(-1) - 0.5 * self.size * math.log(2 * math.pi)

    def settle(self, head: Tensor) -> Tensor:
        """μ."""
        return self.split(head)[0]

    def prior(self, n: int, rng: torch.Generator, device: torch.device) -> Tensor:
        """N(0, I)."""
        return _normal((n, self.size), rng, device)

    def read(self, value: Tensor) -> Tensor:
        """As they are."""
        return value


class FSQLatent(Latent):
    """Codes 0 … levels − 1 in each dimension, which a decoder reads as −1 … 1."""

    params = 1

    def __init__(self, size: int, levels: int) -> None:
        super().__init__(size)
        self.levels = levels

    def field(self) -> Categorical:
        """A vector of classes."""
        return Categorical(size=self.levels, shape=(self.size,))

    def draw(self, head: Tensor, rng: torch.Generator) -> Drawn:
        """round(u), u = (L − 1)(1 + tanh head)/2; backward as if it were u. ``rng`` is not used."""
        bounded = torch.tanh(head)
        codes = self._round(bounded)
        read = bounded + (self.read(codes) - bounded).detach()
        nats = math.log(self.levels)
        certain = torch.zeros(len(head), device=head.device)
        return Drawn(codes, read, torch.full_like(head, nats), certain, certain - self.size * nats)

    def log_posterior(self, head: Tensor, value: Tensor) -> Tensor:
        """0 for the encoder's own codes, −∞ for others."""
        same = (value[:, None] == self.settle(head)).all(-1)
        return torch.where(same, 0.0, -math.inf)

    def settle(self, head: Tensor) -> Tensor:
        """The codes."""
        return self._round(torch.tanh(head))

    def prior(self, n: int, rng: torch.Generator, device: torch.device) -> Tensor:
        """Every code alike."""
        shape = (n, self.size)
        return torch.randint(self.levels, shape, generator=rng, device=rng.device).to(device)

    def read(self, value: Tensor) -> Tensor:
        """2 code/(L − 1) − 1."""
        return value * (2 / (self.levels - 1)) - 1

    def _round(self, bounded: Tensor) -> Tensor:
        """Codes (B, D), int64, of numbers in [−1, 1]."""
        return torch.round(0.5 * (self.levels - 1) * (bounded + 1)).long()


def latent_name(taken: Container[str]) -> str:
    """``latent``, with as many underscores after it as keep it apart from a field of that name."""
    name = "latent"
    while name in taken:
        name += "_"
    return name


def gaussian_kl(mean: Tensor, log_scale: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, 1)) per element."""
    return 0.5 * (mean**2 + torch.exp(2 * log_scale) - 1) - log_scale


def _normal(shape: tuple[int, ...], rng: torch.Generator, device: torch.device) -> Tensor:
    return torch.randn(shape, generator=rng, device=rng.device).to(device)
