"""Real values, standardised by their codec to about zero mean and unit scale."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gmkit.errors import DataError
from gmkit.fields.field import Field, expand
from gmkit.fields.process import T_MIN, Process

LOG_SCALE_RANGE = (-7.0, 3.0)
"""Learned noise scales stay in e^-7 … e^3: below, a constant column drives the loss to −∞."""
MEAN_STEPS = 1000
"""Steps of the discrete chain behind ``objective: mean``; Ho et al. 2020 use as many."""


@dataclass(frozen=True, kw_only=True)
class Real(Field):
    """A real array. Parameters per element: mean and log-scale of a Gaussian; a diffusion
    network's answer is the first of them."""

    kind: ClassVar[str] = "real"

    @property
    def embed_dim(self) -> int:
        """The value itself."""
        return 1

    @property
    def param_dim(self) -> int:
        """Mean, log-scale."""
        return 2

    @property
    def dtype(self) -> torch.dtype:
        """float32."""
        return torch.float32

    def check(self, value: Tensor) -> None:
        """Raise DataError unless ``value`` is floating, finite and of this shape."""
        self._check_shape(value)
        if not value.is_floating_point():
            raise DataError(f"values of type {value.dtype}, expected floating point")
        if not bool(torch.isfinite(value).all()):
            row = int((~torch.isfinite(value)).reshape(len(value), -1).any(1).nonzero()[0])
            raise DataError("a value is not finite", row=row)

    def embed(self, value: Tensor) -> Tensor:
        """(B, *shape) → (B, *shape, 1)."""
        return value.unsqueeze(-1)

    def nll(self, params: Tensor, value: Tensor) -> Tensor:
        """½ ((x − μ)/σ)² + log σ + ½ log 2π."""
        mean, log_scale = self._gaussian(params)
        error = (value - mean) * torch.exp(-log_scale)
        return 0.5 * error**2 + log_scale + 0.5 * math.log(2 * math.pi)

    def sample(self, params: Tensor, rng: torch.Generator, temperature: float = 1.0) -> Tensor:
        """μ + temperature · σ · ε."""
        mean, log_scale = self._gaussian(params)
        if temperature == 0:
            return mean
        return mean + temperature * torch.exp(log_scale) * _noise_like(mean, rng)

    def relax(self, params: Tensor, rng: torch.Generator, temperature: float = 1.0) -> Tensor:
        """The mean: a generator carries its own randomness in its latent."""
        return params[..., :1]

    def prior(self, n: int, rng: torch.Generator, process: Process) -> Tensor:
        """Standard normal noise, (n, *shape)."""
        return torch.randn(n, *self.shape, generator=rng, device=rng.device)

    def corrupt(self, value: Tensor, t: Tensor, rng: torch.Generator, process: Process) -> Tensor:
        """α(t) x + σ(t) ε."""
        t = expand(process.inside(t), value)
        return process.alpha(t) * value + process.sigma(t) * _noise_like(value, rng)

    def denoise_loss(
        self, params: Tensor, value: Tensor, noisy: Tensor, t: Tensor, process: Process
    ) -> Tensor:
        """Weighted squared error of the objective's target."""
        t = expand(process.inside(t), value)
        alpha, sigma = process.alpha(t), process.sigma(t)
        answer = params[..., 0]
        if process.objective == "mean":
            # ‖μ̃ − μ_θ‖²/2σ̃² = c_x²/(2σ̃²) ‖x_0 − x̂_0‖²: the rest of the mean is common to both
            s = (t - 1 / MEAN_STEPS).clamp(min=T_MIN / 2)
            c_x, _, deviation = process.posterior(t, s)
            return 0.5 * (c_x / deviation) ** 2 * (value - answer) ** 2
        noise = (noisy - alpha * value) / sigma
        target = process.target(value, noise, alpha, sigma)
        return process.weight(alpha, sigma) * (target - answer) ** 2

    def reverse_step(
        self,
        params: Tensor,
        noisy: Tensor,
        t: Tensor,
        s: Tensor,
        rng: torch.Generator,
        process: Process,
    ) -> Tensor:
        """Ancestral: a draw of q(x_s | x_t, x̂_0). DDIM (Song et al. 2021): α_s x̂_0 + σ_s ε̂."""
        t, s = expand(process.inside(t), noisy), expand(s, noisy)
        alpha, sigma = process.alpha(t), process.sigma(t)
        x, noise = process.predict(params[..., 0], noisy, alpha, sigma)
        if process.sampler == "ddim":
            return process.alpha(s) * x + process.sigma(s) * noise
        c_x, c_t, deviation = process.posterior(t, s)
        return c_x * x + c_t * noisy + deviation * _noise_like(noisy, rng)

    def _gaussian(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """(μ, log σ) from parameters (…, 2)."""
        return params[..., 0], params[..., 1].clamp(*LOG_SCALE_RANGE)


def _noise_like(value: Tensor, rng: torch.Generator) -> Tensor:
    """Standard normal noise of a value's shape, drawn from ``rng`` on its device."""
    noise = torch.randn(value.shape, generator=rng, device=rng.device, dtype=value.dtype)
    return noise.to(value.device)
