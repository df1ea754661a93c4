"""Figures by boosted trees: whether rows can be told apart, and what can be learned from them.

Detection is a classifier two-sample test (Lopez-Paz & Oquab 2017): .5 means that real and synthetic
rows cannot be told apart. Utility is "train on synthetic, test on real" (Esteban et al. 2017).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmkit.codecs.tables.numbers import is_number, plain_type
from gmkit_augmentation.measures.matrices import Features, Matrix

ROWS = 6000
"""Rows of each sort that the detector sees."""
LEARNERS = 2
LEAST = 40
"""Below so many rows nothing is measured."""
_CLASSES = 50
_FEW = 2500


def detection(real: pa.Table, synthetic: pa.Table, seed: int = 0) -> float:
    """Area under the curve of a detector over three folds; NaN for too few rows."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    count = min(ROWS, real.num_rows, synthetic.num_rows)
    if count < LEAST:
        return math.nan
    rng = np.random.default_rng(seed)
    features = Features(real)
    rows = [
        features.ordinal(table.take(pa.array(rng.choice(table.num_rows, count, replace=False))))
        for table in (real, synthetic)
    ]
    codes = np.concatenate(rows)
    classes = np.repeat([0, 1], count)
    model = HistGradientBoostingClassifier(max_iter=80, random_state=seed, early_stopping=False)
    folds = StratifiedKFold(3, shuffle=True, random_state=seed)
    chance = cross_val_predict(model, codes, classes, cv=folds, method="predict_proba")[:, 1]
    return float(roc_auc_score(classes, chance))


@dataclass(frozen=True)
class Utility:
    """What a learner makes of a target. ``measure``: AUC (of several classes their mean) or R²."""

    measure: str
    real: float
    """Trained on real rows,"""
    synthetic: float
    """on as many synthetic ones, and"""
    both: float
    """on both; all judged on held-out real rows."""


def utility(target: str, real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> Utility | None:
    """None where it cannot be measured: too few rows, or a target of one class."""
    if min(real.num_rows, synthetic.num_rows, holdout.num_rows) < LEAST:
        return None
    task = Task(target, real, holdout)
    if not task.possible:
        return None
    return Utility(
        task.measure,
        task.score(real),
        task.score(synthetic.slice(0, real.num_rows)),
        task.score(pa.concat_tables([real, synthetic])),
    )


class Task:
    """Predicting a column: trained on any rows, always judged on the same."""

    def __init__(
        self,
        target: str,
        real: pa.Table,
        judged: pa.Table,
        rare: Sequence[pa.Scalar | None] | None = None,
    ) -> None:
        """``real``: what features and the learner's options go by. ``rare``: classes whose average
        precision matters, in place of the AUC of all."""
        self.target = target
        kind = plain_type(real.schema.field(target).type)
        values = len(real.column(target).unique())
        self.classes = rare is not None or not is_number(kind) or values <= 10
        self.measure = "AUC" if self.classes else "R²"
        self._few = real.num_rows < _FEW
        self._rare: NDArray[np.float64] | None = None
        if rare is not None:
            self.measure = "average precision"
            named = pa.array([v.as_py() if v is not None else None for v in rare], kind)
            wanted = pa.table({target: named.cast(real.schema.field(target).type)})
            self._rare = Features(real.select([target])).ordinal(wanted)[:, 0]
        self._features = Features(real, without=target)
        self._targets = Features(real.select([target]))
        self._judged = self._features.ordinal(judged)
        self._truth = self._targets.ordinal(judged)[:, 0]
        known = ~np.isnan(self._truth)
        self._judged, self._truth = self._judged[known], self._truth[known]
        found = np.unique(self._truth)
        few = self.classes and not 2 <= len(found) <= _CLASSES
        self.possible = bool(self._features.features) and len(self._truth) >= 10 and not few

    def score(self, rows: pa.Table, learner: int = 0) -> float:
        """Of a learner trained on these; .5 or 0 where they teach nothing. ``learner``: 0 for one
        that suits the number of rows, 1 for scikit-learn's own choice of options."""
        codes, truth = self._features.ordinal(rows), self._targets.ordinal(rows)[:, 0]
        known = ~np.isnan(truth)
        codes, truth = codes[known], truth[known]
        if self.classes:
            return self._auc(codes, truth, learner)
        if len(truth) < 10:
            return 0.0
        from sklearn.ensemble import HistGradientBoostingRegressor
        from sklearn.metrics import r2_score

        model = HistGradientBoostingRegressor(**self._options(learner)).fit(codes, truth)
        return float(r2_score(self._truth, model.predict(self._judged)))

    def _auc(self, codes: Matrix, truth: NDArray[np.float64], learner: int) -> float:
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.metrics import average_precision_score, roc_auc_score

        measure = roc_auc_score if self._rare is None else average_precision_score
        if len(np.unique(truth)) < 2:
            return 0.5
        model = HistGradientBoostingClassifier(**self._options(learner)).fit(codes, truth)
        chance = model.predict_proba(self._judged)
        scores = []
        for value in np.unique(self._truth) if self._rare is None else self._rare:
            here = self._truth == value
            place = np.flatnonzero(model.classes_ == value)
            if len(place) and here.any() and not here.all():
                scores.append(measure(here, chance[:, place[0]]))
            elif self._rare is None:
                scores.append(0.5)
        return float(np.mean(scores)) if scores else 0.5

    def _options(self, learner: int) -> dict[str, Any]:
        """The same for any rows: more of them alone must not make a stronger learner."""
        few = self._few
        both = {
            "categorical_features": self._features.categorical,
            "random_state": 0,
            "early_stopping": False,
        }
        if learner:
            return both
        return {
            **both,
            "max_iter": 80 if few else 150,
            "learning_rate": 0.08,
            "min_samples_leaf": 10 if few else 20,
        }
