"""How fields enter a network, and how parameters leave it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gmkit.codecs import Batch
from gmkit.fields import Categorical, Field, Space


class ElementInput(nn.Module):
    """A field → (B, *shape, width): a linear map of each element's embedding.

    For classes given as integers the map is a table lookup, the same as one-hot times the
    matrix but without the one-hot; embedded (soft) values go through the matrix.
    """

    def __init__(self, field: Field, width: int) -> None:
        super().__init__()
        self.field = field
        self.weight = nn.Parameter(torch.randn(field.embed_dim, width) * width**-0.5)

    def forward(self, value: Tensor) -> Tensor:
        """``value``: (B, *shape)."""
        if isinstance(self.field, Categorical):
            inside = value.clamp(max=self.field.size - 1)
            found = F.embedding(inside, self.weight)
            return found * (value < self.field.size).unsqueeze(-1)  # masked: zeros
        return self.field.embed(value) @ self.weight


class VectorInput(nn.Module):
    """All given fields → one vector (B, width): a linear map of everything, flattened."""

    def __init__(self, fields: dict[str, Field], width: int) -> None:
        super().__init__()
        self.fields = fields
        total = sum(torch.Size(f.shape).numel() * f.embed_dim for f in fields.values())
        self.linear = nn.Linear(total, width)

    def forward(self, batch: Batch) -> Tensor:
        """Unobserved elements count as zero."""
        parts = []
        for name, kind in self.fields.items():
            embedded = kind.embed(batch[name])
            observed = kind.observed(batch[name])
            if observed is not None:
                embedded = embedded * observed.unsqueeze(-1)
            parts.append(embedded.flatten(1))
        return self.linear(torch.cat(parts, dim=1))


class VectorOutput(nn.Module):
    """(B, width) → parameters of the given fields, each (B, *shape, param_dim)."""

    def __init__(self, fields: dict[str, Field], width: int) -> None:
        super().__init__()
        self.fields = fields
        self.sizes = [torch.Size(f.shape).numel() * f.param_dim for f in fields.values()]
        self.linear = nn.Linear(width, sum(self.sizes))

    def forward(self, hidden: Tensor) -> dict[str, Tensor]:
        """Name → parameters."""
        parts = self.linear(hidden).split(self.sizes, dim=1)
        return {
            name: part.reshape(len(hidden), *kind.shape, kind.param_dim)
            for (name, kind), part in zip(self.fields.items(), parts, strict=True)
        }


class ConditionInput(nn.Module):
    """Conditions → (B, width); None when the space has none."""

    def __init__(self, space: Space, width: int) -> None:
        super().__init__()
        fields = dict(space.condition.fields) if space.condition else {}
        self.vector = VectorInput(fields, width) if fields else None

    def forward(self, batch: Batch) -> Tensor | None:
        """From the condition fields of ``batch``."""
        return None if self.vector is None else self.vector(batch)


def add(hidden: Tensor, extra: Tensor | None) -> Tensor:
    """``hidden`` plus an optional vector per record."""
    return hidden if extra is None else hidden + extra


def put_known(drawn: Batch, given: Batch | None, known: Mapping[str, Tensor] | None) -> Batch:
    """``drawn`` with the elements that are known put back."""
    if given is None or known is None:
        return drawn
    return {
        name: torch.where(known[name], given[name], value) if name in known else value
        for name, value in drawn.items()
    }
