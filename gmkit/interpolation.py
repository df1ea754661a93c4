"""Paths between records through a model's latent.

A straight line between two draws of a Gaussian in many dimensions passes near the origin, where
the prior has next to no mass and a decoder was hardly trained; so directions are turned along the
great circle and lengths changed evenly (Shoemake 1985, "slerp"; White 2016, "Sampling generative
networks").
"""

from __future__ import annotations

import torch
from torch import Tensor

from gmkit.codecs import Batch
from gmkit.errors import ConfigError
from gmkit.families import Family

_ALIGNED = 1e-4  # radians between directions below which the circle is a line


def latent_path(a: Tensor, b: Tensor, steps: int) -> Tensor:
    """(steps, D) from ``a`` (D,) to ``b`` (D,), both included.

    Codes of a finite grid, which come as integers, go along the straight line, rounded.
    """
    share = torch.linspace(0, 1, steps, device=a.device)[:, None]
    if not a.is_floating_point():
        return (a + share * (b - a)).round().to(a.dtype)
    lengths = a.norm(), b.norm()
    one, two = a / lengths[0].clamp(min=1e-12), b / lengths[1].clamp(min=1e-12)
    angle = torch.arccos((one @ two).clamp(-1, 1))
    if angle < _ALIGNED or torch.pi - angle < _ALIGNED:  # no circle, or no one circle, joins them
        return a + share * (b - a)
    turned = (torch.sin((1 - share) * angle) * one + torch.sin(share * angle) * two) / angle.sin()
    found: Tensor = turned * (lengths[0] + share * (lengths[1] - lengths[0]))
    return found


def between(family: Family, ends: Batch, steps: int, rng: torch.Generator) -> Batch:
    """The most likely records, ``steps`` of them, on the way between the two in ``ends``.

    Conditions are those of the nearer end. Raises ConfigError for fewer than two steps and for a
    family without a latent.
    """
    if "encode" not in family.capabilities:
        raise ConfigError(
            "this model has no latent to go through",
            hint="Train one that has: --model vae, or a stack that begins with it.",
        )
    if steps < 2:
        raise ConfigError(f"{steps} steps are no way from one record to another", hint="Ask for 2.")
    latent = family.encode(ends)
    nearer = (torch.arange(steps, device=latent.device) * 2 >= steps).long()
    names = family.space.condition.names if family.space.condition else ()
    condition = {name: ends[name][nearer] for name in names}
    path = latent_path(latent[0], latent[1], steps)
    return {**condition, **family.decode(path, condition or None, rng, 0.0)}
