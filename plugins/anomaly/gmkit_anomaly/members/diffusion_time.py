"""Diffusion time: how much noise a record looks like it had (Livernoche et al. 2024, "On diffusion
modeling for anomaly detection", the categorical form).

    x_t = √ᾱ_t x + √(1 − ᾱ_t) ε,   ᾱ_t = Π (1 − β_i),   t drawn evenly, in ``BINS`` classes
    score(x) = Σ_k k p(k | x),   p by a network that has learned to tell the class of x_t

What was never noised but lies off the data looks as if it had been.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, silu

from gmkit.fields import FieldScores
from gmkit.scoring import Rows, Scorer
from gmkit.scoring.descent import Descent

BINS = 7
TIMES = 400
BETA = (1e-4, 1e-2)
"""First and last β."""
HIDDEN = 256
STEPS = 800
BATCH = 128
RATE = 2e-3
REACH = 10.0
"""Spreads at which a number ends."""
_AT_ONCE = 512
_WEIGHTS = ("first", "second", "third")


class DiffusionTime(Scorer):
    """A perceptron of two hidden layers; the biases are the weights' last rows."""

    kind = "diffusion"
    parts = dict.fromkeys(_WEIGHTS, torch.float32)
    first: Tensor
    second: Tensor
    third: Tensor

    def fit(self, rows: Rows, rng: torch.Generator) -> None:
        """``STEPS`` of AdamW on records at random times."""
        width = rows.matrix.shape[1]
        sizes = [(width + 1, HIDDEN), (HIDDEN + 1, HIDDEN), (HIDDEN + 1, BINS)]
        drawn = [torch.randn(size, generator=rng) * math.sqrt(2 / size[0]) for size in sizes]
        for weights in drawn:
            weights[-1] = 0
        flat = torch.cat([weights.flatten() for weights in drawn])
        if width and len(rows):
            _train(flat, sizes, rows.matrix.clamp(-REACH, REACH), rng)
        self.keep(**_parts(flat, sizes))

    @torch.no_grad()
    def score(self, rows: Rows) -> FieldScores:
        """The class that is expected, 0 … ``BINS`` − 1."""
        # in double precision, and rounded: see Network
        weights = {name: getattr(self, name).double() for name in _WEIGHTS}
        classes = torch.arange(BINS, dtype=torch.float64)
        parts = [
            _logits(weights, some.double()).softmax(1) @ classes
            for some in torch.split(rows.matrix.clamp(-REACH, REACH), _AT_ONCE)
        ]
        parts.append(torch.zeros(0, dtype=torch.float64))
        return FieldScores({}, torch.cat(parts).round(decimals=9))


def _logits(weights: Mapping[str, Tensor], value: Tensor) -> Tensor:
    """(N, BINS) of values (N, D)."""
    first, second, third = (weights[name] for name in _WEIGHTS)
    hidden = silu(torch.addmm(first[-1], value, first[:-1]))
    hidden = silu(torch.addmm(second[-1], hidden, second[:-1]))
    return torch.addmm(third[-1], hidden, third[:-1])


def _parts(flat: Tensor, sizes: list[tuple[int, int]]) -> dict[str, Tensor]:
    """Views of one tensor."""
    pieces = torch.split(flat, [math.prod(size) for size in sizes])
    return {n: p.view(size) for n, p, size in zip(_WEIGHTS, pieces, sizes, strict=True)}


def _train(flat: Tensor, sizes: list[tuple[int, int]], known: Tensor, rng: torch.Generator) -> None:
    """The rate falls to zero."""
    kept = torch.cumprod(1 - torch.linspace(*BETA, TIMES, dtype=torch.float64), 0).float()
    flat.requires_grad_()
    descent = Descent(flat, decay=1e-2)
    size = min(BATCH, len(known))
    with torch.enable_grad():
        for step in range(STEPS):
            some = known[torch.randint(len(known), (size,), generator=rng)]
            time = torch.randint(TIMES, (size,), generator=rng)
            share = kept[time].unsqueeze(1)
            noise = torch.randn(some.shape, generator=rng)
            noisy = share.sqrt() * some + (1 - share).sqrt() * noise
            loss = cross_entropy(_logits(_parts(flat, sizes), noisy), time * BINS // TIMES)
            (slope,) = torch.autograd.grad(loss, flat)
            descent.step(slope, RATE * (1 - step / STEPS))
    flat.requires_grad_(False)
