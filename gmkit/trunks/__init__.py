"""Trunks: neural shapes chosen by layout and size, and the roles families make of them."""

from gmkit.trunks.trunk import (
    Critic,
    Decoder,
    Denoiser,
    Encoder,
    Generator,
    Trunk,
    TrunkConfig,
    build_trunk,
)

__all__ = [
    "Critic",
    "Decoder",
    "Denoiser",
    "Encoder",
    "Generator",
    "Trunk",
    "TrunkConfig",
    "build_trunk",
]
