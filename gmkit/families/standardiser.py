"""Latents brought to zero mean and unit scale, as a family stacked on them expects of real values.

Latent diffusion divides by one number measured on a batch (Rombach et al. 2022, appendix G); here
each dimension has its own mean and scale, from running moments whose bias to their start is taken
out as Adam does (Kingma & Ba 2015, section 3): m ← 0.99 m + 0.01 E[z], w ← 0.99 w + 0.01, E ≈ m/w.
All lies in buffers, so that a resumed training goes on to the bit.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

MOMENTUM = 0.99
MIN_SCALE = 1e-3


class Standardiser(nn.Module):
    """(z − mean)/scale per element of a latent of this shape."""

    mean: Tensor
    square: Tensor
    weight: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("square", torch.zeros(shape))
        self.register_buffer("weight", torch.zeros(()))

    @torch.no_grad()
    def gather(self, z: Tensor, *, only_first: bool = False) -> None:
        """Take in the moments of latents (B, *shape), unless they are not finite; with
        ``only_first`` unless any were taken in before."""
        wanted = torch.isfinite(z).all()
        if only_first:
            wanted = wanted & (self.weight == 0)
        share = torch.where(wanted, 1 - MOMENTUM, 0.0)
        z = torch.where(wanted, z, torch.zeros_like(z))
        self.mean.lerp_(z.mean(0), share)
        self.square.lerp_((z**2).mean(0), share)
        self.weight.lerp_(torch.ones_like(self.weight), share)

    def moments(self) -> tuple[Tensor, Tensor]:
        """(mean, scale); 0 and 1 while nothing was gathered."""
        weight = self.weight.clamp(min=1 - MOMENTUM)
        mean = self.mean / weight
        spread = (self.square / weight - mean**2).clamp(min=MIN_SCALE**2).sqrt()
        return mean, torch.where(self.weight > 0, spread, torch.ones_like(spread))

    def forward(self, z: Tensor) -> Tensor:
        """Latents standardised."""
        mean, scale = self.moments()
        return (z - mean) / scale

    def inverse(self, z: Tensor) -> Tensor:
        """Latents as they were."""
        mean, scale = self.moments()
        return z * scale + mean

    def log_volume(self) -> Tensor:
        """log |dz/d standardised|, (): what a log-density in standardised units exceeds that of
        the latents themselves by."""
        return torch.log(self.moments()[1]).sum()
