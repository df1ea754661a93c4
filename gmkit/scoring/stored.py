"""Modules whose tensors have the sizes that the data gave them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import nn

from gmkit.errors import ArtifactError


class Stored(nn.Module):
    """A module of buffers that are empty until something is learned. ``parts``: their types."""

    parts: ClassVar[Mapping[str, torch.dtype]] = {}

    def __init__(self) -> None:
        super().__init__()
        for name, kind in self.parts.items():
            self.register_buffer(name, torch.empty(0, dtype=kind))

    def keep(self, **values: Any) -> None:
        """Set buffers, from arrays or tensors."""
        for name, value in values.items():
            setattr(self, name, torch.as_tensor(value).to(self.parts[name]).contiguous())

    def make_room(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Empty buffers of these shapes, in those below too. Raises ArtifactError for others."""
        below: dict[str, dict[str, tuple[int, ...]]] = {}
        for name, shape in shapes.items():
            child, _, rest = name.partition(".")
            if rest:
                below.setdefault(child, {})[rest] = shape
            elif name in self.parts:
                setattr(self, name, torch.zeros(shape, dtype=self.parts[name]))
            else:
                raise ArtifactError(f"the stored model has a tensor {name[:80]!r}, no scorer's")
        make_room(self, below)


def make_room(module: nn.Module, shapes: Mapping[str, Mapping[str, tuple[int, ...]]]) -> None:
    """In a module's children by name. Raises ArtifactError where there is none of that name."""
    for child, rest in shapes.items():
        part = getattr(module, child, None)
        if isinstance(part, nn.ModuleList | nn.ModuleDict):
            nested: dict[str, dict[str, tuple[int, ...]]] = {}
            for name, shape in rest.items():
                key, _, inner = name.partition(".")
                nested.setdefault(key, {})[inner] = shape
            make_room(part, nested)
            continue
        if isinstance(module, nn.ModuleList | nn.ModuleDict):
            part = module._modules.get(child)
        if not isinstance(part, Stored):
            raise ArtifactError(f"the stored model has a part {child[:80]!r}, which is no scorer's")
        part.make_room(rest)
