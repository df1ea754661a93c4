"""Records in blocks that are always of the same number of rows.

A matrix product of other sizes adds up in another order, and a record's score must not depend on
how many others come with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from gmkit.codecs import Batch
from gmkit.fields import FieldScores, Space
from gmkit.randomness import SameDraws, generator

NUMBERS = 1 << 18
"""In a block, about,"""
STEP, MOST = 48, 960
"""Its rows: steps of a multiple of what a product of matrices takes at once, so that a row's place
in the block does not matter, up to these many."""


def blocks(matrix: Tensor, size: int) -> Iterator[Tensor]:
    """(size, D) each, the last filled up with zeros."""
    for some in torch.split(matrix, size):
        if len(some) < size:
            some = torch.cat([some, some.new_zeros(size - len(some), *some.shape[1:])])
        yield some


def scored_alike(
    space: Space, batch: Batch, score: Callable[[Batch, torch.Generator], FieldScores]
) -> FieldScores:
    """What ``score`` says of the records, each of which is given the same draws."""
    batch = space.full(batch)
    rows = len(next(iter(batch.values())))
    size = STEP * max(1, min(MOST, NUMBERS // max(1, space.elements)) // STEP)
    totals: list[Tensor] = [torch.zeros(0)]
    parts: dict[str, list[Tensor]] = {}
    for begin in range(0, rows, size):
        some = {name: value[begin : begin + size] for name, value in batch.items()}
        lack = size - len(next(iter(some.values())))
        if lack:  # filled up by the first of them, which is a record like any
            some = {
                name: torch.cat([value, value[:1].expand(lack, *value.shape[1:])])
                for name, value in some.items()
            }
        with SameDraws(size):
            found = score(some, generator(0, "scores"))
        totals.append(found.total[: size - lack])
        for name, value in found.fields.items():
            parts.setdefault(name, []).append(value[: size - lack])
    fields = {name: torch.cat(values) for name, values in parts.items()}
    return FieldScores(fields, torch.cat(totals))
