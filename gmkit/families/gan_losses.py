"""What a critic and a generator minimise, and how a critic's slope is held down.

With D a critic's score of a real record x or a generated one G(z), s(t) = log(1 + eᵗ), so that
− log σ(t) = s(−t):

    minimax       critic E s(−D(x)) + E s(D(G))          generator − E s(D(G))
    nonsaturating         the same                                 E s(−D(G))
        Goodfellow et al. 2014, eq. 1 and section 3
    hinge         critic E (1 − D(x))₊ + E (1 + D(G))₊    generator − E D(G)
        Lim & Ye 2017; Miyato et al. 2018, eq. 16 and 17
    wasserstein   critic E D(G) − E D(x)                  generator − E D(G)
        Arjovsky et al. 2017, eq. 2
    relativistic  critic E s(−(D(x) − D(G)))              generator E s(−(D(G) − D(x)))
        Jolicoeur-Martineau 2018, section 4.1; pairs one real with one generated record. With R1 and
        R2 it has no minimum that forgets a mode and converges locally (Huang et al. 2024, R3GAN)

Penalties, added to a critic's loss. Zero-centred, on real (R1) and generated (R2) records
(Mescheder et al. 2018, eq. 9; Roth et al. 2017):

    γ/2 (E‖∇D(x)‖² + E‖∇D(G)‖²)

    exact   by a second derivative
    finite  E‖∇D(x)‖² ≈ E ((D(x + σu) − D(x))/σ)² with u ~ N(0, I), for E[(u·∇D)²] = ‖∇D‖²: two
            further scores and no second derivative (Lin et al. 2025, "Diffusion adversarial
            post-training", section 3.3, without the division)

Wasserstein's, with x̂ = x + e (G − x), e ~ U(0, 1):

    exact   γ E(‖∇D(x̂)‖ − 1)₊²  (Gulrajani et al. 2017, eq. 3, one-sided as in Petzka et al. 2018,
            eq. 8: the two-sided form makes a critic slope even where records agree, and has a
            minimum at the wrong sign, which lost a plain Gaussian in one dimension and in two)
    finite  γ E(|D(x̂) − D(x)|/‖x̂ − x‖ − 1)₊² and the same towards G: a critic whose slope is at most
            one rises by at most one a unit of length (Petzka et al. 2018, eq. 7)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Loss = Literal["minimax", "nonsaturating", "hinge", "wasserstein", "relativistic"]
Embedded = Mapping[str, Tensor]
"""Field name → (B, *shape, embed_dim)."""


def critic_loss(loss: Loss, real: Tensor, fake: Tensor) -> Tensor:
    """The critic's, a scalar, from scores (B,) of real and generated records."""
    if loss == "hinge":
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    if loss == "wasserstein":
        return fake.mean() - real.mean()
    if loss == "relativistic":
        return F.softplus(fake - real).mean()
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_loss(loss: Loss, fake: Tensor, real: Tensor | None = None) -> Tensor:
    """The generator's, a scalar; only ``relativistic`` looks at ``real``."""
    if loss == "relativistic":
        assert real is not None
        return F.softplus(real - fake).mean()
    if loss == "nonsaturating":
        return F.softplus(-fake).mean()
    if loss == "minimax":
        return -F.softplus(fake).mean()
    return -fake.mean()


# ---------------------------------------------------------------- penalties


def squared_slope(scores: Tensor, embedded: Embedded) -> Tensor:
    """‖∇D‖² averaged over ``scores``, a scalar that can be differentiated; ``embedded`` are leaves
    that require gradients. A pack of records is one point of its scores' space."""
    return _squared_gradient(scores, embedded).sum() / len(scores)


def finite_slope(scores: Tensor, moved: Tensor, sigma: float) -> Tensor:
    """The same by the scores ``moved`` of records with noise σu."""
    return ((moved - scores) / sigma).square().mean()


def unit_slope(scores: Tensor, embedded: Embedded) -> Tensor:
    """E(‖∇D‖ − 1)₊²; arguments as for ``squared_slope``. The slope is a record's own."""
    return F.relu((_squared_gradient(scores, embedded) + 1e-12).sqrt() - 1).square().mean()


def secant_slope(scores: Tensor, others: Tensor, lengths: Tensor) -> Tensor:
    """E(|D(a) − D(b)|/‖a − b‖ − 1)₊² from the scores of the two ends, and the ``lengths``, (B,)."""
    return F.relu((scores - others).abs() / lengths.clamp(min=1e-4) - 1).square().mean()


def _squared_gradient(scores: Tensor, embedded: Embedded) -> Tensor:
    """(B,): of the sum of scores in each record, over all fields."""
    slopes = torch.autograd.grad(scores.sum(), list(embedded.values()), create_graph=True)
    return torch.stack([slope.square().flatten(1).sum(1) for slope in slopes]).sum(0)


# ---------------------------------------------------------------- points near records


def noise_like(embedded: Embedded, rng: torch.Generator) -> dict[str, Tensor]:
    """u ~ N(0, I)."""
    return {
        name: torch.randn(value.shape, generator=rng, device=rng.device).to(value.device)
        for name, value in embedded.items()
    }


def shifted(embedded: Embedded, noise: Embedded, sigma: float) -> dict[str, Tensor]:
    """x + σu."""
    return {name: torch.add(value, noise[name], alpha=sigma) for name, value in embedded.items()}


def between(real: Embedded, fake: Embedded, share: Tensor) -> dict[str, Tensor]:
    """x + e (G − x) with ``share`` e, (B,)."""
    return {
        name: torch.lerp(value, fake[name], share.reshape(-1, *[1] * (value.dim() - 1)))
        for name, value in real.items()
    }


def distance(these: Embedded, those: Embedded) -> Tensor:
    """‖a − b‖ over all fields, (B,)."""
    squares = [(these[name] - those[name]).square().flatten(1).sum(1) for name in these]
    return torch.stack(squares).sum(0).sqrt()
