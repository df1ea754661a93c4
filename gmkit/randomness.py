"""Counter-based randomness: every draw derives from (seed, purpose, counter).

Nothing has to be stored to resume: step 1,234 draws the same noise whether it is reached straight
or after a kill, and on any number of loader workers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from gmkit.seeds import derive

__all__ = ["SameDraws", "derive", "generator"]


def generator(seed: int, *path: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator for a purpose, on the device where its draws are needed."""
    rng = torch.Generator(device=device)
    rng.manual_seed(derive(seed, *path))
    return rng


class SameDraws(TorchFunctionMode):
    """Within it, every record of a batch is given the same draws: uniform, normal and integer
    tensors of ``rows`` rows are drawn for ``each`` of them, and these repeated: one a record, or as
    many as each record has rows, one behind the other. What a model makes of a record is then the
    same whatever other records come with it."""

    def __init__(self, rows: int, each: int = 1) -> None:
        """``rows`` is a multiple of ``each``."""
        super().__init__()
        self._rows, self._each = rows, each

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        shape, before = _asked(func, args, named)
        if not shape or shape[0] != self._rows:
            return func(*args, **named)
        some = func(*before, (self._each, *shape[1:]), **named)
        return some.repeat(self._rows // self._each, *(1 for _ in shape[1:]))


def _asked(
    func: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[int, ...], tuple[Any, ...]]:
    """The shape of a draw, () where it is none, and the arguments before it."""
    if func not in (torch.rand, torch.randn, torch.randint):
        return (), args
    if "size" in named:
        return tuple(named.pop("size")), args
    if args and isinstance(args[-1], list | tuple):  # a torch.Size is a tuple
        return tuple(args[-1]), args[:-1]
    if func is torch.randint:
        return (), args
    return tuple(args), ()
