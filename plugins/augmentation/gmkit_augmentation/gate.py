"""Do no harm: which generator to take and how many rows to add, if any, found out beforehand.

On each fold a model of the others is learned and rows are drawn from it; two learners are trained
on real rows of the others, alone and with them, and judged on the fold. What counts is the gain of
the learner that gains less, as nobody knows which will be used. The best generator and amount are
taken if they helped by more than ``LEAST``, by more than ``SURE`` standard errors, and did no harm
on any fold: who looks at many has to be strict with the best. Else no rows are added.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmkit.config import merge
from gmkit.errors import ConfigError
from gmkit.observer import Observer
from gmkit.randomness import derive
from gmkit_augmentation.constraints import Constraints
from gmkit_augmentation.drawing import Drawing, Wish
from gmkit_augmentation.learning import Learned, Plan
from gmkit_augmentation.measures.learners import LEARNERS, Task
from gmkit_augmentation.measures.learners import LEAST as FEWEST
from gmkit_augmentation.rare import own_models
from gmkit_augmentation.rules import found_rules

GENERATORS = ("trees", "smote", "copula", "noise")
"""Tried where the user names none."""
AMOUNTS = (0.5, 1.0, 2.0, 5.0)
"""Synthetic rows for each real one that are tried;"""
SHARES = (0.05, 0.2, 1.0)
"""of rows that balance, parts of what full balance takes."""
LEAST = 0.003
"""Gain from which on it is one."""
SURE = 2.5
ROWS = 10_000
"""Rows that it is found out with, at most."""
_MOST_DRAWN = 20_000
_SMALL = 3000
"""Rows up to which there are five folds instead of three."""
Wishes = Callable[[pa.Table], Sequence[Wish]]


@dataclass(frozen=True)
class Trial:
    """A generator and an amount, and what they gained on each fold."""

    generator: str
    amount: float
    gains: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over the folds."""
        return float(np.mean(self.gains))

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return float(np.std(self.gains, ddof=1) / np.sqrt(len(self.gains)))

    @property
    def helps(self) -> bool:
        """Beyond doubt."""
        sure = self.mean > max(LEAST, SURE * self.error)
        return sure and min(self.gains) > -LEAST


@dataclass(frozen=True)
class Verdict:
    """``best``: the trial to follow. ``advises``: the one trial is of rows that are added whatever
    comes out."""

    target: str
    measure: str
    trials: tuple[Trial, ...]
    balances: bool = False
    advises: bool = False

    @property
    def best(self) -> Trial:
        """Of those that help, or of all."""
        helping = [trial for trial in self.trials if trial.helps]
        return max(helping or self.trials, key=lambda trial: trial.mean)

    @property
    def amount(self) -> float:
        """Synthetic rows for each real one, or the part of full balance; 0: none."""
        return self.best.amount if self.best.helps else 0.0

    def sentence(self) -> str:
        """For people."""
        best, folds = self.best, len(self.best.gains)
        told = f"{self.measure} {best.mean:+.3f} ± {best.error:.3f} in {folds} folds"
        if self.advises:
            return self._advice(told)
        if best.helps:
            what = (
                f"{100 * best.amount:.0f} % of the rows that full balance takes"
                if self.balances
                else f"{best.amount:g} synthetic rows for each real one"
            )
            return f"Adding {what} by {best.generator} helps to predict {self.target!r}: {told}."
        return (
            f"Adding synthetic rows would not help to predict {self.target!r} for sure (at best "
            f"{told}, by {best.generator}), so none are added."
        )

    def _advice(self, told: str) -> str:
        if self.best.helps:
            return f"These new rows help to predict {self.target!r}: {told}."
        harm = self.best.mean < -max(LEAST, self.best.error)
        what = "do harm to a model that predicts" if harm else "would not help for sure to predict"
        return (
            f"These new rows {what} {self.target!r}: {told}. Do not train on them for that; "
            "--no-harm adds as many as help, mostly none."
        )

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        trials = [
            {"generator": t.generator, "amount": t.amount, "gain": t.mean, "error": t.error}
            for t in self.trials
        ]
        return {
            "target": self.target,
            "measure": self.measure,
            "generator": self.best.generator if self.amount else None,
            "amount": self.amount,
            "advises": self.advises,
            "trials": trials,
            "sentence": self.sentence(),
        }


def verdict(
    rows: pa.Table,
    plan: Plan,
    observer: Observer,
    model: str = "",
    wishes: Wishes | None = None,
    amount: float | None = None,
) -> Verdict:
    """``model``: the one generator to try. ``wishes``: rows that balance a table; else as many as
    there are. ``amount``: the one to try, for advice on it. Raises ConfigError for a target that
    cannot be judged by so few rows."""
    rng = np.random.default_rng(derive(plan.seed, "folds"))
    order = rng.permutation(rows.num_rows)[:ROWS]
    folds = 5 if 5 * FEWEST <= len(order) <= _SMALL else 3
    amounts = (SHARES if wishes else AMOUNTS) if amount is None else (amount,)
    gains: dict[tuple[str, float], list[float]] = {}
    measure = ""
    for fold in range(folds):
        real, judged = _parted(rows, order, fold, folds)
        asked = list(wishes(real)) if wishes else [Wish(_drawable(real.num_rows))]
        task = _task(real, judged, plan.target, asked if wishes else [])
        measure = task.measure
        alone = [task.score(real, learner) for learner in range(LEARNERS)]
        for generator in (model,) if model else GENERATORS:
            observer.note(f"Fold {fold + 1} of {folds}: do rows by {generator} help?")
            own = replace(plan, model=generator, rare_model="", settings=plan.settings)
            if not model:  # options are those of one family
                own = replace(
                    own, settings={k: v for k, v in plan.settings.items() if k != "family"}
                )
            drawn, number = _drawn(real, own, asked, observer)
            for part in amounts:
                place = number < part if wishes else np.arange(len(number)) < part * real.num_rows
                some = drawn.filter(pa.array(place))
                gain = 0.0
                if some.num_rows:
                    both = pa.concat_tables([real, some])
                    gain = min(task.score(both, n) - alone[n] for n in range(LEARNERS))
                gains.setdefault((generator, part), []).append(gain)
    trials = tuple(Trial(*which, tuple(found)) for which, found in gains.items())
    return Verdict(plan.target, measure, trials, wishes is not None, amount is not None)


def _drawable(rows: int) -> int:
    return min(int(max(AMOUNTS) * rows), max(_MOST_DRAWN, rows))


def _parted(
    rows: pa.Table, order: NDArray[np.int64], fold: int, folds: int
) -> tuple[pa.Table, pa.Table]:
    """Rows to learn from, and those of the fold."""
    others = [order[i::folds] for i in range(folds) if i != fold]
    real = rows.take(pa.array(np.sort(np.concatenate(others))))
    return real, rows.take(pa.array(np.sort(order[fold::folds])))


def _task(real: pa.Table, judged: pa.Table, target: str, asked: Sequence[Wish]) -> Task:
    """What is to be predicted; of rows that balance, the classes that get some."""
    rare = [c.value for wish in asked if wish.rows for c in wish.conditions]
    if judged.num_rows >= FEWEST:
        task = Task(target, real, judged, rare=rare if asked else None)
        if task.possible:
            return task
    raise ConfigError(
        f"whether new rows help to predict {target!r} cannot be told from these rows",
        hint="Leave --no-harm out, or name a column of several values.",
    )


def _drawn(
    real: pa.Table, plan: Plan, asked: Sequence[Wish], observer: Observer
) -> tuple[pa.Table, NDArray[np.float64]]:
    """Rows, and of each how far on it stands among those of its wish, 0 … 1."""
    plan = replace(plan, settings=merge(plan.settings, {"data": {"test": 0.0}}))
    with (
        Learned(real, plan, observer) as learned,
        own_models(real, asked, plan, observer) as own,
    ):
        drawing = Drawing(learned, asked, found_rules(real), Constraints(), observer, own=own)
        table = pa.Table.from_batches(drawing.batches(), real.schema)
    parts = [np.arange(wish.rows) / max(wish.rows, 1) for wish in asked]
    return table, np.concatenate([np.empty(0), *parts])
