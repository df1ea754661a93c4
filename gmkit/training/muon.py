"""Muon: momentum whose matrices are orthogonalised, so that all directions learn alike.

Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks": with momentum
M ← μM + (1 − μ)G, the step is −η U Vᵀ of (1 − μ)G + μM (Nesterov), where U Vᵀ comes from five
Newton-Schulz iterations X ← aX + (bA + cA²)X, A = XXᵀ, without a singular value decomposition.

torch.optim.Muon iterates in bfloat16, which a processor without bf16 units does some 60 times
slower than float32; here the number format follows the device, and matrices of one shape are
iterated together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""a, b, c of the quintic iteration, from the source above."""
ITERATIONS = 5


def orthogonalised(matrices: Tensor) -> Tensor:
    """About U Vᵀ of each of (K, rows, columns) = U S Vᵀ; singular values come out in 0.7 … 1.2."""
    a, b, c = COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    x: Tensor = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = a * x + torch.baddbmm(gram, gram, gram, beta=b, alpha=c) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """For two-dimensional weights of hidden layers."""

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            list(params), {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Apply the gradients."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes.setdefault(parameter.shape, []).append(parameter)
            for shape, parameters in shapes.items():
                momenta = [self._momentum(p) for p in parameters]
                gradients = [p.grad for p in parameters if p.grad is not None]
                torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
                ahead = torch._foreach_lerp(gradients, momenta, group["momentum"])
                updates = orthogonalised(self._for_iteration(torch.stack(ahead)))
                # the scale keeps the change of an output's size alike for any matrix shape
                rate = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(
                    parameters, list(updates.to(parameters[0].dtype).unbind()), alpha=-rate
                )

    def _momentum(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum: Tensor = state["momentum"]
        return momentum

    @staticmethod
    def _for_iteration(stacked: Tensor) -> Tensor:
        return stacked.bfloat16() if stacked.is_cuda else stacked.float()
