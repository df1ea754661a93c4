"""Do no harm: whether adding synthetic rows helps to predict a column, found out beforehand.

On each of three folds a model of the other two is learned and rows are drawn from it; a learner is
trained on the real rows of the two folds, alone and with them, and judged on the third. Rows are
added only if that helped on average by more than ``LEAST`` and more than its standard error.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from gmkit.errors import ConfigError
from gmkit.observer import Observer
from gmkit.randomness import derive
from gmkit_augmentation.constraints import Constraints
from gmkit_augmentation.drawing import Drawing, Wish
from gmkit_augmentation.learning import Learned, Plan
from gmkit_augmentation.measures.learners import LEAST as FEWEST
from gmkit_augmentation.measures.learners import Task
from gmkit_augmentation.rules import found_rules

FOLDS = 3
AMOUNTS = (0.5, 1.0, 2.0)
"""Synthetic rows for each real one that are tried."""
LEAST = 0.002
"""Gain (AUC or R²) from which on it is one."""
ROWS = 20_000
"""Rows that it is found out with, at most."""


@dataclass(frozen=True)
class Verdict:
    """``amount``: synthetic rows to add for each real one; 0: none."""

    target: str
    measure: str
    amount: float
    gains: dict[float, float]
    """Amount → mean gain over the folds."""
    errors: dict[float, float]
    """Their standard errors."""

    def sentence(self) -> str:
        """For people."""
        if self.amount:
            return (
                f"Adding {self.amount:g} synthetic rows for each real one helps to predict "
                f"{self.target!r}: {self.measure} {self.gains[self.amount]:+.3f} in "
                f"{FOLDS} folds."
            )
        best = max(self.gains, key=lambda amount: self.gains[amount])
        return (
            f"Adding synthetic rows would not help to predict {self.target!r} (at best "
            f"{self.measure} {self.gains[best]:+.3f} ± {self.errors[best]:.3f} in {FOLDS} folds), "
            "so none are added."
        )

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {**vars(self), "sentence": self.sentence()}


def verdict(rows: pa.Table, plan: Plan, observer: Observer) -> Verdict:
    """Raises ConfigError for a target that cannot be judged by so few rows."""
    rng = np.random.default_rng(derive(plan.seed, "folds"))
    order = rng.permutation(rows.num_rows)[:ROWS]
    gains: dict[float, list[float]] = {amount: [] for amount in AMOUNTS}
    measure = ""
    for fold in range(FOLDS):
        judged = rows.take(pa.array(np.sort(order[fold::FOLDS])))
        others = [order[i::FOLDS] for i in range(FOLDS) if i != fold]
        real = rows.take(pa.array(np.sort(np.concatenate(others))))
        if judged.num_rows < FEWEST or not (task := Task(plan.target, real, judged)).possible:
            raise ConfigError(
                f"whether new rows help to predict {plan.target!r} cannot be told from these rows",
                hint="Leave --no-harm out, or name a column of several values.",
            )
        measure = task.measure
        observer.note(f"Fold {fold + 1} of {FOLDS}: does adding rows help?")
        drawn = _drawn(real, plan, observer)
        alone = task.score(real)
        for amount in AMOUNTS:
            count = int(amount * real.num_rows)
            both = pa.concat_tables([real, drawn.slice(0, count)])
            gains[amount].append(task.score(both) - alone)
    means = {amount: float(np.mean(found)) for amount, found in gains.items()}
    errors = {
        amount: float(np.std(found, ddof=1) / np.sqrt(FOLDS)) for amount, found in gains.items()
    }
    sure = [a for a in AMOUNTS if means[a] > LEAST and means[a] > errors[a]]
    amount = max(sure, key=lambda a: means[a], default=0.0)
    return Verdict(plan.target, measure, amount, means, errors)


def _drawn(real: pa.Table, plan: Plan, observer: Observer) -> pa.Table:
    """Rows enough for the largest amount."""
    every = {"data": {"test": 0.0}}
    with Learned(real, replace(plan, settings={**plan.settings, **every}), observer) as learned:
        wishes = [Wish(int(max(AMOUNTS) * real.num_rows))]
        drawing = Drawing(learned, wishes, found_rules(real), Constraints(), observer)
        return pa.Table.from_batches(drawing.batches(), real.schema)
