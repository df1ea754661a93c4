"""The noising process of diffusion: how signal fades with time and what a network predicts.

For real values x_t = α(t) x_0 + σ(t) ε with t ∈ [0, 1], t = 0 clean, t = 1 noise
(Kingma et al. 2021, "Variational diffusion models"; Lipman et al. 2023, "Flow matching").
For categories a share 1 − α(t) of the elements is masked (Sahoo et al. 2024, "Simple and
effective masked diffusion language models").

Schedules
    linear  α² = exp(−½ · 19.9 t² − 0.1 t), the continuous form of Ho et al. 2020 (DDPM)
    cosine  α = cos(πt/2), Nichol & Dhariwal 2021
    flow    α = 1 − t, σ = t, the straight path of rectified flow (Liu et al. 2022)

Samplers, for real values (categories are unmasked alike by all):
    ancestral  a draw of q(x_s | x_t, x̂_0) (Ho et al. 2020)
    ddim       x_s = α_s x̂_0 + σ_s ε̂ (Song et al. 2021)
    dpm++      DPM-Solver++(2M): second order by the step before (Lu et al. 2022)
    euler      x_s = x_t + (s − t) dx/dt, dx/dt = α′ x̂_0 + σ′ ε̂
    heun       the same with the mean of the slopes at both ends (Karras et al. 2022)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

Schedule = Literal["linear", "cosine", "flow"]
Objective = Literal["mean", "noise", "data", "velocity", "flow"]
Masking = Literal["rate", "count"]
Sampler = Literal["ancestral", "ddim", "dpm++", "heun", "euler"]
T_MIN = 1e-4
"""Times are kept this far from 0 and 1, where a ratio of α and σ would be infinite."""


@dataclass(frozen=True)
class Process:
    """A schedule, what the network predicts, how errors at different times weigh, a sampler.

    ``objective``, each an affine re-reading of the same network answer (see ``predict``):
        data      x_0
        noise     ε
        velocity  α ε − σ x_0                      (Salimans & Ho 2022)
        flow      ε − x_0, the slope of the straight path; meant for the flow schedule
        mean      the velocity too, with the loss weighted as E‖μ̃_t(x_t, x_0) − μ_θ(x_t, t)‖²/2σ̃²
                  (Ho et al. 2020, eq. 8): the posterior mean is affine in it given x_t
    ``min_snr``: cap γ of the weight min(SNR, γ) on the x_0 error (Hang et al. 2023); 0: the
        objective's own weight.
    """

    schedule: Schedule = "cosine"
    objective: Objective = "velocity"
    sampler: Sampler = "ancestral"
    min_snr: float = 5.0
    learned_variance: bool = False
    """Whether networks answer with the variance of an ancestral step too (Nichol & Dhariwal 2021,
    eq. 15): log σ² = v log β + (1 − v) log β̃."""
    log_snr_first: float = 9.0
    """λ at which the bound of real values begins, where the noise is far below what matters."""
    temperature: float = 1.0
    """Of draws while sampling: scales the noise of ancestral steps and divides logits."""
    masking: Masking = "rate"
    """rate: each category is masked alike and alone; count: exactly so many of a record, or of a
    block, which makes the loss vary less."""
    block: int = 0
    """Elements of a sequence that are masked and drawn together, after those before; 0: all."""
    top_p: float = 1.0
    """Of draws of categories: the probability that the classes drawn from have together."""

    def __post_init__(self) -> None:
        """Raises ValueError for an unknown name or a negative cap."""
        for name, value, known in (
            ("schedule", self.schedule, get_args(Schedule)),
            ("objective", self.objective, get_args(Objective)),
            ("sampler", self.sampler, get_args(Sampler)),
            ("masking", self.masking, get_args(Masking)),
        ):
            if value not in known:
                raise ValueError(f"{name} {value!r} is none of {', '.join(known)}")
        if self.block < 0:
            raise ValueError(f"block is {self.block}, expected 0 or more")
        if self.min_snr < 0:
            raise ValueError(f"min_snr is {self.min_snr}, expected 0 or more")

    def alpha(self, t: Tensor) -> Tensor:
        """Share of signal at ``t``, in [0, 1]."""
        t = t.clamp(0, 1)
        if self.schedule == "flow":
            return 1 - t
        if self.schedule == "cosine":
            return torch.cos(0.5 * math.pi * t)
        return torch.exp(-0.25 * 19.9 * t**2 - 0.05 * t)

    def sigma(self, t: Tensor) -> Tensor:
        """Standard deviation of the noise at ``t``."""
        # not √(1 − α²), which in single precision is 0 near t = 0
        t = t.clamp(0, 1)
        if self.schedule == "flow":
            return t
        if self.schedule == "cosine":
            return torch.sin(0.5 * math.pi * t)
        return (-torch.expm1(-0.5 * 19.9 * t**2 - 0.1 * t)).sqrt()

    def masked(self, t: Tensor) -> Tensor:
        """Probability 1 − α that a category is masked at ``t``."""
        t = t.clamp(0, 1)
        if self.schedule == "flow":
            return t
        if self.schedule == "cosine":
            return 2 * torch.sin(0.25 * math.pi * t) ** 2
        return -torch.expm1(-0.25 * 19.9 * t**2 - 0.05 * t)

    def masked_slope(self, t: Tensor) -> Tensor:
        """The derivative of ``masked`` by t, as a finite difference."""
        low, high = (t - T_MIN / 2).clamp(0, 1), (t + T_MIN / 2).clamp(0, 1)
        return (self.masked(high) - self.masked(low)) / (high - low)

    def rates(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """(α′, σ′), the derivatives by t."""
        if self.schedule == "flow":
            return -torch.ones_like(t), torch.ones_like(t)
        if self.schedule == "cosine":
            half = 0.5 * math.pi
            return -half * torch.sin(half * t), half * torch.cos(half * t)
        alpha, sigma = self.alpha(t), self.sigma(t)
        slope = -alpha * (0.5 * 19.9 * t + 0.05)
        return slope, -alpha * slope / sigma  # σ² = 1 − α²

    def log_snr(self, t: Tensor) -> Tensor:
        """λ = 2 log(α/σ)."""
        return 2 * (torch.log(self.alpha(t)) - torch.log(self.sigma(t)))

    def rate(self, t: Tensor) -> Tensor:
        """|dλ/dt|: λ falls in t."""
        alpha_rate, sigma_rate = self.rates(t)
        return -2 * (alpha_rate / self.alpha(t) - sigma_rate / self.sigma(t))

    def time_of(self, log_snr: Tensor) -> Tensor:
        """The t at which λ has this value, in closed form for every schedule."""
        if self.schedule == "flow":
            return torch.sigmoid(-0.5 * log_snr)
        if self.schedule == "cosine":
            return torch.atan(torch.exp(-0.5 * log_snr)) * 2 / math.pi
        # α² = sigmoid(λ): ½ · 19.9 t² + 0.1 t = softplus(−λ)
        loss = torch.nn.functional.softplus(-log_snr)
        return (-0.1 + (0.01 + 2 * 19.9 * loss).sqrt()) / 19.9

    @property
    def t_first(self) -> float:
        """Where the bound of real values begins."""
        first = torch.tensor(self.log_snr_first, dtype=torch.float64)
        return max(T_MIN, float(self.time_of(first)))

    def inside(self, t: Tensor) -> Tensor:
        """``t`` kept off the two ends."""
        return t.clamp(T_MIN, 1 - T_MIN)

    def target(self, x: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """What the network should answer."""
        if self.objective == "noise":
            return noise
        if self.objective in ("velocity", "mean"):
            return alpha * noise - sigma * x
        if self.objective == "flow":
            return noise - x
        return x

    def predict(
        self, answer: Tensor, noisy: Tensor, alpha: Tensor, sigma: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(x_0, ε) that the network's answer means, from noisy = α x_0 + σ ε."""
        if self.objective == "noise":
            x = (noisy - sigma * answer) / alpha
        elif self.objective in ("velocity", "mean"):
            x = (alpha * noisy - sigma * answer) / (alpha**2 + sigma**2)
        elif self.objective == "flow":
            x = (noisy - sigma * answer) / (alpha + sigma)
        else:
            x = answer
        return x, (noisy - alpha * x) / sigma

    def weight(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Weight of the squared error of ``target`` (at one time; see ``posterior`` for mean)."""
        if self.min_snr == 0:
            return torch.ones_like(alpha)
        snr = (alpha / sigma) ** 2
        on_data = snr.clamp(max=self.min_snr)
        # d x_0 / d answer squared: turns a weight on the x_0 error into one on the answer's
        if self.objective == "noise":
            return on_data / snr
        if self.objective == "velocity":
            return on_data * (sigma / (alpha**2 + sigma**2)) ** 2
        if self.objective == "flow":
            return on_data * (sigma / (alpha + sigma)) ** 2
        return on_data

    def posterior(self, t: Tensor, s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(c_x, c_t, σ̃) of q(x_s | x_t, x_0) = N(c_x x_0 + c_t x_t, σ̃²) for s < t.

        With α_{t|s} = α_t/α_s and σ²_{t|s} = σ_t² − α_{t|s}² σ_s² (Kingma et al. 2021, eq. 23):
        c_t = α_{t|s} σ_s²/σ_t², c_x = α_s σ²_{t|s}/σ_t², σ̃² = σ²_{t|s} σ_s²/σ_t².
        """
        alpha_s, sigma_s = self.alpha(s), self.sigma(s)
        alpha_t, sigma_t = self.alpha(t), self.sigma(t)
        ratio = alpha_t / alpha_s
        step = (sigma_t**2 - ratio**2 * sigma_s**2).clamp(min=0)
        return (
            alpha_s * step / sigma_t**2,
            ratio * sigma_s**2 / sigma_t**2,
            (step * sigma_s**2).sqrt() / sigma_t,
        )

    def log_deviation(self, v: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """log σ of a learned ancestral step; ``v`` as the network gave it, its sigmoid between the
        posterior's variance σ̃² and the forward one σ²_{t|s}."""
        _, _, deviation = self.posterior(t, s)
        ratio = self.alpha(t) / self.alpha(s)
        forward = (self.sigma(t) ** 2 - ratio**2 * self.sigma(s) ** 2).clamp(min=1e-20).sqrt()
        share = torch.sigmoid(v)
        return share * torch.log(forward) + (1 - share) * torch.log(deviation.clamp(min=1e-10))

    def exponential_step(self, x: Tensor, noisy: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """(σ_s/σ_t) x_t + (α_s − σ_s α_t/σ_t) x̂_0: exact where x̂_0 is constant from t to s
        (Lu et al. 2022, eq. 8, first order)."""
        ratio = self.sigma(s) / self.sigma(t)
        return ratio * noisy + (self.alpha(s) - ratio * self.alpha(t)) * x

    def extrapolate(self, x: Tensor, before: Tensor, t: Tensor, s: Tensor, r: Tensor) -> Tensor:
        """x̂_0 at the middle of the step from t to s, given those at t and at the time r > t before
        it: D = (1 + 1/2q) x̂_t − 1/2q x̂_r, q = (λ_t − λ_r)/(λ_s − λ_t) (Lu et al. 2022,
        algorithm 2). The last step, to s = 0, keeps x̂_t."""
        step = self.log_snr(s.clamp(min=T_MIN)) - self.log_snr(t)
        share = 0.5 * step / (self.log_snr(t) - self.log_snr(r)).clamp(min=1e-6)
        return torch.where(s > 0, (1 + share) * x - share * before, x)
