"""What the networks over sequences share: which fields have positions, and how these are read."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from gmkit.codecs import Batch
from gmkit.fields import Field, Space
from gmkit.trunks.inputs import ElementInput


def split_by_layout(space: Space) -> tuple[dict[str, Field], dict[str, Field]]:
    """(sequence fields, the others). Raises ValueError for sequences of different lengths."""
    sequences = {name: f for name, f in space.fields.items() if f.layout == "sequence"}
    others = {name: f for name, f in space.fields.items() if f.layout != "sequence"}
    if len({f.shape for f in sequences.values()}) > 1:
        raise ValueError("sequence fields of one space need the same length")
    return sequences, others


class PositionInput(nn.Module):
    """Sequence fields → (B, L, width), the sum over fields at each position."""

    def __init__(self, fields: dict[str, Field], width: int) -> None:
        super().__init__()
        self.names = list(fields)  # a name may hold what a module's name may not, such as dots
        self.inputs = nn.ModuleList(ElementInput(f, width) for f in fields.values())

    def forward(self, batch: Batch) -> Tensor:
        """``batch``: name → (B, L)."""
        parts = [embed(batch[n]) for n, embed in zip(self.names, self.inputs, strict=True)]
        return torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]

    def embedded(self, embedded: Mapping[str, Tensor]) -> Tensor:
        """The same from name → (B, L, embed_dim)."""
        inputs = zip(self.names, self.inputs, strict=True)
        return torch.stack([layer(embedded[name], embedded=True) for name, layer in inputs]).sum(0)


def observed_positions(sequences: Mapping[str, Field], batch: Batch) -> Tensor | None:
    """(B, L): positions at which any sequence field is observed; None where one always is."""
    masks = [f.observed(batch[name]) for name, f in sequences.items()]
    present = [mask for mask in masks if mask is not None]
    if len(present) < len(masks):
        return None
    return torch.stack(present).any(0) if len(present) > 1 else present[0]
