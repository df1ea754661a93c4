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

    def forward(self, value: Tensor, *, embedded: bool = False) -> Tensor:
        """``value``: (B, *shape), or what the field's ``embed`` makes of it."""
        if embedded:
            return value @ self.weight
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
        embedded = {}
        for name, kind in self.fields.items():
            observed = kind.observed(batch[name])
            value = kind.embed(batch[name])
            embedded[name] = value if observed is None else value * observed.unsqueeze(-1)
        return self.embedded(embedded)

    def embedded(self, embedded: Mapping[str, Tensor]) -> Tensor:
        """The same from name → (B, *shape, embed_dim)."""
        return self.linear(torch.cat([embedded[name].flatten(1) for name in self.fields], dim=1))


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
    """Conditions → (B, width); None when the space has none. ``withheld``: they may be dropped."""

    def __init__(self, space: Space, width: int, *, withheld: bool = False) -> None:
        super().__init__()
        fields = dict(space.condition.fields) if space.condition else {}
        self.vector = VectorInput(fields, width) if fields else None
        self.withheld = nn.Parameter(torch.zeros(width)) if fields and withheld else None

    def forward(self, batch: Batch, drop: Tensor | None = None) -> Tensor | None:
        """From the condition fields of ``batch``; a learned vector where ``drop`` (B,) is True."""
        if self.vector is None:
            return None
        found = self.vector(batch)
        if drop is None or self.withheld is None:
            return found
        return torch.where(drop[:, None], self.withheld, found)


class TimeInput(nn.Module):
    """Times (B,) ∈ [0, 1] → (B, width): sines of many wavelengths (Vaswani et al. 2017; Ho et al.
    2020) through a small perceptron."""

    WAVES = 32

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * self.WAVES, width), nn.SiLU(), nn.Linear(width, width)
        )

    def forward(self, time: Tensor) -> Tensor:
        """Angles t · 1000 · 10⁻⁴ … t · 1000, as for the thousand steps of a discrete chain."""
        powers = torch.arange(self.WAVES, device=time.device) / (self.WAVES - 1)
        angles = 1000.0 * time[:, None].float() * 10_000.0 ** (-powers)
        return self.layers(torch.cat((angles.sin(), angles.cos()), dim=1))


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
