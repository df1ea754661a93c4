"""Real values, standardised by their codec to about zero mean and unit scale."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

import torch
from torch import Tensor

from gmkit.errors import DataError
from gmkit.fields import likelihoods
from gmkit.fields.field import Before, Field, expand
from gmkit.fields.likelihoods import Likelihood
from gmkit.fields.process import T_MIN, Process

CHAIN_STEPS = 1000
"""Steps of the discrete chain behind ``objective: mean`` and the learned variance; Ho et al. 2020
use as many."""
VARIANCE_WEIGHT = 1e-3
"""Of the bound that teaches a learned variance beside the denoising loss (Nichol & Dhariwal)."""


@dataclass(frozen=True, kw_only=True)
class Real(Field):
    """A real array. Parameters per element: location and log-scale of its ``likelihood``; a
    diffusion network answers with the first of them, and with its variance in the second.

    ``bounds``: the range values have, to which what a model emits is clamped. ``bins``: so many
    values evenly from bound to bound are all there are, as in an image of 8 bits.
    """

    kind: ClassVar[str] = "real"
    continuous: ClassVar[bool] = True
    likelihood: Likelihood = "gaussian"
    bounds: tuple[float, float] | None = None
    bins: int | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for an unknown likelihood, or for bounds or bins that it lacks."""
        super().__post_init__()
        if self.likelihood not in get_args(Likelihood):
            raise ValueError(f"likelihood {self.likelihood!r} is none of {get_args(Likelihood)}")
        if self.bounds is not None:
            low, high = (float(bound) for bound in self.bounds)
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ValueError(f"bounds {self.bounds} are not finite and rising")
            object.__setattr__(self, "bounds", (low, high))
        elif self.likelihood != "gaussian" or self.bins is not None:
            raise ValueError(f"likelihood {self.likelihood!r}, bins {self.bins} need bounds")
        if self.bins is not None and self.bins < 2:
            raise ValueError(f"bins is {self.bins}, expected at least 2")
        if self.likelihood == "logistic" and self.bins is None:
            raise ValueError("likelihood 'logistic' needs bins")

    @property
    def embed_dim(self) -> int:
        """The value itself."""
        return 1

    @property
    def param_dim(self) -> int:
        """Location, log-scale."""
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

    # ------------------------------------------------------------ likelihood

    def nll(self, params: Tensor, value: Tensor) -> Tensor:
        """By the field's likelihood, in nats; see ``gmkit.fields.likelihoods``."""
        params = params.float()
        if self.likelihood == "bernoulli":
            assert self.bounds is not None
            return likelihoods.bernoulli_nll(params, value, self.bounds)
        if self.likelihood == "logistic":
            assert self.bounds is not None and self.bins is not None
            return likelihoods.logistic_nll(params, value, self.bounds, self.bins)
        return likelihoods.gaussian_nll(params, value)

    def sample(self, params: Tensor, rng: torch.Generator, temperature: float = 1.0) -> Tensor:
        """A draw; at temperature 0 the mean."""
        params = params.float()
        uniform = torch.rand(params.shape[:-1], generator=rng, device=rng.device)
        uniform = uniform.to(params.device).clamp(1e-7, 1 - 1e-7)
        if self.likelihood == "bernoulli":
            assert self.bounds is not None
            return likelihoods.bernoulli_draw(params, uniform, temperature, self.bounds)
        if self.likelihood == "logistic":
            assert self.bounds is not None and self.bins is not None
            return likelihoods.logistic_draw(params, uniform, temperature, self.bounds, self.bins)
        return self._within(likelihoods.gaussian_draw(params, uniform, temperature))

    # ------------------------------------------------------------ adversarial

    def relax(self, params: Tensor, rng: torch.Generator, temperature: float = 1.0) -> Tensor:
        """The location, bent into the bounds by tanh (Radford et al. 2016) where there are any: a
        generator carries its own randomness in its latent."""
        value = params[..., :1]
        if self.bounds is None:
            return value
        low, high = self.bounds
        return 0.5 * (low + high) + 0.5 * (high - low) * torch.tanh(value)

    def settle(self, embedded: Tensor) -> Tensor:
        """The value itself."""
        return embedded.squeeze(-1)

    # ------------------------------------------------------------ diffusion

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
        answer = params[..., 0].float()
        s = (t - 1 / CHAIN_STEPS).clamp(min=T_MIN / 2)
        if process.objective == "mean":
            # ‖μ̃ − μ_θ‖²/2σ̃² = c_x²/(2σ̃²) ‖x_0 − x̂_0‖²: the rest of the mean is common to both
            # summed over the chain's steps, so that the loss is in nats
            c_x, _, deviation = process.posterior(t, s)
            found, _ = process.predict(answer, noisy, alpha, sigma)
            loss = CHAIN_STEPS * 0.5 * (c_x / deviation) ** 2 * (value - found) ** 2
        else:
            noise = (noisy - alpha * value) / sigma
            target = process.target(value, noise, alpha, sigma)
            loss = process.weight(alpha, sigma) * (target - answer) ** 2
        if not process.learned_variance:
            return loss
        # KL(N(μ̃, σ̃²) ‖ N(μ_θ, σ_θ²)) with μ_θ held: Nichol & Dhariwal 2021, section 3.1
        found, _ = process.predict(answer.detach(), noisy, alpha, sigma)
        c_x, _, deviation = process.posterior(t, s)
        log_ratio = process.log_deviation(params[..., 1].float(), t, s) - torch.log(deviation)
        error = (c_x * (value - found) / deviation) ** 2
        divergence = log_ratio + 0.5 * (1 + error) * torch.exp(-2 * log_ratio) - 0.5
        return loss + VARIANCE_WEIGHT * CHAIN_STEPS * divergence

    def clean(self, params: Tensor, noisy: Tensor, t: Tensor, process: Process) -> Tensor:
        """(x̂_0, the network's second answer), (B, *shape, 2)."""
        t = expand(process.inside(t), noisy)
        found, _ = process.predict(
            params[..., 0].float(), noisy, process.alpha(t), process.sigma(t)
        )
        return torch.stack((self._within(found), params[..., 1].float()), dim=-1)

    def reverse_step(
        self,
        clean: Tensor,
        noisy: Tensor,
        t: Tensor,
        s: Tensor,
        rng: torch.Generator,
        process: Process,
        before: Before | None = None,
        after: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """By the process's sampler; see ``gmkit.fields.process``."""
        t, s = expand(process.inside(t), noisy), expand(s, noisy)
        x = clean[..., 0]
        if process.sampler == "ancestral":
            c_x, c_t, deviation = process.posterior(t, s)
            if process.learned_variance:
                learned = torch.exp(process.log_deviation(clean[..., 1], t, s.clamp(min=T_MIN / 2)))
                deviation = torch.where(s > 0, learned, deviation)
            noise = process.temperature * deviation * _noise_like(noisy, rng)
            return c_x * x + c_t * noisy + noise
        if process.sampler in ("euler", "heun"):
            slope = self._slope(x, noisy, t, process)
            if after is not None:
                slope = 0.5 * (slope + self._slope(after[0][..., 0], after[1], s, process))
            return noisy + (s - t) * slope
        if process.sampler == "dpm++" and before is not None:
            earlier = expand(process.inside(before[1]), noisy)
            x = process.extrapolate(x, before[0][..., 0], t, s, earlier)
        return process.exponential_step(x, noisy, t, s)  # of first order this is DDIM

    def slope(self, clean: Tensor, noisy: Tensor, t: Tensor, process: Process) -> Tensor:
        """dx/dt of the probability flow at ``noisy``."""
        return self._slope(clean[..., 0], noisy, expand(process.inside(t), noisy), process)

    def bound(
        self, params: Tensor, value: Tensor, noisy: Tensor, t: Tensor, process: Process
    ) -> Tensor:
        """½ |dλ/dt| SNR ‖x_0 − x̂_0‖² (Kingma et al. 2021, eq. 14), less a term of mean zero: in a
        continuum, where little noise is left, the error is ε itself, whose mean is known."""
        found = self.clean(params, noisy, t, process)[..., 0]
        begun = expand((t >= process.t_first).to(value.dtype), value)
        t = expand(process.inside(t), value)
        snr = torch.exp(process.log_snr(t))
        noise = (noisy - process.alpha(t) * value) / process.sigma(t)
        chance = (snr / (1 + snr)) ** 2 * (noise**2 - 1) if self.bins is None else 0.0
        return begun * 0.5 * process.rate(t) * (snr * (value - found) ** 2 - chance)

    def bound_ends(self, value: Tensor, rng: torch.Generator, process: Process) -> Tensor:
        """KL(q(x_1|x_0) ‖ N(0, 1)) + E[− log p(x_0|x_{t_min})], where p has the shape of
        q(x_{t_min}|x_0) read in x_0: a mass for binned values, else a density. Per record, (B,)."""
        last = value.new_tensor(1 - T_MIN)
        alpha, sigma = process.alpha(last), process.sigma(last)
        prior = 0.5 * ((alpha * value) ** 2 + sigma**2 - 1) - torch.log(sigma)
        first = value.new_tensor(process.t_first)
        scale = process.sigma(first) / process.alpha(first)
        noise = _noise_like(value, rng)
        if self.bins is None or self.bounds is None:
            end = 0.5 + torch.log(scale) + 0.5 * math.log(2 * math.pi) + torch.zeros_like(value)
        else:
            low, high = self.bounds
            half = (high - low) / (2 * (self.bins - 1))
            above = torch.special.ndtr(noise + half / scale)
            below = torch.special.ndtr(noise - half / scale)
            edge = 0.5 * half
            above = torch.where(value > high - edge, torch.ones_like(above), above)
            below = torch.where(value < low + edge, torch.zeros_like(below), below)
            end = -torch.log((above - below).clamp(min=1e-12))
        return (prior + end).reshape(len(value), -1).sum(1)

    @property
    def log_snr_first(self) -> float:
        """σ/α = 0.011 for standardised values; 0.0015 for binned ones, a fifth of a bin of 8 bits,
        whose mass the bound is about."""
        return 9.0 if self.bins is None else 13.0

    # ------------------------------------------------------------ storage

    def to_json(self) -> dict[str, Any]:
        """With likelihood, bounds and bins where they are not the plain ones."""
        facts = super().to_json()
        if self.likelihood != "gaussian":
            facts["likelihood"] = self.likelihood
        if self.bounds is not None:
            facts["bounds"] = list(self.bounds)
        if self.bins is not None:
            facts["bins"] = self.bins
        return facts

    def _within(self, value: Tensor) -> Tensor:
        return value if self.bounds is None else value.clamp(*self.bounds)

    def _slope(self, x: Tensor, noisy: Tensor, t: Tensor, process: Process) -> Tensor:
        """α′ x̂_0 + σ′ ε̂."""
        noise = (noisy - process.alpha(t) * x) / process.sigma(t)
        alpha_rate, sigma_rate = process.rates(t)
        return alpha_rate * x + sigma_rate * noise


def _noise_like(value: Tensor, rng: torch.Generator) -> Tensor:
    """Standard normal noise of a value's shape, drawn from ``rng`` on its device."""
    noise = torch.randn(value.shape, generator=rng, device=rng.device, dtype=value.dtype)
    return noise.to(value.device)
