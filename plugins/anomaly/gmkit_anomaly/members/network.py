"""Every column from all others, by one network that answers for all columns at once.

    h_j = silu(b + Σ_{k≠j} W_k x_k),   m_j = V_j·h_j + Σ_{k≠j} L_kj x_k,   log s_j = U_j·h_j
    − log p(x_j | rest) = − log t₄((x_j − m_j) / s_j) + log s_j

The first layer is shared; taking a column's own part off again (W_j x_j) leaves it out exactly, so
one pass gives all leave-one-out predictions. It sees what is smooth, where trees see steps.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import silu

from gmkit.fields import FieldScores
from gmkit.scoring import Rows, Scorer

HIDDEN = 64
STEPS = 800
BATCH = 128
RATE = 5e-3
REACH = 5.0
"""Spreads at which an input ends, so that one wild value does not make all others look wild."""
MOST = 400
"""Columns; of wider matrices those that vary most."""
_ROOM = 4_000_000


class Network(Scorer):
    """``chosen`` (C,): columns of the matrix that are told and seen."""

    by_field = True
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
        weights = {
            name: (torch.randn(shape, generator=rng) * sizes.get(name, 0.0)).requires_grad_()
            for name, shape in shapes.items()
        }
        if count:
            known = rows.matrix[:, chosen]
            same = rows.features.group[chosen]
            _train(weights, known, same, rng)
        self.keep(chosen=chosen, **{name: value.detach() for name, value in weights.items()})

    @torch.no_grad()
    def score(self, rows: Rows) -> FieldScores:
        """Each field's; in total their sum."""
        names = list(rows.features.space.fields)
        owner = rows.features.field[self.chosen]
        if not len(self.chosen):
            return FieldScores({}, torch.zeros(len(rows)))
        weights = {name: getattr(self, name) for name in self.parts}
        same = rows.features.group[self.chosen]
        size = max(1, _ROOM // (len(self.chosen) * HIDDEN))
        parts = [_nll(weights, some[:, self.chosen], same) for some in rows.matrix.split(size)]
        terms = torch.cat(parts).double() if parts else torch.zeros(0, len(self.chosen))
        fields = {
            names[field]: terms[:, owner == field].sum(1) for field in owner.unique().tolist()
        }
        return FieldScores(fields, terms.sum(1))


def _train(weights: dict[str, Tensor], known: Tensor, same: Tensor, rng: torch.Generator) -> None:
    optimiser = torch.optim.AdamW(list(weights.values()), lr=RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, RATE, total_steps=STEPS, pct_start=0.1
    )
    with torch.enable_grad():
        for _ in range(STEPS):
            some = torch.randint(len(known), (min(BATCH, len(known)),), generator=rng)
            loss = _nll(weights, known[some], same).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(list(weights.values()), 1.0)
            optimiser.step()
            schedule.step()


def _nll(weights: dict[str, Tensor], value: Tensor, same: Tensor) -> Tensor:
    """(N, C) of values (N, C)."""
    seen = value.clamp(-REACH, REACH)
    inward = weights["inward"]
    own = seen.unsqueeze(2) * inward
    apart = same.unsqueeze(0) != same.unsqueeze(1)
    if int(apart.sum()) < len(same) * (len(same) - 1):  # columns that say the same go with it
        own = torch.einsum("nk,kj,kh->njh", seen, (~apart).to(seen), inward)
    hidden = silu((seen @ inward + weights["bias"]).unsqueeze(1) - own)
    mean = (hidden * weights["mean"]).sum(2) + seen @ (weights["linear"] * apart)
    spread = ((hidden * weights["spread"]).sum(2) + weights["offset"][1]).clamp(-4, 2)
    z = (value - mean - weights["offset"][0]) * torch.exp(-spread)
    return 2.5 * torch.log1p(z.square() / 4) + spread
