"""Several scorers as one: each score becomes a p-value by held-out records, and these are joined.

    S(x) = 1/γ log Σ_k w_k exp(γ · mean over the scorers of kind k of − log p_m(x)),   Σ_k w_k = 1

p_m is conformal against the held-out scores of scorer m. Scorers of one kind ask the same question,
how far a record is from others, say, or how well its values go with each other, and are averaged.
Over kinds it is a weighted generalised mean of p-values (Wilson 2019; Vovk & Wang 2020), in which
the smaller count more, for a record is unusual if it is so in one way. A scorer that tells fields
apart counts by its total and by its most unusual field, since a single broken value drowns in the
sum over many.

Where what was learned from is itself in part abnormal, small p-values are less reliable, and
scorers do better by agreeing, both on the record and on which of its fields is wrong:

    A(x) = Σ_m − log p_m(x)                      F(x) = max_f mean over m of − log p_mf(x)
    S(x) = 1/γ log (¾ p_A(x)^−γ + ¼ p_F(x)^−γ)     p_A, p_F: of A, F against held-out ones
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gmkit.fields import FieldScores
from gmkit.scoring.calibration import FieldScale, Scale
from gmkit.scoring.scorer import Rows, Scorer
from gmkit.scoring.stored import Stored

WEIGHTS = {"conditional": 16.0, "distance": 4.0}
"""Of kinds; 1 of others. Each kind looks at other ways to be unusual, but has as many false alarms:
the kind that sees most must not be drowned by these. These, and γ, were chosen on scikit-learn's
tables and made ones, by classes left out and by planted values."""
SHARPNESS = 0.7
"""γ: 1 is the harmonic mean, towards 0 it becomes the geometric one."""
AGREED_SHARPNESS = 2.0
"""γ where scorers agree."""
ODDEST_SHARE = 0.25
"""Weight of F beside A. With γ chosen on contaminated tables that are not reported: classes left
rare, single values ten times too large or small or far out, values of other records. AP by A alone
is .34 of classes and .18 of wrong values; with this weight .33 and .32, with a half .32 and .38."""
NAT = 1.0
"""A and F are nats already: what is less than one above all others is hardly above them."""


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
    """Scorers and what held-out records score. ``usual``: the mean of each field's scores.

    ``agreeing``: the scorers of A, where some of what is learned from is abnormal; F is of all that
    tell of fields.
    """

    parts = {"usual": torch.float64}  # noqa: RUF012
    usual: Tensor

    def __init__(self, scorers: Mapping[str, Scorer], *, agreeing: Sequence[str] = ()) -> None:
        super().__init__()
        self.agreeing = tuple(agreeing)
        self.scorers = nn.ModuleDict(scorers)
        self.totals = nn.ModuleDict({name: Scale() for name in scorers})
        self.fields = nn.ModuleDict({n: FieldScale() for n, s in scorers.items() if s.by_field})
        self.agreed, self.oddest = Scale(), Scale()
        self.whole = Scale()

    @property
    def held_out(self) -> int:
        """Records that it was calibrated on."""
        return len(self.whole.known)

    @property
    def far_out(self) -> float:
        """Share of the held-out records that are far out for the scorer that finds most of them, or
        among three and more the one after it: one alone may be taken in by a column in which
        something new is usual. The joined score cannot tell: it is made of ranks, which are the
        same whatever the data."""
        shares = sorted(self._total_scale(name).far_out for name in self.agreeing or self.scorers)
        return shares[-2 if len(shares) > 2 else -1]

    def calibrate(self, rows: Rows) -> None:
        """By records that no scorer has learned from."""
        scores = self._scores(rows)
        self.keep(
            usual=torch.tensor(
                [float(v.mean()) for s in scores.values() for v in s.fields.values()]
            )
        )
        for name, found in scores.items():
            fields = self._field_scale(name)
            self._total_scale(name).fit(found.total)
            if fields is not None and found.fields:
                fields.fit(torch.stack(list(found.fields.values())))
        if self.agreeing:
            self.agreed.fit(self._agreement(scores, own=True))
            if any(found.fields for found in scores.values()):
                self.oddest.fit(self._oddest(scores, own=True))
        self.whole.fit(self._total(scores, own=True))

    def judge(self, rows: Rows, *, fields: bool = True) -> Judged:
        """Of any records; without ``fields`` of each as a whole only, which is quicker."""
        scores = self._scores(rows)
        total = self._total(scores)
        if not fields:
            return Judged(total, self.whole.at_least(total), {})
        return Judged(total, self.whole.at_least(total), self._nats(scores))

    def _nats(self, scores: Mapping[str, FieldScores]) -> dict[str, Tensor]:
        """Field → (N,): the most of what scorers of one kind say of it on average."""
        fields: dict[str, Tensor] = {}
        kinds: dict[tuple[str, str], list[Tensor]] = {}
        for scorer, excess in self._excess(scores).items():
            for name, value in excess.items():
                kinds.setdefault((str(self.scorers[scorer].kind), name), []).append(value)
        for (_, name), values in kinds.items():
            value = torch.stack(values).mean(0)
            fields[name] = torch.maximum(fields[name], value) if name in fields else value
        return fields

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
            fields = self._field_scale(name)
            found[f"{name}-total"] = self._total_scale(name).surprise(score.total, own=own)
            if fields is not None and score.fields:
                parts = torch.stack([value.double() for value in score.fields.values()])
                found[f"{name}-field"] = fields.surprise(parts, own=own).amax(0)
        return found

    def _total(self, scores: Mapping[str, FieldScores], own: bool = False) -> Tensor:
        if self.agreeing:
            whole = self.agreed.surprise(self._agreement(scores, own), own=own, least=NAT)
            if not len(self.oddest.known):
                return whole
            oddest = self.oddest.surprise(self._oddest(scores, own), own=own, least=NAT)
            weights = torch.tensor([1 - ODDEST_SHARE, ODDEST_SHARE])
            return _joined(torch.stack([whole, oddest]), weights, AGREED_SHARPNESS)
        surprises = self._surprises(scores, own)
        kinds: dict[str, list[Tensor]] = {}
        for name, scorer in self.scorers.items():
            assert isinstance(scorer, Scorer)
            mine = [v for n, v in surprises.items() if n.rpartition("-")[0] == name]
            kinds.setdefault(scorer.kind, []).extend(mine)
        means = torch.stack([torch.stack(each).mean(0) for each in kinds.values()])
        return _joined(means, torch.tensor([WEIGHTS.get(k, 1.0) for k in kinds]), SHARPNESS)

    def _agreement(self, scores: Mapping[str, FieldScores], own: bool) -> Tensor:
        """A: how unusual the record is to all of these scorers, (N,)."""
        scales = ((self._total_scale(name), scores[name].total) for name in self.agreeing)
        totals = [scale.surprise(total, own=own) for scale, total in scales]
        return torch.stack(totals).sum(0)

    def _oddest(self, scores: Mapping[str, FieldScores], own: bool) -> Tensor:
        """F: how unusual its most unusual field is to the scorers that tell of it, (N,)."""
        found: dict[str, list[Tensor]] = {}
        for name, score in scores.items():
            fields = self._field_scale(name)
            if fields is None or not score.fields:
                continue
            parts = torch.stack([value.double() for value in score.fields.values()])
            for field, surprise in zip(score.fields, fields.surprise(parts, own=own), strict=True):
                found.setdefault(field, []).append(surprise)
        return torch.stack([torch.stack(each).mean(0) for each in found.values()]).amax(0)

    def _total_scale(self, name: str) -> Scale:
        scale = self.totals[name]
        assert isinstance(scale, Scale)
        return scale


def _joined(surprises: Tensor, weights: Tensor, sharpness: float) -> Tensor:
    """Weighted generalised mean of p-values, as surprise (N,), of surprises (K, N)."""
    shares = (weights / weights.sum()).to(surprises.dtype).log().unsqueeze(1)
    return (shares + sharpness * surprises).logsumexp(0) / sharpness
