"""How grid fields enter a convolutional network, and how parameters leave it.

The fields of a grid space lie over one another as channels. Of a large record, patches become
positions of the finest level ("pixel unshuffle", Shi et al. 2016).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gmkit.codecs import Batch
from gmkit.fields import Field, Space
from gmkit.fields.space import Params
from gmkit.trunks.conv import conv
from gmkit.trunks.inputs import ElementInput, VectorOutput
from gmkit.trunks.levels import Plan

COLUMNS = 16
"""Channels of an element at most: with more classes it enters by a table of so many columns
instead of one-hot. 256 grey levels would be 256 planes."""


def split_grids(space: Space) -> tuple[dict[str, Field], dict[str, Field]]:
    """(grid fields, those that enter as a vector). Raises ValueError for grids of different sizes,
    or a sequence beside them."""
    grids = {name: f for name, f in space.fields.items() if f.layout == space.layout}
    others = {name: f for name, f in space.fields.items() if f.layout != space.layout}
    sizes = {name: f.shape[1:] for name, f in grids.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"grid fields of one space need the same size, not {sizes}")
    for name, f in others.items():
        if f.layout == "sequence":
            raise ValueError(
                f"field {name!r} is a sequence beside a {space.layout}: make it a condition, or "
                "model the two apart"
            )
    return grids, others


def grid_size(space: Space) -> tuple[int, ...]:
    """(T,) or (H, W) of the grid fields."""
    return next(f.shape[1:] for f in space.fields.values() if f.layout == space.layout)


class Planes(nn.Module):
    """A grid field → channels, (B, C · dimensions, H, W); one dimension has height 1."""

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.field = field
        columns = _columns(field)
        self.table = None if columns == field.embed_dim else ElementInput(field, columns)

    def forward(self, value: Tensor, *, embedded: bool = False) -> Tensor:
        """``value``: (B, C, T) or (B, C, H, W), of which unobserved elements count as zero; or,
        ``embedded``, what the field's ``embed`` makes of it."""
        if embedded:
            return _planes(value if self.table is None else self.table(value, embedded=True))
        found = self.field.embed(value) if self.table is None else self.table(value)
        observed = self.field.observed(value)
        return _planes(found if observed is None else found * observed.unsqueeze(-1))


class PatchInput(nn.Module):
    """Grid fields → (B, channels, H, W) of the finest level, channels-last in memory."""

    def __init__(self, fields: dict[str, Field], plan: Plan) -> None:
        super().__init__()
        self.names = list(fields)  # a name may hold what a module's name may not, such as dots
        self.planes = nn.ModuleList(Planes(f) for f in fields.values())
        self.patch = plan.patch
        inside = sum(f.shape[0] * _columns(f) for f in fields.values())
        self.conv = conv(inside * plan.patch[0] * plan.patch[1], plan.finest.channels, plan.kernel)

    def forward(self, batch: Batch) -> Tensor:
        """``batch``: name → (B, C, T) or (B, C, H, W)."""
        return self._read([p(batch[n]) for n, p in zip(self.names, self.planes, strict=True)])

    def embedded(self, embedded: Mapping[str, Tensor]) -> Tensor:
        """The same from name → (B, *shape, embed_dim)."""
        pairs = zip(self.names, self.planes, strict=True)
        return self._read([planes(embedded[name], embedded=True) for name, planes in pairs])

    def _read(self, planes: list[Tensor]) -> Tensor:
        return self.conv(to_patches(torch.cat(planes, dim=1), self.patch))


class PatchOutput(nn.Module):
    """(B, channels, H, W) of the finest level → parameters of the grid fields."""

    def __init__(self, fields: dict[str, Field], plan: Plan) -> None:
        super().__init__()
        self.fields = fields
        self.patch = plan.patch
        self.counts = [f.shape[0] * f.param_dim for f in fields.values()]
        total = sum(self.counts) * plan.patch[0] * plan.patch[1]
        self.conv = conv(plan.finest.channels, total, plan.kernel)

    def forward(self, hidden: Tensor) -> Params:
        """Name → (B, *shape, param_dim)."""
        planes = from_patches(self.conv(hidden), self.patch)
        found = {}
        parts = torch.split(planes, self.counts, dim=1)
        for (name, kind), part in zip(self.fields.items(), parts, strict=True):
            H, W = (1, *kind.shape[1:])[-2:]
            part = part[:, :, :H, :W].reshape(len(hidden), kind.shape[0], kind.param_dim, H, W)
            found[name] = part.movedim(2, -1).reshape(len(hidden), *kind.shape, kind.param_dim)
        return found


class BesideOutput(nn.Module):
    """Parameters of the fields beside a grid, from the mean of its bottom level and the context."""

    def __init__(self, fields: dict[str, Field], channels: int, context: int) -> None:
        super().__init__()
        self.pooled = nn.Linear(channels, context)
        self.output = VectorOutput(fields, context)

    def forward(self, bottom: Tensor, context: Tensor) -> Params:
        """(B, channels, H, W) and (B, context) → name → (B, *shape, param_dim)."""
        return self.output(context + F.silu(self.pooled(bottom.mean((2, 3)))))


def to_patches(planes: Tensor, patch: tuple[int, int]) -> Tensor:
    """(B, C, H, W) → (B, C · p · q, ⌈H/p⌉, ⌈W/q⌉), channels-last; zeros beyond the edge."""
    p, q = patch
    B, C, H, W = planes.shape
    if H % p or W % q:
        planes = F.pad(planes, (0, -W % q, 0, -H % p))
    cut = planes.reshape(B, C, -(-H // p), p, -(-W // q), q).permute(0, 2, 4, 1, 3, 5)
    return cut.flatten(3).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def from_patches(planes: Tensor, patch: tuple[int, int]) -> Tensor:
    """(B, C · p · q, h, w) → (B, C, p · h, q · w)."""
    p, q = patch
    B, _, h, w = planes.shape
    return planes.reshape(B, -1, p, q, h, w).permute(0, 1, 4, 2, 5, 3).reshape(B, -1, p * h, q * w)


def _columns(field: Field) -> int:
    """Channels of one element."""
    return min(field.embed_dim, COLUMNS)


def _planes(value: Tensor) -> Tensor:
    """(B, C, T, E) or (B, C, H, W, E) → (B, C · E, 1 or H, T or W)."""
    B, C, E = value.shape[0], value.shape[1], value.shape[-1]
    H, W = (1, *value.shape[2:-1])[-2:]
    return value.movedim(-1, 2).reshape(B, C * E, H, W)
