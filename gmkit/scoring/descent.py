"""AdamW on one tensor (Loshchilov & Hutter 2019, algorithm 2), without torch's optimisers: making
one of these imports torch's compiler, which takes longer than a small network's whole training.

    m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²
    θ ← (1 − η λ) θ − η m̂ / (√v̂ + ε),   m̂ = m / (1 − β₁ᵗ),   v̂ = v / (1 − β₂ᵗ)
"""

from __future__ import annotations

import torch
from torch import Tensor

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class Descent:
    """Moves ``weights`` (P,), in place."""

    def __init__(self, weights: Tensor, *, decay: float) -> None:
        self._weights = weights
        self._decay = decay
        self._mean = torch.zeros_like(weights)
        self._square = torch.zeros_like(weights)
        self._steps = 0

    @torch.no_grad()
    def step(self, slope: Tensor, rate: float) -> None:
        """Against ``slope`` (P,), at the learning rate ``rate``."""
        self._steps += 1
        first, second = BETAS
        self._mean.lerp_(slope, 1 - first)
        self._square.mul_(second).addcmul_(slope, slope, value=1 - second)
        small = (1 - second**self._steps) ** 0.5
        size = self._square.sqrt().div_(small).add_(EPSILON)
        self._weights.mul_(1 - rate * self._decay)
        self._weights.addcdiv_(self._mean, size, value=-rate / (1 - first**self._steps))
