"""Records of any Space as rows of numbers, for whatever measures distances or splits values.

    flat       a number as it is; a class as one of several numbers, 1/√2 each, so that two
               different classes are 1 apart
    sequence   how often each class occurs, in square roots (Hellinger)
    grid       means of patches

Numbers are in units of their spread; what never varied is left out.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gmkit.codecs import Batch
from gmkit.fields import Categorical, Field, Space
from gmkit.scoring.stored import Stored

WIDEST = 1024
"""Numbers that a grid becomes, at most."""
CLIP = 50.0
"""Spreads from the mean at which a number ends here: one wild value must not hide all others."""


class Features(Stored):
    """``chosen`` (D,): columns that vary; ``centre``, ``scale`` (D,); ``group`` (D,): columns of
    one group say the same thing and must not explain each other; ``field`` (D,): number of the
    field."""

    parts = {  # noqa: RUF012 - as declared by the base
        "chosen": torch.int64,
        "centre": torch.float32,
        "scale": torch.float32,
        "group": torch.int64,
        "field": torch.int64,
        "real": torch.bool,
    }
    chosen: Tensor
    centre: Tensor
    scale: Tensor
    group: Tensor
    field: Tensor
    real: Tensor

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = space

    def fit(self, batch: Batch) -> None:
        """Learn what varies, and how much."""
        means, deviations, group, field, real = [], [], [], [], []
        number = 0
        owners: dict[str, int] = {}
        for place, (name, kind) in enumerate(self.space.fields.items()):
            matrix = _numbers(kind, batch[name])
            width = matrix.shape[1]
            owner = name.rpartition(".")[0]
            if kind.layout == "flat" and not kind.shape:
                mine = owners.get(owner, number) if owner in self.space.fields else number
                owners[name] = mine
                groups = [mine] * width
                number += 1
            else:
                groups = list(range(number, number + width))
                number += width
            whole = matrix.double()  # field by field: all at once would be the data many times over
            mean = whole.mean(0)
            means.append(mean)
            deviations.append((whole - mean).square_().mean(0).sqrt())
            group += groups
            field += [place] * width
            real += [not isinstance(kind, Categorical)] * width
        mean, deviation = torch.cat(means), torch.cat(deviations)
        is_real = torch.tensor(real)
        varies = deviation > 1e-9 * (1 + mean.abs())
        chosen = torch.nonzero(varies)[:, 0]
        flat = is_real[chosen]
        self.keep(
            chosen=chosen,
            centre=torch.where(flat, mean[chosen], 0.0),
            scale=torch.where(flat, deviation[chosen], 1.0),
            group=torch.tensor(group)[chosen],
            field=torch.tensor(field)[chosen],
            real=flat,
        )

    @property
    def width(self) -> int:
        """Columns."""
        return len(self.chosen)

    def matrix(self, batch: Batch) -> Tensor:
        """(N, D), float32."""
        rows = len(next(iter(batch.values())))
        if not self.width:
            return torch.zeros(rows, 0)
        found = torch.empty(rows, self.width)
        many = torch.bincount(self.field, minlength=len(self.space.fields)).tolist()
        first = at = 0
        for place, (name, kind) in enumerate(self.space.fields.items()):
            mine = many[place]
            if mine:  # a field that never varied need not be looked at
                numbers = _numbers(kind, batch[name])
                if mine < numbers.shape[1]:
                    numbers = numbers[:, self.chosen[at : at + mine] - first]
                found[:, at : at + mine] = numbers
                at, first = at + mine, first + _width(kind)
            else:
                first += _width(kind)
        return found.sub_(self.centre).div_(self.scale).clamp_(-CLIP, CLIP)


def _width(kind: Field) -> int:
    """Numbers that a field of this kind becomes."""
    return _numbers(kind, torch.zeros(1, *kind.shape, dtype=kind.dtype)).shape[1]


def _numbers(kind: Field, value: Tensor) -> Tensor:
    """(N, D) of one field."""
    if isinstance(kind, Categorical):
        if kind.layout == "flat" and not kind.shape:
            return torch.nn.functional.one_hot(value.long(), kind.size).float() / math.sqrt(2)
        flat = value.reshape(len(value), -1).long()
        counts = torch.zeros(len(flat), kind.size)
        counts.scatter_add_(1, flat, torch.ones(flat.shape))
        if kind.end is not None:
            counts[:, kind.end] = 0
        return counts.sqrt()
    number = value.float()
    if kind.layout.startswith("grid"):
        number = _pooled(number)
    return number.reshape(len(number), -1)


def _pooled(grid: Tensor) -> Tensor:
    """Means of patches as large as ``WIDEST`` asks for."""
    while math.prod(grid.shape[1:]) > WIDEST and max(grid.shape[2:]) > 1:
        pool = torch.nn.functional.avg_pool1d if grid.dim() == 3 else torch.nn.functional.avg_pool2d
        grid = pool(grid, 2, ceil_mode=True)
    return grid
