"""Several scorers as one: each score becomes a p-value by held-out records, and these are joined.

    S(x) = log Σ_k exp(mean over the scorers of kind k of − log p_m(x))

p_m is conformal against the held-out scores of scorer m. Scorers of one kind ask the same question,
how far a record is from others, say, or how well its values go with each other, and are averaged.
Over kinds it is the harmonic mean of p-values (Wilson 2019): the smallest decides, for a record is
unusual if it is so in one way. A scorer that tells fields apart counts by its total and by its most
unusual field, since a single broken value drowns in the sum over many.

Where what was learned from is itself in part abnormal, small p-values are less reliable, and
scorers do better by agreeing: then S(x) = Σ_m − log p_m(x), over the totals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gmkit.fields import FieldScores
from gmkit.scoring.calibration import FieldScale, Scale
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

    def __init__(self, scorers: Mapping[str, Scorer], *, agreeing: bool = False) -> None:
        super().__init__()
        self.agreeing = agreeing
        self.scorers = nn.ModuleDict(scorers)
        self.totals = nn.ModuleDict({name: Scale() for name in scorers})
        self.fields = nn.ModuleDict({n: FieldScale() for n, s in scorers.items() if s.by_field})
        self.whole = Scale()

    @property
    def held_out(self) -> int:
        """Records that it was calibrated on."""
        return len(self.whole.known)

    def calibrate(self, rows: Rows) -> None:
        """By records that no scorer has learned from."""
        scores = self._scores(rows)
        self.keep(
            usual=torch.tensor(
                [float(v.mean()) for s in scores.values() for v in s.fields.values()]
            )
        )
        for name, found in scores.items():
            total, fields = self.totals[name], self._field_scale(name)
            assert isinstance(total, Scale)
            total.fit(found.total)
            if fields is not None and found.fields:
                fields.fit(torch.stack(list(found.fields.values())))
        self.whole.fit(self._total(scores, own=True))

    def judge(self, rows: Rows) -> Judged:
        """Of any records."""
        scores = self._scores(rows)
        total = self._total(scores)
        fields: dict[str, Tensor] = {}
        kinds: dict[tuple[str, str], list[Tensor]] = {}
        for scorer, excess in self._excess(scores).items():
            for name, value in excess.items():
                kinds.setdefault((str(self.scorers[scorer].kind), name), []).append(value)
        for (_, name), values in kinds.items():
            value = torch.stack(values).mean(0)
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

    def _field_scale(self, name: str) -> FieldScale | None:
        if name not in self.fields:
            return None
        scale = self.fields[name]
        assert isinstance(scale, FieldScale)
        return scale

    def _surprises(self, scores: Mapping[str, FieldScores], own: bool = False) -> dict[str, Tensor]:
        found = {}
        for name, score in scores.items():
            total, fields = self.totals[name], self._field_scale(name)
            assert isinstance(total, Scale)
            found[f"{name}-total"] = total.surprise(score.total, own=own)
            if fields is not None and score.fields:
                parts = torch.stack([value.double() for value in score.fields.values()])
                found[f"{name}-field"] = fields.surprise(parts, own=own)
        return found

    def _total(self, scores: Mapping[str, FieldScores], own: bool = False) -> Tensor:
        surprises = self._surprises(scores, own)
        if self.agreeing:
            return torch.stack([surprises[f"{name}-total"] for name in scores]).sum(0)
        kinds: dict[str, list[Tensor]] = {}
        for name, scorer in self.scorers.items():
            assert isinstance(scorer, Scorer)
            mine = [v for n, v in surprises.items() if n.rpartition("-")[0] == name]
            kinds.setdefault(scorer.kind, []).extend(mine)
        return torch.stack([torch.stack(each).mean(0) for each in kinds.values()]).logsumexp(0)
