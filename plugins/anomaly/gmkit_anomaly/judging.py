"""What judges records by a trained run: the detector itself, or scorers of any other family."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from gmkit.codecs import Batch
from gmkit.errors import ConfigError, did_you_mean
from gmkit.fields import Space
from gmkit.observer import Observer
from gmkit.randomness import generator
from gmkit.scoring.calibration import p_values
from gmkit.scoring.features import Features
from gmkit.scoring.judge import Judge, Judged
from gmkit.scoring.registered import load_scorer
from gmkit.scoring.scorer import Rows
from gmkit_anomaly.detector import Detector
from gmkit_anomaly.scorers import fitting_scorers, own_scorers

if TYPE_CHECKING:
    import gmkit


class Judging(Protocol):
    """Scores, p-values and held-out scores."""

    @property
    def read(self) -> Space:
        """What is read of a record."""

    @property
    def known(self) -> Tensor:
        """Scores of held-out records, ascending."""

    @property
    def among(self) -> Tensor:
        """Scores of which a share is flagged, ascending."""

    @property
    def far_out(self) -> float:
        """Share of held-out records that are far out."""

    def judge(self, batch: Batch, *, fields: bool = True) -> Judged:
        """Of encoded records."""

    def p_values(self, judged: Judged) -> Tensor:
        """(N,) conformal p-values."""


def judging(run: gmkit.Run, names: tuple[str, ...], observer: Observer) -> Judging:
    """The detector, or a judge of scorers that the run's family can serve, calibrated on the
    records that it did not learn from. Raises ConfigError for scorers that do not fit."""
    if isinstance(run.family, Detector):
        own = set(run.family.config.members)
        if names and set(names) != own:
            raise ConfigError(
                f"{run.folder} was trained with {', '.join(sorted(own)) or 'all scorers'}",
                hint="Leave --scorer out, or train another run.",
            )
        return run.family
    return FamilyJudge(run, names, observer)


class FamilyJudge:
    """Scorers of one trained family."""

    def __init__(self, run: gmkit.Run, names: tuple[str, ...], observer: Observer) -> None:
        fitting = fitting_scorers(run.family.capabilities)
        own = own_scorers()
        for name in names:
            if name not in fitting and name not in own:
                raise ConfigError(
                    f"scorer {name!r} cannot be had of model {run.config.model!r}",
                    hint=did_you_mean(name, [*fitting, *own]),
                )
        if not names and not fitting:
            raise ConfigError(f"model {run.config.model!r} cannot say how unusual a record is")
        chosen = names or tuple(fitting)
        self.read = run.family.space
        self._features = Features(self.read)
        self._judge = Judge(
            {
                name: load_scorer(fitting[name])(run.family) if name in fitting else own[name]()
                for name in chosen
            }
        )
        observer.stage("Calibrating")
        dataset = run.dataset(observer=observer)
        rng = generator(run.config.seed, "scorers")
        learned = self.read.pick(dataset.part("train"), slice(0, KNOWN), "cpu")
        self._features.fit(learned)
        known = self._rows(learned)
        for scorer in self._judge.scorers.values():
            scorer.fit(known, rng)  # type: ignore[operator]
        parts = [dataset.part("valid"), dataset.part("test")]
        held = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        total = len(next(iter(held.values())))
        if total < 2:
            raise ConfigError(
                f"{total} records of {run.folder} were held out: nothing to compare scores with",
                hint="Train with more records, or a larger data.test.",
            )
        self._judge.calibrate(self._rows(self.read.pick(held, slice(0, KNOWN), "cpu")))

    def _rows(self, batch: Batch) -> Rows:
        return Rows(batch, self._features.matrix(batch), self._features)

    @property
    def known(self) -> Tensor:
        """Of held-out records."""
        return self._judge.whole.known

    @property
    def among(self) -> Tensor:
        """Of held-out records."""
        return self.known

    @property
    def far_out(self) -> float:
        """Of held-out records."""
        return self._judge.far_out

    @torch.no_grad()
    def judge(self, batch: Batch, *, fields: bool = True) -> Judged:
        """Of encoded records."""
        return self._judge.judge(self._rows(batch), fields=fields)

    def p_values(self, judged: Judged) -> Tensor:
        """(N,)."""
        return p_values(judged.score, judged.as_high, self.known)


KNOWN = 5000
"""Records that scorers learn from, and that they are calibrated on, at most."""
