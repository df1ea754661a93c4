"""The detector: a family that learns what is usual, by several scorers at once.

Its records are learned from in one or several splits; in each, every scorer learns from one part
and is calibrated on the other, so that each record is held out once where there are few of them
(split-conformal, or cross-conformal; Vovk 2015). Drawing from it is drawing near what it knows, a
kernel density estimate: enough to look at, not what it is for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from gmkit.codecs import Batch
from gmkit.errors import ArtifactError, ConfigError, did_you_mean
from gmkit.families import Family, Step
from gmkit.families.family import FamilyConfig
from gmkit.fields import Categorical, Real, Space
from gmkit.scoring.calibration import Scale, p_values
from gmkit.scoring.features import Features
from gmkit.scoring.judge import Judge, Judged
from gmkit.scoring.scorer import Rows, Scorer
from gmkit.scoring.stored import Stored, make_room
from gmkit.scoring.summaries import Summaries
from gmkit.trunks import TrunkConfig

MEMBERS = ("neighbours", "conditional", "network", "linear", "tails")
"""What wins where all that is learned from is normal,"""
AGREEING = ("forest", "conditional", "network")
"""and where some of it is not,"""
TELLING = ("linear",)
"""with what tells only of their fields there: on the whole it is taken in by many alike."""
MANY = 2000
"""Records from which on one split is enough."""
WIDE = 150
"""Columns from which on one split must do."""
SEEN = 5000
"""Records learned from whose scores are kept."""
KEPT = 2000
"""Records kept to draw near to."""
BANDWIDTH = 0.1
"""Standard deviation by which a drawn number is moved, in units of its spread."""
_JUDGED = 65_536
"""Records judged at once."""


class DetectorConfig(FamilyConfig):
    """``family.*`` options of the detector."""

    members: list[str] = Field(default_factory=list, description="scorers; none: those that win")
    contaminated: bool = Field(False, description="some of the records are abnormal themselves")
    trim: float = Field(0.1, ge=0, lt=0.5, description="share left out then, the oddest")
    trim_by: str = Field("forest", description="the scorer that says which are odd")
    by: list[str] = Field(
        default_factory=list, description="fields and conditions judged; none: all"
    )
    rows: int = Field(50_000, ge=20, description="records learned from, at most")
    held_out: float = Field(0.25, gt=0, lt=0.9, description="share for calibration in one split")
    splits: int = Field(0, ge=0, le=20, description="0: by the number of records")


class Detector(Family):
    """A judge for each split."""

    Config = DetectorConfig
    config: DetectorConfig
    capabilities: ClassVar[frozenset[str]] = frozenset({"judge"})
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "training": {"ema": 0.0, "evaluate_every": 0},
        "data": {"valid": 0.0},
    }

    def __init__(self, space: Space, config: DetectorConfig, trunk: TrunkConfig) -> None:
        """Raises ConfigError for an unknown scorer, or one that needs another family, or an unknown
        field."""
        super().__init__(space, config, trunk)
        self._kinds = _loaded(config)
        self.place = nn.Parameter(torch.zeros(0), requires_grad=False)  # says where the model lies
        given = space.condition.fields if space.condition else {}
        every = {**space.fields, **given}
        sums = Summaries(Space(every))
        told = {**every, **sums.fields}
        self.judged = Space({name: told[name] for name in _named(config.by, told)})
        """What is known of a record, conditions and what it amounts to included, is part of it."""
        owners = {sums.owner.get(name, name) for name in self.judged.fields}
        self.read = Space({name: kind for name, kind in every.items() if name in owners})
        """Fields that this takes."""
        self.summaries = nn.ModuleList([Summaries(self.read)])
        """One for each split: what is held out of it must not have been counted."""
        self.splits = Splits(self.judged)
        self.seen = Scale()
        self.judges = nn.ModuleList()
        self._stored = dict(zip(every, map(str, range(len(every))), strict=True))
        self.records = _Values({self._stored[n]: field.dtype for n, field in every.items()})

    def player_parameters(self, player: str) -> list[nn.Parameter]:
        """None: no gradient moves it."""
        return []

    # ------------------------------------------------------------ learning

    @property
    def learned(self) -> float:
        """Share of the scorers, over all splits, that have learned."""
        total = sum(len(judge.scorers) for judge in self._judges)
        return int(self.splits.done) / total if len(self.splits.done) else 0.0

    @property
    def _judges(self) -> list[Judge]:
        return [judge for judge in self.judges if isinstance(judge, Judge)]

    def learn(self, data: Batch, step: Step) -> dict[str, Tensor]:
        """The next scorer of the next split, and at the end of a split its calibration."""
        if not len(self.splits.part):
            self._begin(data, step.rng)
        done = int(self.splits.done)
        members = len(self._judges[0].scorers)
        number, judge = done // members, self._judges[done // members]
        seed = int(torch.randint(2**62, (), generator=step.rng, device=step.rng.device))
        rng = torch.Generator().manual_seed(seed)
        rows = self.rows(self.read.pick(data, self.splits.rows, "cpu"), number)
        held = self.splits.part == number
        known = rows.take(torch.nonzero(~held)[:, 0])
        if self.config.contaminated:
            known = self._trimmed(known, rng)
        scorer = list(judge.scorers.values())[done % members]
        assert isinstance(scorer, Scorer)
        scorer.fit(known, rng)
        self.splits.keep(done=torch.tensor([done + 1]))
        if (done + 1) % members == 0:
            judge.calibrate(rows.take(torch.nonzero(held)[:, 0]))
        if self.learned == 1:
            self.seen.fit(self.judge(self.read.pick(data, self.splits.rows[:SEEN], "cpu")).score)
        left = torch.tensor(1 - self.learned)
        return {"loss": left, "scorers": torch.tensor(float(done + 1))}

    def _begin(self, data: Batch, rng: torch.Generator) -> None:
        """Choose records and splits, and learn what varies."""
        total = len(next(iter(data.values())))
        chosen = torch.randperm(total, generator=rng, device=rng.device)[: self.config.rows].cpu()
        rows = len(chosen)
        whole = self.read.pick(data, chosen, "cpu")
        self._sums(0).fit(whole)
        self.splits.features.fit(self._told(whole, 0))
        few = 1 if rows >= MANY or self.splits.features.width > WIDE else 3
        splits = max(1, min(self.config.splits or few, rows))
        if splits > 1:
            part = torch.arange(rows) % splits
        else:
            held = min(max(1, int(self.config.held_out * rows)), 5000)
            part = torch.where(torch.arange(rows) < held, 0, -1)
        self.splits.keep(rows=chosen, part=part, done=torch.tensor([0]))
        self._make_judges(splits)
        for number in range(splits):
            self._sums(number).fit({name: value[part != number] for name, value in whole.items()})
        for name, place in self._stored.items():
            self.records.keep(**{place: data[name][chosen[:KEPT]].cpu()})

    def _trimmed(self, known: Rows, rng: torch.Generator) -> Rows:
        """Without the oddest, by a scorer that hardly minds them."""
        scorer = self._kinds[self.config.trim_by]()
        scorer.fit(known, rng)
        kept = scorer.score(known).total.argsort(stable=True)
        count = max(1, int(len(known) * (1 - self.config.trim)))
        return known.take(kept[:count].sort().values)

    def _make_judges(self, number: int) -> None:
        dirty = self.config.contaminated
        agreeing = self.config.members or AGREEING
        names = self.config.members or ((*AGREEING, *TELLING) if dirty else MEMBERS)
        self.summaries = nn.ModuleList([Summaries(self.read) for _ in range(number)])
        for _ in range(number):
            scorers = {name: self._kinds[name]() for name in names}
            self.judges.append(Judge(scorers, agreeing=agreeing if dirty else ()))

    def make_room(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """For as many splits as were stored."""
        parts: dict[str, dict[str, tuple[int, ...]]] = {}
        for name, shape in shapes.items():
            child, _, rest = name.partition(".")
            if rest:
                parts.setdefault(child, {})[rest] = shape
        numbers = {name.partition(".")[0] for name in parts.get("judges", {})}
        if numbers != {str(i) for i in range(len(numbers))} or len(numbers) > 100:
            raise ArtifactError("the stored detector has splits that do not count on")
        self.judges = nn.ModuleList()
        self._make_judges(len(numbers))
        make_room(self, parts)

    # ------------------------------------------------------------ judging

    def rows(self, batch: Batch, split: int = 0) -> Rows:
        """Records as the scorers of a split are given them."""
        features, told = self.splits.features, self._told(batch, split)
        return Rows(told, features.matrix(told), features)

    @property
    def sums(self) -> dict[str, str]:
        """Of what is judged, what a field of many elements amounts to → the field."""
        owner = self._sums(0).owner
        return {name: owner[name] for name in self.judged.fields if name in owner}

    def range(self, name: str) -> tuple[float, float]:
        """Between which values that was."""
        return self._sums(0).range(name)

    def _sums(self, split: int) -> Summaries:
        found = self.summaries[split]
        assert isinstance(found, Summaries)
        return found

    def _told(self, batch: Batch, split: int) -> Batch:
        """What records are judged by."""
        every = {**batch, **self._sums(split).of(batch)} if self.sums else batch
        return {name: every[name] for name in self.judged.fields}

    @torch.no_grad()
    def judge(self, batch: Batch, *, fields: bool = True) -> Judged:
        """Over all splits: the mean score, and against all held-out records how many are as high
        (each under its own split's judge)."""
        parts = [self._judged(some, fields) for some in _cut(batch)]
        return Judged(
            torch.cat([part.score for part in parts]),
            torch.cat([part.as_high for part in parts]),
            {name: torch.cat([p.fields[name] for p in parts]) for name in parts[0].fields},
        )

    def _judged(self, batch: Batch, fields: bool) -> Judged:
        rows = self.rows(batch)
        found = []
        for split, judge in enumerate(self._judges):
            if split and self.sums:
                rows = self.rows(batch, split)
            found.append(judge.judge(rows, fields=fields))
        names = dict.fromkeys(name for one in found for name in one.fields)
        zero = torch.zeros(len(rows), dtype=torch.float64)
        return Judged(
            torch.stack([one.score for one in found]).mean(0),
            torch.stack([one.as_high for one in found]).sum(0),
            {n: torch.stack([one.fields.get(n, zero) for one in found]).mean(0) for n in names},
        )

    @property
    def held_out(self) -> int:
        """Records that scores are compared with."""
        return sum(judge.held_out for judge in self._judges)

    @property
    def far_out(self) -> float:
        """Share of the held-out records that are far out, see ``Judge``."""
        return sum(j.far_out * j.held_out for j in self._judges) / max(1, self.held_out)

    def p_values(self, judged: Judged) -> Tensor:
        """(N,), conformal."""
        return p_values(judged.score, judged.as_high, self.known)

    @property
    def known(self) -> Tensor:
        """Scores of held-out records, each under its own split's judge, ascending."""
        return torch.cat([judge.whole.known for judge in self._judges]).sort().values

    @property
    def among(self) -> Tensor:
        """Scores of which a share is flagged, ascending: where all that was learned from is normal
        of held-out records, else of records judged like any, for some of them are to be flagged."""
        return self.seen.known if self.config.contaminated else self.known

    # ------------------------------------------------------------ drawing

    @torch.no_grad()
    def losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Distance to the nearest kept record, in embedded numbers; for looking at."""
        embedded = self._embedded(batch)
        known = self._embedded(self.kept()) if len(self.splits.part) else embedded[:0]
        far = embedded.norm(dim=1) + 1
        if len(known):
            far = torch.cdist(embedded, known).amin(1)
        return {"loss": far.mean()}

    @torch.no_grad()
    def sample(
        self, n: int, condition: Batch | None, rng: torch.Generator, temperature: float = 1.0
    ) -> Batch:
        """Kept records, those with the conditions nearest to what is asked for, and single numbers
        moved a little."""
        kept = self.kept()
        total = len(next(iter(kept.values()))) if kept else 0
        if not total:
            return self.space.sample(_blank(self.space, n), rng, temperature)
        chosen = torch.randint(total, (n,), generator=rng, device=rng.device).cpu()
        if condition and self.space.condition is not None:
            given = Space(self.space.condition.fields)
            far = torch.cdist(_flat(given.embed(condition)).cpu(), _flat(given.embed(kept)))
            near = far.topk(min(5, total), largest=False).indices
            pick = torch.randint(near.shape[1], (n, 1), generator=rng, device=rng.device).cpu()
            chosen = near.gather(1, pick)[:, 0]
        drawn = self.space.pick({k: kept[k] for k in self.space.names}, chosen, rng.device)
        for name, kind in self.space.fields.items():
            if isinstance(kind, Real) and not kind.shape:
                noise = torch.randn(n, generator=rng, device=rng.device)
                drawn[name] = drawn[name] + BANDWIDTH * temperature * noise
            elif isinstance(kind, Categorical):
                drawn[name] = kind.close(drawn[name])
        return drawn

    def kept(self) -> Batch:
        """Some of the records that were learned from."""
        found = {}
        for name, place in self._stored.items():
            value = getattr(self.records, place)
            if len(value):
                found[name] = value
        return found

    def _embedded(self, batch: Batch) -> Tensor:
        full = self.space.full({name: batch[name] for name in self.space.names})
        return _flat(self.space.embed(full))


class Splits(Stored):
    """``rows`` (n,): records learned from; ``part`` (n,): the split that each is held out of;
    ``done``: scorers that have learned, over all splits."""

    parts = {"rows": torch.int64, "part": torch.int64, "done": torch.int64}  # noqa: RUF012
    rows: Tensor
    part: Tensor
    done: Tensor

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.features = Features(space)


class _Values(Stored):
    """Values of fields, in one module: torch takes a while for thousands of them."""

    def __init__(self, kinds: Mapping[str, torch.dtype]) -> None:
        object.__setattr__(self, "parts", kinds)
        super().__init__()


def _named(names: list[str], every: Mapping[str, Any]) -> list[str]:
    """All, where none is named. Raises ConfigError."""
    for name in names:
        if name not in every:
            raise ConfigError(
                f"family.by names {name!r}, which no record has", hint=did_you_mean(name, every)
            )
    return names or list(every)


def _loaded(config: DetectorConfig) -> dict[str, Callable[[], Scorer]]:
    """Scorers by name. Raises ConfigError."""
    from gmkit_anomaly.scorers import own_scorers

    known = own_scorers()
    asked = [("members", name) for name in config.members] + [("trim_by", config.trim_by)]
    for option, name in asked:
        if name not in known:
            raise ConfigError(
                f"family.{option} names {name!r}, which is no scorer that learns by itself",
                hint=did_you_mean(name, known),
            )
    names = [*config.members, config.trim_by, *MEMBERS, *AGREEING, *TELLING]
    return {name: known[name] for name in dict.fromkeys(names)}


def _cut(batch: Batch) -> list[Batch]:
    total = len(next(iter(batch.values())))
    places = range(0, max(total, 1), _JUDGED)
    return [{n: value[at : at + _JUDGED] for n, value in batch.items()} for at in places]


def _flat(embedded: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([value.reshape(len(value), -1).float() for value in embedded.values()], 1)


def _blank(space: Space, n: int) -> dict[str, Tensor]:
    return {name: torch.zeros(n, *f.shape, f.param_dim) for name, f in space.fields.items()}
