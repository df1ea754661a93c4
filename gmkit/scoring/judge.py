"""Several scorers as one: each score becomes a surprise by held-out records, and these add up.

    S(x) = Σ_m − log p_m(x),    p_m: conformal against the held-out scores of scorer m

A scorer that tells fields apart counts twice: by its total, and by its most unusual field, since a
single broken value drowns in the sum over many.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gmkit.fields import FieldScores
from gmkit.scoring.calibration import Scale
from gmkit.scoring.scorer import Rows, Scorer
from gmkit.scoring.stored import Stored


@dataclass(frozen=True)
class Judged:
    """What a judge says of records."""

    score: Tensor
    """(N,), higher is more unusual."""
    as_high: Tensor
    """(N,) held-out records that score as high."""
    fields: dict[str, Tensor]
    """Field → (N,) nats by which it is less likely than usual."""


class Judge(Stored):
    """Scorers and what held-out records score. ``usual``: the mean of each field's scores."""

    parts = {"usual": torch.float64}  # noqa: RUF012
    usual: Tensor

    def __init__(self, scorers: Mapping[str, Scorer]) -> None:
        super().__init__()
        self.scorers = nn.ModuleDict(scorers)
        kinds = [(n, k) for n, s in scorers.items() for k in _kinds(s)]
        self.scales = nn.ModuleDict({f"{name}-{kind}": Scale() for name, kind in kinds})
        self.whole = Scale()

    @property
    def held_out(self) -> int:
        """Records that it was calibrated on."""
        return len(self.whole.known)

    def calibrate(self, rows: Rows) -> None:
        """By records that no scorer has learned from."""
        scores = self._scores(rows)
        self.keep(
            usual=torch.tensor([float(v.mean()) for s in scores.values() for v in s.fields.values()])
        )
        for name, value in self._statistics(scores).items():
            scale = self.scales[name]
            assert isinstance(scale, Scale)
            scale.fit(value)
        self.whole.fit(self._total(scores))

    def judge(self, rows: Rows) -> Judged:
        """Of any records."""
        scores = self._scores(rows)
        total = self._total(scores)
        fields: dict[str, Tensor] = {}
        for excess in self._excess(scores).values():
            for name, value in excess.items():
                fields[name] = torch.maximum(fields[name], value) if name in fields else value
        return Judged(total, self.whole.at_least(total), fields)

    def surprises(self, rows: Rows) -> dict[str, Tensor]:
        """Statistic → − log p in nats (N,)."""
        return self._surprises(self._scores(rows))

    def _scores(self, rows: Rows) -> dict[str, FieldScores]:
        found = {}
        for name, scorer in self.scorers.items():
            assert isinstance(scorer, Scorer)
            found[name] = scorer.score(rows)
        return found

    def _excess(self, scores: Mapping[str, FieldScores]) -> dict[str, dict[str, Tensor]]:
        """Scorer → field → by how much it is above what is usual there."""
        places = iter(self.usual.tolist())
        return {
            name: {field: value.double() - next(places) for field, value in s.fields.items()}
            for name, s in scores.items()
            if s.fields
        }

    def _statistics(self, scores: Mapping[str, FieldScores]) -> dict[str, Tensor]:
        found = {f"{name}-total": s.total.double() for name, s in scores.items()}
        for name, fields in self._excess(scores).items():
            found[f"{name}-field"] = torch.stack(list(fields.values())).amax(0)
        return {name: found[name] for name in self.scales if name in found}

    def _surprises(self, scores: Mapping[str, FieldScores]) -> dict[str, Tensor]:
        found = {}
        for name, value in self._statistics(scores).items():
            scale = self.scales[name]
            assert isinstance(scale, Scale)
            found[name] = scale.surprise(value)
        return found

    def _total(self, scores: Mapping[str, FieldScores]) -> Tensor:
        surprises = list(self._surprises(scores).values())
        return torch.stack(surprises).sum(0)


def _kinds(scorer: Scorer) -> tuple[str, ...]:
    return ("total", "field") if scorer.by_field else ("total",)
