"""Every column from all others, by one network that answers for all columns at once.

    h_j = silu(b + Σ_{k≠j} W_k x_k),   m_j = V_j·h_j + Σ_{k≠j} L_kj x_k,   log s_j = U_j·h_j
    − log p(x_j | rest) = − log t₄((x_j − m_j) / s_j) + log s_j

The first layer is shared; taking a column's own part off again (W_j x_j) leaves it out exactly, so
one pass gives all leave-one-out predictions. It sees what is smooth, where trees see steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import silu

from gmkit.fields import FieldScores
from gmkit.scoring import Rows, Scorer
from gmkit.scoring.descent import Descent

HIDDEN = 48
STEPS = 500
"""At most; few records need fewer."""
BATCH = 64
RATE = 5e-3
DECAY = 1e-2
REACH = 5.0
"""Spreads at which an input ends, so that one wild value does not make all others look wild."""
MOST = 200
"""Columns; of wider matrices those that vary most."""
_ROOM = 4_000_000


class Network(Scorer):
    """``chosen`` (C,): columns of the matrix that are told and seen."""

    by_field = True
    kind = "conditional"
    parts = {  # noqa: RUF012
        "chosen": torch.int64,
        "inward": torch.float32,
        "bias": torch.float32,
        "mean": torch.float32,
        "spread": torch.float32,
        "linear": torch.float32,
        "offset": torch.float32,
    }
    chosen: Tensor
    inward: Tensor
    bias: Tensor
    mean: Tensor
    spread: Tensor
    linear: Tensor
    offset: Tensor

    def fit(self, rows: Rows, rng: torch.Generator) -> None:
        """``STEPS`` of AdamW on random batches."""
        width = rows.matrix.shape[1]
        chosen = torch.arange(width)
        if width > MOST:
            chosen = rows.matrix.var(0).topk(MOST).indices.sort().values
        if len(chosen) < 2:
            chosen = chosen[:0]
        count = len(chosen)
        shapes = {
            "inward": (count, HIDDEN),
            "bias": (HIDDEN,),
            "mean": (count, HIDDEN),
            "spread": (count, HIDDEN),
            "linear": (count, count),
            "offset": (2, count),
        }
        sizes = {"inward": 1 / math.sqrt(max(1, count)), "bias": 0.1, "mean": 0.01, "spread": 0.01}
        drawn = [
            torch.randn(shape, generator=rng).flatten() * sizes.get(name, 0.0)
            for name, shape in shapes.items()
        ]
        flat = torch.cat(drawn)  # one tensor: an optimiser's step costs by the number of tensors
        if count:
            _train(flat, shapes, rows.matrix[:, chosen], rows.features.group[chosen], rng)
        self.keep(chosen=chosen, **_parts(flat, shapes))

    @torch.no_grad()
    def score(self, rows: Rows) -> FieldScores:
        """Each field's; in total their sum."""
        names = list(rows.features.space.fields)
        owner = rows.features.field[self.chosen]
        if not len(self.chosen):
            return FieldScores({}, torch.zeros(len(rows)))
        # in double precision, and rounded: a product of other sizes adds up in another order, and
        # a record's rank must not depend on how many come with it
        weights = {name: getattr(self, name).double() for name in self.parts}
        same = rows.features.group[self.chosen]
        size = max(1, _ROOM // (len(self.chosen) * HIDDEN))
        parts = [
            _nll(weights, some[:, self.chosen].double(), same)
            for some in torch.split(rows.matrix, size)
        ]
        terms = torch.cat(parts).round(decimals=9) if parts else torch.zeros(0, len(self.chosen))
        fields = {
            names[field]: terms[:, owner == field].sum(1) for field in torch.unique(owner).tolist()
        }
        return FieldScores(fields, terms.sum(1))


def expected(network: Network, rows: Rows) -> tuple[Tensor, Tensor]:
    """What the other columns let expect of each, in the numbers of ``Features``: means and standard
    deviations (N, D); NaN where the network tells nothing."""
    means = torch.full(rows.matrix.shape, math.nan, dtype=torch.float64)
    deviations = means.clone()
    if len(network.chosen):
        weights = {name: getattr(network, name) for name in network.parts}
        same = rows.features.group[network.chosen]
        mean, spread = _told(weights, rows.matrix[:, network.chosen], same)
        means[:, network.chosen] = mean.double()
        deviations[:, network.chosen] = spread.exp().double()
    return means, deviations


def _parts(flat: Tensor, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Views of one tensor."""
    pieces = torch.split(flat, [math.prod(shape) for shape in shapes.values()])
    return {name: p.view(shape) for p, (name, shape) in zip(pieces, shapes.items(), strict=True)}


def _train(
    flat: Tensor,
    shapes: Mapping[str, tuple[int, ...]],
    known: Tensor,
    same: Tensor,
    rng: torch.Generator,
) -> None:
    """``flat`` by ``STEPS`` of AdamW, the rate rising over a tenth and falling to zero."""
    flat.requires_grad_()
    descent = Descent(flat, decay=DECAY)
    size, steps = min(BATCH, len(known)), min(STEPS, 50 + 2 * len(known))
    with torch.enable_grad():
        for step in range(steps):
            done = step / steps
            rate = done / 0.1 if done < 0.1 else 0.5 * (1 + math.cos(math.pi * (done - 0.1) / 0.9))
            some = torch.randint(len(known), (size,), generator=rng)
            loss = _nll(_parts(flat, shapes), known[some], same).mean()
            (slope,) = torch.autograd.grad(loss, flat)
            descent.step(slope * (1 / slope.norm().clamp(min=1.0)), RATE * max(rate, 1e-3))
    flat.requires_grad_(False)


def _nll(weights: dict[str, Tensor], value: Tensor, same: Tensor) -> Tensor:
    """(N, C) of values (N, C)."""
    mean, spread = _told(weights, value, same)
    z = (value - mean) * torch.exp(-spread)
    return 2.5 * torch.log1p(z.square() / 4) + spread


def _told(weights: dict[str, Tensor], value: Tensor, same: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log spread of each column, of the columns of other groups; (N, C) each."""
    seen = value.clamp(-REACH, REACH)
    inward = weights["inward"]
    apart = same.unsqueeze(0) != same.unsqueeze(1)
    if len(torch.unique(same)) < len(same):  # columns that say the same go with it
        own = torch.einsum("nk,kj,kh->njh", seen, (~apart).to(seen), inward)
    else:
        own = seen.unsqueeze(2) * inward
    hidden = silu((seen @ inward + weights["bias"]).unsqueeze(1) - own)
    mean = (hidden * weights["mean"]).sum(2) + seen @ (weights["linear"] * apart)
    spread = (hidden * weights["spread"]).sum(2) + weights["offset"][1]
    return mean + weights["offset"][0], spread.clamp(-4, 2)
