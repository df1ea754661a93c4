"""Distributions of a real number given a network's two parameters (a, b).

gaussian   N(x | a, e^b)
logistic   the mass of x's bin under a logistic of mean a and scale e^b (Salimans et al. 2017,
           "PixelCNN++", eq. 2): for numbers on a grid of ``bins`` between two bounds, in nats
           (divide by log 2 for bits per dimension)
bernoulli  (1 − x) log(1 − p) + x log p with p = sigmoid(a), for x scaled to [0, 1]
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Likelihood = Literal["gaussian", "logistic", "bernoulli"]
LOG_SCALE_RANGE = (-7.0, 3.0)
"""Learned noise scales stay in e^-7 … e^3: below, a constant column drives the loss to −∞."""
Bounds = tuple[float, float]


def gaussian_nll(params: Tensor, value: Tensor) -> Tensor:
    """½ ((x − μ)/σ)² + log σ + ½ log 2π."""
    mean, log_scale = mean_and_scale(params)
    error = (value - mean) * torch.exp(-log_scale)
    return 0.5 * error**2 + log_scale + 0.5 * math.log(2 * math.pi)


def logistic_nll(params: Tensor, value: Tensor, bounds: Bounds, bins: int) -> Tensor:
    """− log of the bin's mass; the outermost bins reach to infinity."""
    low, high = bounds
    half = (high - low) / (2 * (bins - 1))
    mean, log_scale = mean_and_scale(params)
    above = (value - mean + half) * torch.exp(-log_scale)
    below = (value - mean - half) * torch.exp(-log_scale)
    # log(σ(above) − σ(below)), stable for any sign: σ(a) − σ(b) = σ(a) σ(−b) (1 − e^{b−a})
    inside = F.logsigmoid(above) + F.logsigmoid(-below) + torch.log(-torch.expm1(below - above))
    at_low = F.logsigmoid(above)
    at_high = F.logsigmoid(-below)
    edge = 0.5 * half
    mass = torch.where(value < low + edge, at_low, inside)
    return -torch.where(value > high - edge, at_high, mass)


def bernoulli_nll(params: Tensor, value: Tensor, bounds: Bounds) -> Tensor:
    """Cross-entropy of x scaled to [0, 1]."""
    low, high = bounds
    share = ((value - low) / (high - low)).clamp(0, 1)
    return F.binary_cross_entropy_with_logits(params[..., 0], share, reduction="none")


def gaussian_draw(params: Tensor, uniform: Tensor, temperature: float) -> Tensor:
    """μ + temperature · σ · Φ⁻¹(u) for u uniform in (0, 1)."""
    mean, log_scale = mean_and_scale(params)
    if temperature == 0:
        return mean
    noise: Tensor = torch.special.ndtri(uniform)
    return mean + temperature * torch.exp(log_scale) * noise


def logistic_draw(
    params: Tensor, uniform: Tensor, temperature: float, bounds: Bounds, bins: int
) -> Tensor:
    """A logistic draw on the grid."""
    low, high = bounds
    mean, log_scale = mean_and_scale(params)
    value = mean + temperature * torch.exp(log_scale) * torch.logit(uniform)
    share = ((value - low) / (high - low)).clamp(0, 1)
    return low + (high - low) * torch.round(share * (bins - 1)) / (bins - 1)


def bernoulli_draw(params: Tensor, uniform: Tensor, temperature: float, bounds: Bounds) -> Tensor:
    """One of the two bounds; at temperature 0 the mean, which shows how sure the model is."""
    low, high = bounds
    chance = torch.sigmoid(params[..., 0])
    if temperature > 0:
        chance = (uniform < torch.sigmoid(params[..., 0] / temperature)).to(chance.dtype)
    return low + (high - low) * chance


def mean_and_scale(params: Tensor) -> tuple[Tensor, Tensor]:
    """(μ, log σ) from parameters (…, 2)."""
    return params[..., 0], params[..., 1].clamp(*LOG_SCALE_RANGE)
