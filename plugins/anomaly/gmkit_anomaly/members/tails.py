"""How far out in its own column a value lies (as ECOD; Li et al. 2022), against what was learned
alone: the score of a row does not change with the rows beside it.

    number   − log 2 min(F(x), 1 − F(x)), and beyond the data the distance in units of its outer
             twentieth's spread
    class    − log of how much of the data has a class as rare or rarer
"""

from __future__ import annotations

import torch
from torch import Tensor

from gmkit.fields import Categorical, FieldScores, Real
from gmkit.fields.space import Space
from gmkit.scoring import Rows, Scorer

OUTER = 0.05
KNOTS = 2048
"""Values of a column that its distribution is known by."""


class Tails(Scorer):
    """Quantiles (F, K) of single numbers, ``spread`` (F, 2) of their ends, and of classes the share
    of the data that is as rare, one behind the other."""

    kind = "margin"
    by_field = True
    parts = {  # noqa: RUF012
        "quantiles": torch.float32,
        "spread": torch.float32,
        "rarity": torch.float32,
        "count": torch.int64,
    }
    quantiles: Tensor
    spread: Tensor
    rarity: Tensor
    count: Tensor

    def fit(self, rows: Rows, rng: torch.Generator) -> None:
        """Distributions of all single numbers and classes."""
        knots, spreads, rarity = [], [], []
        total = len(rows)
        size = min(total, KNOTS)
        places = torch.linspace(0, total - 1, size).round().long()
        for name, kind in _single(rows.features.space).items():
            value = rows.batch[name]
            if isinstance(kind, Categorical):
                counts = torch.bincount(value.long(), minlength=kind.size).float()
                as_rare = (counts[None, :] <= counts[:, None]).float() @ counts
                rarity.append((as_rare + 0.5) / (total + 0.5))
                continue
            ordered = value.double().sort().values
            outer = max(1, int(OUTER * total))
            low = (ordered[outer - 1] - ordered[:outer]).mean()
            high = (ordered[-outer:] - ordered[-outer]).mean()
            floor = torch.tensor(1e-3, dtype=torch.float64)
            spreads.append(torch.stack([torch.maximum(low, floor), torch.maximum(high, floor)]))
            knots.append(ordered[places])
        self.keep(
            quantiles=torch.stack(knots) if knots else torch.zeros(0, size),
            spread=torch.stack(spreads) if spreads else torch.zeros(0, 2),
            rarity=torch.cat(rarity) if rarity else torch.zeros(0),
            count=torch.tensor([total]),
        )

    def score(self, rows: Rows) -> FieldScores:
        """Each field's; in total the farthest of them."""
        fields: dict[str, Tensor] = {}
        number = begin = 0
        total = float(self.count) if len(self.count) else 0.0
        for name, kind in _single(rows.features.space).items():
            value = rows.batch[name]
            if isinstance(kind, Categorical):
                share = self.rarity[begin : begin + kind.size]
                fields[name] = -share[value.long()].log()
                begin += kind.size
                continue
            fields[name] = self._number(number, value.float().contiguous(), total)
            number += 1
        if not fields:
            return FieldScores({}, torch.zeros(len(rows)))
        return FieldScores(fields, torch.stack(list(fields.values())).amax(0))

    def _number(self, number: int, value: Tensor, total: float) -> Tensor:
        knots = self.quantiles[number]
        size = len(knots)
        below = torch.searchsorted(knots, value, right=True)
        above = size - torch.searchsorted(knots, value)
        share = (torch.minimum(below, above) / size).float()
        tail = (2 * (share * total + 0.5) / (total + 1)).clamp(max=1)
        low, high = self.spread[number]
        beyond = ((knots[0] - value) / low).clamp(min=0) + ((value - knots[-1]) / high).clamp(min=0)
        found: Tensor = beyond - tail.log()
        return found


def _single(space: Space) -> dict[str, Categorical | Real]:
    """Fields of one value a record."""
    return {
        name: kind
        for name, kind in space.fields.items()
        if not kind.shape and isinstance(kind, Categorical | Real)
    }
