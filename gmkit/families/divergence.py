"""The divergence of a flow's velocity, which its exact likelihood integrates."""

from __future__ import annotations

import torch
from torch import Tensor

EXACT_TRACE = 16
"""Up to so many elements the divergence of the flow is computed exactly, beyond by random signs."""


def divergence(velocity: Tensor, x: Tensor, rng: torch.Generator) -> Tensor:
    """Σ_i ∂v_i/∂x_i per record: exactly for few elements, else by Hutchinson's estimate
    εᵀ(∂v/∂x)ε with random signs (Grathwohl et al. 2019)."""
    if x.shape[1] <= EXACT_TRACE:
        columns = [
            torch.autograd.grad(velocity[:, i].sum(), x, retain_graph=True)[0][:, i]
            for i in range(x.shape[1])
        ]
        return torch.stack(columns).sum(0)
    signs = torch.randint(0, 2, x.shape, generator=rng, device=rng.device).to(x) * 2 - 1
    (pulled,) = torch.autograd.grad((velocity * signs).sum(), x)
    return (pulled * signs).sum(1)
