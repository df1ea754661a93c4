"""Optimisers of a player's parameters, their learning-rate schedule, their state as tensors."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gmkit.config import TrainingConfig
from gmkit.training.muon import Muon

MUON_SCALE = 10.0
"""Muon's updates have unit spectral norm, so its rate is this multiple of AdamW's."""


class Optimiser:
    """AdamW (fused), or Muon on the matrices of hidden layers with AdamW on the rest.

    Loshchilov & Hutter 2019 (AdamW); Jordan et al. 2024 (Muon: the momentum is orthogonalised by
    Newton-Schulz iterations, so that every direction of a weight matrix learns alike).
    """

    def __init__(
        self,
        named: Mapping[str, nn.Parameter],
        config: TrainingConfig,
        betas: tuple[float, float] = (0.9, 0.98),
    ) -> None:
        """``named``: parameters of one player; ``betas``: what suits it, unless configured."""
        if not config.compile:
            _spare_compiler()
        self.parameters = list(named.values())
        self.base = config.learning_rate
        parts: list[torch.optim.Optimizer] = []
        matrices = [
            p for name, p in named.items() if config.optimiser == "muon" and _hidden(name, p)
        ]
        chosen = {id(p) for p in matrices}
        rest = [p for p in self.parameters if id(p) not in chosen]
        if matrices:
            rate = self.base * MUON_SCALE
            parts.append(Muon(matrices, lr=rate, weight_decay=config.weight_decay))
        decayed = [p for p in rest if p.dim() >= 2]
        plain = [p for p in rest if p.dim() < 2]  # biases and norm gains are not pulled to zero
        groups = [
            {"params": decayed, "weight_decay": config.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        groups = [group for group in groups if group["params"]]
        if groups:
            moments = config.betas or betas
            parts.append(torch.optim.AdamW(groups, lr=self.base, betas=moments, fused=True))
        self.parts = parts
        self.steps = 0
        """Steps taken, by which the rate warms up: players may start at different times."""
        self._rates = [group["lr"] for part in parts for group in part.param_groups]
        self._groups = self._found_groups()

    def _found_groups(self) -> list[tuple[dict[str, Any], float]]:
        """Parameter groups with their configured learning rates."""
        groups = [group for part in self.parts for group in part.param_groups]
        return list(zip(groups, self._rates, strict=True))

    def set_rate(self, factor: float) -> None:
        """Learning rates as a share of their configured values."""
        for group, rate in self._groups:
            group["lr"] = rate * factor

    @torch.no_grad()
    def clip(self, limit: float) -> bool:
        """Scale the gradients down to a joint norm of ``limit`` (0: no limit; Pascanu et al.
        2013). False when the norm is not finite."""
        grads = [p.grad for p in self.parameters if p.grad is not None]
        norm = float(torch.nn.utils.get_total_norm(grads, foreach=True))
        if not math.isfinite(norm):
            return False
        if 0 < limit < norm:  # most steps of a settled training need no scaling
            torch._foreach_mul_(grads, limit / norm)
        return True

    @torch.no_grad()
    def step(self) -> None:
        """Apply and clear the gradients."""
        for part in self.parts:
            # as they are, without what torch's compiler is told around them: see _spare_compiler
            inspect.unwrap(type(part).step)(part)
        self.steps += 1
        self.clear()

    def clear(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def state(self) -> dict[str, Tensor]:
        """All of the optimisers' memory, as named tensors."""
        slots = {
            f"{number}.{index}.{key}": value
            for number, part in enumerate(self.parts)
            for index, slots in part.state_dict()["state"].items()
            for key, value in slots.items()
        }
        return {"steps": torch.tensor(self.steps), **slots}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore ``state``."""
        self.steps = int(state.get("steps", 0))
        slotted = {name: value for name, value in state.items() if name != "steps"}
        for number, part in enumerate(self.parts):
            slots: dict[int, dict[str, Tensor]] = {}
            for name, value in slotted.items():
                owner, index, key = name.split(".", 2)
                if int(owner) == number:
                    slots.setdefault(int(index), {})[key] = value
            part.load_state_dict({**part.state_dict(), "state": slots})
        self._groups = self._found_groups()  # torch puts new ones in their place


def rate_factor(step: int, progress: float, config: TrainingConfig) -> float:
    """Linear warm-up, then a cosine to ``min_learning_rate`` (Loshchilov & Hutter 2017)."""
    warm = min(1.0, (step + 1) / max(1, config.warmup))
    low = config.min_learning_rate
    return warm * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def _hidden(name: str, parameter: nn.Parameter) -> bool:
    """Whether Muon suits it: a matrix between hidden layers, not an embedding or an output."""

    return parameter.dim() == 2 and ".body." in name


def _spare_compiler() -> None:
    """torch loads its compiler, which takes three seconds, to tell it that methods of optimisers
    are not to be compiled. Where nothing is compiled they can be what they are; each remembers
    under this name what to call (``torch._compile._disable_dynamo``, 2.14). Without effect in a
    version that does it in another way."""
    for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
        plain = getattr(getattr(torch.optim.Optimizer, name, None), "__wrapped__", None)
        if plain is not None and not hasattr(plain, "__dynamo_disable"):
            setattr(plain, "__dynamo_disable", plain)
