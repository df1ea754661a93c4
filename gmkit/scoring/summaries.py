"""What a person would say of a field of many elements: a few numbers a record.

    sequence   length    elements before the end
               variety   entropy of its classes, in nats
               rarity    mean − log of how frequent its classes are
               oddness   mean − log of how frequent each class is after the one before it
    numbers    mean, spread; roughness: mean absolute step between neighbours

By them a record is unusual that is too plain as well: an empty page, a blank picture, one letter
over and over, each element of which is the likeliest there is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gmkit.codecs import Batch
from gmkit.fields import Categorical, Field, Real, Space
from gmkit.scoring.stored import Stored

SEQUENCE = ("length", "variety", "rarity", "oddness")
NUMBERS = ("mean", "spread", "roughness")
MOST = 1024
"""Classes up to which it is counted what comes after what."""
FEW = 0.5
"""Added to the counts of what follows a class, in shares of how frequent the follower is."""


class Summaries(Stored):
    """``single``: − log frequency of each class of the sequences, one behind the other; ``pairs``:
    the same of a class after each class; ``lowest``, ``highest``: of each summary."""

    parts = {  # noqa: RUF012
        "single": torch.float32,
        "pairs": torch.float32,
        "lowest": torch.float32,
        "highest": torch.float32,
    }
    single: Tensor
    pairs: Tensor
    lowest: Tensor
    highest: Tensor

    def __init__(self, space: Space) -> None:
        super().__init__()
        self._many: dict[str, Field] = {
            name: kind
            for name, kind in space.fields.items()
            if kind.shape and isinstance(kind, Categorical | Real)
        }
        self.owner = {f"{n}.{what}": n for n, kind in self._many.items() for what in _names(kind)}
        """Summary → the field that it is of."""
        self.fields = {name: Real() for name in self.owner}

    def fit(self, batch: Batch) -> None:
        """Count classes, and what comes after what."""
        single, pairs = [], []
        for name, kind in self._many.items():
            if not isinstance(kind, Categorical):
                continue
            value, there = _told(kind, batch[name])
            size = kind.size
            counts = torch.bincount(value[there], minlength=size).double() + FEW
            share = counts / counts.sum()
            single.append(-share.log())
            if size > MOST:
                continue
            both = there[:, 1:] & there[:, :-1]
            joint = value[:, :-1][both] * size + value[:, 1:][both]
            after = torch.bincount(joint, minlength=size * size).double().reshape(size, size)
            smoothed = after + FEW * size * share
            pairs.append(-(smoothed / smoothed.sum(1, keepdim=True)).log().flatten())
        nothing = torch.zeros(0)
        self.keep(
            single=torch.cat(single) if single else nothing,
            pairs=torch.cat(pairs) if pairs else nothing,
        )
        found = self.of(batch).values()
        lowest, highest = [v.amin() for v in found], [v.amax() for v in found]
        self.keep(
            lowest=torch.stack(lowest) if lowest else nothing,
            highest=torch.stack(highest) if highest else nothing,
        )

    def range(self, name: str) -> tuple[float, float]:
        """Between which values the summary was."""
        place = list(self.fields).index(name)
        return float(self.lowest[place]), float(self.highest[place])

    def of(self, batch: Batch) -> dict[str, Tensor]:
        """Summary → (N,), float32."""
        found: dict[str, Tensor] = {}
        one = two = 0
        for name, kind in self._many.items():
            if not isinstance(kind, Categorical):
                values = _of_numbers(batch[name].float())
            else:
                value, there = _told(kind, batch[name])
                single = self.single[one : one + kind.size]
                one += kind.size
                pairs = None
                if kind.size <= MOST:
                    pairs = self.pairs[two : two + kind.size**2]
                    two += kind.size**2
                values = _of_classes(value, there, kind.size, single, pairs)
            for what, each in zip(_names(kind), values, strict=True):
                found[f"{name}.{what}"] = each.float()
        return found


def _names(kind: Field) -> tuple[str, ...]:
    if not isinstance(kind, Categorical):
        return NUMBERS
    return SEQUENCE if kind.size <= MOST else SEQUENCE[:-1]


def _told(kind: Categorical, value: Tensor) -> tuple[Tensor, Tensor]:
    """Classes (N, L), and which of them are before the end."""
    flat = value.reshape(len(value), -1).long()
    if kind.end is None:
        return flat, torch.ones_like(flat, dtype=torch.bool)
    return flat, (flat == kind.end).cumsum(1) == 0


def _of_classes(
    value: Tensor, there: Tensor, size: int, single: Tensor, pairs: Tensor | None
) -> list[Tensor]:
    length = there.sum(1)
    many = length.clamp(min=1)
    counts = torch.zeros(len(value), size).scatter_add_(1, value, there.float())
    share = counts / many.unsqueeze(1)
    found = [length, -torch.xlogy(share, share).sum(1), (single[value] * there).sum(1) / many]
    if pairs is not None:
        both = there[:, 1:] & there[:, :-1]
        steps = pairs[value[:, :-1] * size + value[:, 1:]] * both
        found.append(steps.sum(1) / both.sum(1).clamp(min=1))
    return found


def _of_numbers(value: Tensor) -> list[Tensor]:
    flat = value.reshape(len(value), -1)
    steps = [value.diff(dim=place).abs().flatten(1) for place in range(1, value.dim())]
    along = [step for step in steps if step.shape[1]]
    rough = torch.cat(along, 1).mean(1) if along else torch.zeros(len(value))
    return [flat.mean(1), flat.std(1, unbiased=False), rough]
