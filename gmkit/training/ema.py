"""Exponential moving average of weights: what is evaluated and saved.

Averaging the last steps of training takes out the noise of single steps (Polyak & Juditsky 1992).
The decay rises as (1 + k)/(10 + k) with the steps k that the player has made whose parameters they
are, so that early steps are soon forgotten, also of one who starts late. Weights move little in a
step, so every ``EVERY``-th is taken in, with as much weight as the steps between would have had.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

EVERY = 4
"""Steps between two updates, each of which reads and writes all weights."""


class EMA:
    """Averages of a module's parameters."""

    def __init__(
        self,
        module: nn.Module,
        decay: float,
        players: Mapping[str, Iterable[nn.Parameter]] | None = None,
    ) -> None:
        """``players``: who moves which parameters; by default one moves all."""
        self.decay = decay
        self.names = [name for name, _ in module.named_parameters()]
        self.parameters: list[Tensor] = [p for _, p in module.named_parameters()]
        self.averages = [p.detach().clone() for p in self.parameters]
        owner = {id(p): name for name, owned in (players or {}).items() for p in owned}
        self.groups: dict[str, tuple[list[Tensor], list[Tensor]]] = {}
        """Player → (averages, parameters); no player: those that nobody moves."""
        for average, parameter in zip(self.averages, self.parameters, strict=True):
            group = self.groups.setdefault(owner.get(id(parameter), ""), ([], []))
            group[0].append(average)
            group[1].append(parameter)

    @torch.no_grad()
    def update(self, step: int, made: Mapping[str, int] | None = None) -> None:
        """Take in the weights after step ``step`` (from 0), if it is one of those. ``made``: steps
        each player has made until now, where not all made every one."""
        if (step + 1) % EVERY:
            return
        for player, (averages, parameters) in self.groups.items():
            steps = (made or {}).get(player, step + 1)
            decay = min(self.decay, steps / (9 + steps))
            torch._foreach_lerp_(averages, parameters, 1 - decay**EVERY)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within, the module holds the averages."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state(self) -> dict[str, Tensor]:
        """Averages by parameter name."""
        return dict(zip(self.names, self.averages, strict=True))

    @torch.no_grad()
    def load(self, state: dict[str, Tensor]) -> None:
        """Restore ``state``."""
        for name, average in zip(self.names, self.averages, strict=True):
            average.copy_(state[name])

    @torch.no_grad()
    def _swap(self) -> None:
        for parameter, average in zip(self.parameters, self.averages, strict=True):
            parameter.data, average.data = average.data, parameter.data
