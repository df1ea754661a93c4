"""Gradients of single records, without making them where only their lengths and sum are wanted.

A linear map's gradient for a record is g aᵀ, of its output's gradient g and its input a (of T rows
each for a sequence, or a map that is used T times). Its length and a weighted sum over records come
from the factors alone:

    |Σ_t g_t a_tᵀ|² = Σ_ts (g_t · g_s)(a_t · a_s)        Σ_i w_i Σ_t g_it a_itᵀ

Goodfellow 2015, "Efficient per-example gradient computations"; Bu et al. 2023, "Differentially
private optimization on large model at small cost" ("book-keeping": one backward pass). Other
layers' gradients are made by Opacus' hooks.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from gmkit.families import Family

Factors = tuple[Tensor, Tensor]
"""Gradients of outputs (B, T, O) and inputs (B, T, I)."""


class RecordGradients:
    """Hooks on a family that keep what each record has to say of every parameter."""

    def __init__(self, family: Family) -> None:
        """Raises NotImplementedError or ValueError for networks whose records cannot be told
        apart."""
        self._family = family
        self._factors: dict[Tensor, list[Factors]] = {}
        self._hooks = _hooks_class()(family, self._keep)

    def _keep(self, module: nn.Linear, inputs: Tensor, outputs: Tensor) -> None:
        """Of one use of a linear map; (B, …, I) and (B, …, O)."""
        rows = len(outputs)
        g, a = (
            outputs.reshape(rows, -1, outputs.shape[-1]),
            inputs.reshape(rows, -1, inputs.shape[-1]),
        )
        if module.weight.requires_grad:
            self._factors.setdefault(module.weight, []).append((g, a))
        if module.bias is not None and module.bias.requires_grad:
            ones = torch.ones(rows, g.shape[1], 1, dtype=g.dtype, device=g.device)
            self._factors.setdefault(module.bias, []).append((g, ones))

    def clear(self) -> None:
        """Forget the last batch."""
        self._factors.clear()
        for parameter in self._family.parameters():
            parameter.grad_sample = None  # type: ignore[attr-defined]

    def lengths(self) -> Tensor | None:
        """The length of each record's whole gradient, (B,); None where nothing was kept."""
        squares = [s for p in self._family.parameters() if (s := self._square(p)) is not None]
        return torch.stack(squares).sum(0).clamp(min=0).sqrt() if squares else None

    def weighted(self, parameter: nn.Parameter, weights: Tensor) -> Tensor | None:
        """Σ_i w_i g_i of one parameter. Records of weight 0 count as nothing, whatever their
        gradients are."""
        made, factors = parameter.grad_sample, self._together(parameter)  # type: ignore[attr-defined]
        total = None
        if made is not None:
            total = torch.einsum("n,n...->...", weights, made.nan_to_num())
        if factors is not None:
            g, a = factors
            scaled = g.nan_to_num() * weights[:, None, None]
            summed = scaled.flatten(0, 1).T @ a.nan_to_num().flatten(0, 1)
            total = summed.reshape(parameter.shape) + (0.0 if total is None else total)
        return total

    def _square(self, parameter: nn.Parameter) -> Tensor | None:
        made, factors = parameter.grad_sample, self._together(parameter)  # type: ignore[attr-defined]
        if factors is None:
            return None if made is None else made.flatten(1).square().sum(1)
        g, a = factors
        steps, across, down = g.shape[1], g.shape[2], a.shape[2]
        if made is None and steps * (across + down) <= across * down:
            return ((g @ g.mT) * (a @ a.mT)).sum((1, 2))
        whole = (g.mT @ a).reshape(len(g), *parameter.shape)
        return (whole if made is None else whole + made).flatten(1).square().sum(1)

    def _together(self, parameter: nn.Parameter) -> Factors | None:
        """Of all uses, one after the other."""
        kept = self._factors.get(parameter)
        if kept is None:
            return None
        outputs, inputs = zip(*kept, strict=True)
        return torch.cat(outputs, 1), torch.cat(inputs, 1)

    def close(self) -> None:
        """Take the hooks off again."""
        self._hooks.remove_hooks()
        self._factors.clear()
        for parameter in self._family.parameters():
            if hasattr(parameter, "grad_sample"):
                del parameter.grad_sample


@cache
def _hooks_class() -> Any:
    """Opacus' hooks, but for linear maps; made on first use, as Opacus is optional."""
    from opacus.grad_sample import GradSampleModule

    class Hooks(GradSampleModule):  # type: ignore[misc]
        def __init__(self, family: nn.Module, keep: Any) -> None:
            object.__setattr__(self, "_keep_factors", keep)
            super().__init__(family, loss_reduction="mean")

        def capture_backprops_hook(
            self,
            module: nn.Module,
            inputs: Any,
            outputs: Any,
            loss_reduction: str,
            batch_first: bool,
        ) -> None:
            if type(module) is not nn.Linear:
                super().capture_backprops_hook(module, inputs, outputs, loss_reduction, batch_first)
                return
            if not self.hooks_enabled:
                return
            activations, backprops = self.rearrange_grad_samples(
                module=module,
                backprops=outputs[0].detach(),
                loss_reduction=loss_reduction,
                batch_first=batch_first,
            )
            self._keep_factors(module, activations[0], backprops)
            for parameter in module.parameters():
                if parameter.requires_grad:
                    parameter._forward_counter -= 1  # type: ignore[attr-defined]
            if not module.activations:
                del module.max_batch_len

    return Hooks
