"""How a trained model proposes records: all of it, near others, between two, or a part anew.

The model takes the place of hand-written mutations and crossings: what it proposes looks like what
it was trained on. Which ways there are follows from its capabilities, for any Space.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gmkit.codecs import Batch
from gmkit.families import Family
from gmkit.fields import Categorical, Field

__all__ = ["PART", "TEMPERATURE", "Operator", "operators", "spans"]

Operator = Callable[[Batch, torch.Generator], Batch]
"""Parents (n records, whole length) → n proposals."""

PART = "part"
"""The operator that draws a part of each parent anew."""
TEMPERATURE = 0.8
"""Of what is drawn near a parent: a little safer than the data."""
NEAR = (0.1, 0.8)
"""Standard deviation of a step in the latent, drawn evenly from this, in units of the prior's."""
LONGEST_SPAN, STRETCH = 0.5, 2
"""Share of a sequence that is drawn anew at most; elements by which it may grow or shrink."""


def operators(family: Family) -> dict[str, Operator]:
    """Name → operator, of those the family is capable of."""
    found: dict[str, Operator] = {"fresh": _fresh(family)}
    if "encode" in family.capabilities and family.latent_field().dtype.is_floating_point:
        found |= {"near": _near(family), "between": _between(family)}
    if "complete" in family.capabilities:
        found[PART] = _part(family)
    return found


def _fresh(family: Family) -> Operator:
    def propose(parents: Batch, rng: torch.Generator) -> Batch:
        return family.sample(_rows(parents), _conditions(family, parents), rng)

    return propose


def _near(family: Family) -> Operator:
    """z + σ ε for latents z of the parents."""

    def propose(parents: Batch, rng: torch.Generator) -> Batch:
        latent = family.encode(family.space.trim(parents))
        low, high = NEAR
        spread = low + (high - low) * _uniform((len(latent), 1), rng, latent)
        noise = torch.randn(latent.shape, generator=rng, device=rng.device).to(latent)
        moved = latent + spread * noise
        return family.decode(moved, _conditions(family, parents), rng, TEMPERATURE)

    return propose


def _between(family: Family) -> Operator:
    """Between each parent and another of them, in the latent."""

    def propose(parents: Batch, rng: torch.Generator) -> Batch:
        latent = family.encode(family.space.trim(parents))
        others = latent[torch.randperm(len(latent), generator=rng, device=rng.device)]
        share = _uniform((len(latent), 1), rng, latent)
        mixed = latent + share * (others - latent)
        return family.decode(mixed, _conditions(family, parents), rng, TEMPERATURE)

    return propose


def _part(family: Family) -> Operator:
    """A part of each parent drawn anew, given the rest."""

    def propose(parents: Batch, rng: torch.Generator) -> Batch:
        given, known = dict(parents), {}
        for name, kind in family.space.fields.items():
            given[name], known[name] = spans(kind, parents[name], rng)
            if kind.layout == "sequence" and not family.looks_ahead:  # to the end, then
                known[name] &= (~known[name]).cumsum(1) == 0
        return family.complete(given, known, rng)

    return propose


def spans(kind: Field, value: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """(value, known): of a sequence that can end, one run of elements is unknown, a few more or
    fewer than it replaces, and what follows moves along; of any other field, a random share of
    the elements."""
    if not (isinstance(kind, Categorical) and kind.end is not None and value.dim() == 2):
        share = _uniform((len(value), *[1] * (value.dim() - 1)), rng, value.float())
        kept = _uniform(tuple(value.shape), rng, value.float()) > share * LONGEST_SPAN
        return value, kept
    rows, width = value.shape
    length = kind.length_of(value)
    one = torch.ones_like(length)

    def drawn(most: Tensor) -> Tensor:
        """0 … most, evenly."""
        return (_uniform((rows,), rng, most.float()) * (most + 1)).long().clamp(max=most)

    size = 1 + drawn(((length * LONGEST_SPAN).long() - 1).clamp(min=0))
    size = torch.minimum(size, length)
    start = drawn(length - size)
    change = drawn(2 * STRETCH * one) - STRETCH
    # neither longer than there is room for, nor empty
    change = torch.minimum(change, width - 1 - length)
    change = torch.maximum(change, 1 - torch.maximum(size, one)).clamp(min=1 - width)
    place = torch.arange(width, device=value.device)[None]
    stop = (start + size + change)[:, None]
    moved = torch.where(place < stop, place, (place - change[:, None]).clamp(0, width - 1))
    shifted = value.gather(1, moved)
    known = (place < start[:, None]) | (place >= stop)
    ended = place >= (length + change)[:, None]
    return torch.where(ended, torch.full_like(shifted, kind.end), shifted), known


def _uniform(shape: tuple[int, ...], rng: torch.Generator, like: Tensor) -> Tensor:
    return torch.rand(shape, generator=rng, device=rng.device).to(like)


def _conditions(family: Family, parents: Batch) -> Batch | None:
    condition = family.space.condition
    return None if condition is None else {name: parents[name] for name in condition.names}


def _rows(batch: Batch) -> int:
    return len(next(iter(batch.values())))
