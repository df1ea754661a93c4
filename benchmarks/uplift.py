"""What adding rows gains a learner on real test rows: small tables, and rare classes.

    python benchmarks/uplift.py --root DATA --small housing_small,diabetes,adult_small \\
        --rare shoppers_imb,mammography --seeds 3 --json benchmarks/results.jsonl

``DATA/NAME/`` as for ``augmentation.py``; ``meta.json`` names ``target``, and ``positive`` of rare
classes. Each generator adds five rows for each real one (small), or rows of the rare class until
the classes are even (rare); ``no-harm`` is the command's own choice of generator and amount. The
learner is scikit-learn's gradient boosting as it comes, judged by AUC or R², of rare classes by
average precision; the same rows without new ones are the base. Goals: BENCHMARKS.md §tabular.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "0")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from gmkit_augmentation.augmenting import ORIGIN, Request, augment
from gmkit_augmentation.learning import Plan
from gmkit_augmentation.measures.matrices import Features
from measure import Report, parser

from gmkit.observer import Observer

GATE = "no-harm"
HARM = -0.002
"""Goal of every gain on small tables; of rare classes it is 0."""
TIMES = 5
LEARNERS = 2
"""Seeds of the learner."""


class Judge:
    """Scores of rows by a learner trained on them."""

    def __init__(self, folder: Path, rare: bool) -> None:
        facts = json.loads((folder / "meta.json").read_text())
        self.target, self.rare = facts["target"], rare
        self.path = folder / "train.parquet"
        self.train = pq.read_table(self.path)
        self.test = pq.read_table(folder / "test.parquet").cast(self.train.schema)
        self.classes = facts["task"] != "regression"
        self.positive = facts.get("positive")
        self._features = Features(self.train, without=self.target)
        self._rows, self._truth = self._features.ordinal(self.test), self._values(self.test)

    def _values(self, table: pa.Table) -> np.ndarray:
        column = table.column(self.target)
        if not self.classes:
            return np.asarray(column.to_numpy(), dtype=np.float64)
        texts = np.array([str(value) for value in column.to_pylist()])
        return texts if self.positive is None else (texts == str(self.positive)).astype(int)

    def score(self, table: pa.Table) -> float:
        """Mean over the learner's seeds."""
        return float(np.mean([self._score(table, seed) for seed in range(LEARNERS)]))

    def _score(self, table: pa.Table, seed: int) -> float:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
        from sklearn.metrics import average_precision_score, r2_score, roc_auc_score

        options: dict[str, Any] = {"random_state": seed}
        options["categorical_features"] = self._features.categorical
        rows, truth = self._features.ordinal(table), self._values(table)
        if not self.classes:
            model = HistGradientBoostingRegressor(**options).fit(rows, truth)
            return float(r2_score(self._truth, model.predict(self._rows)))
        chance = HistGradientBoostingClassifier(**options).fit(rows, truth)
        found = chance.predict_proba(self._rows)
        if self.rare:
            return float(average_precision_score(self._truth, found[:, 1]))
        if found.shape[1] == 2:
            return float(roc_auc_score(self._truth, found[:, 1]))
        return float(roc_auc_score(self._truth, found, multi_class="ovr"))

    def augmented(self, generator: str, seed: int, out: Path) -> tuple[pa.Table, str]:
        """The rows with new ones, and what the gate said."""
        gate = generator == GATE
        plan = Plan(model="trees" if gate else generator, target=self.target, seed=seed)
        balance = f"{self.target}={self.positive}:0.5" if self.rare else ""
        rows = None if gate or self.rare else TIMES * self.train.num_rows
        request = Request(str(self.path), out, rows, balance=balance, no_harm=gate, plan=plan)
        result = augment(request, Observer())
        told = ""
        if result.gate:
            told = f"{result.gate.best.generator} ×{result.gate.amount:g}"
        return pq.read_table(out).drop_columns([ORIGIN]).cast(self.train.schema), told


def main() -> None:
    """Judge every generator on every table."""
    options = arguments()
    with (
        Report("uplift", "What adding rows gains", options) as report,
        tempfile.TemporaryDirectory() as place,
    ):
        out = Path(place) / "out.parquet"
        jobs = [(name, False) for name in options.small.split(",") if name]
        jobs += [(name, True) for name in options.rare.split(",") if name]
        lines = []
        for name, rare in jobs:
            judge = Judge(options.root / name, rare)
            base = judge.score(judge.train)
            for generator in options.generators.split(","):
                gains, seconds, choices = [], [], []
                for seed in range(options.seeds):
                    began = time.process_time()
                    rows, told = judge.augmented(generator, seed, out)
                    seconds.append(time.process_time() - began)
                    gains.append(judge.score(rows) - base)
                    choices.append(told)
                    print(name, generator, seed, f"{gains[-1]:+.4f}", told, flush=True)
                cells = [f"{base:.3f}", f"{np.mean(gains):+.4f}", f"{min(gains):+.4f}"]
                chosen = ", ".join(c for c in choices if c)
                lines.append([name, generator, *cells, f"{np.mean(seconds):.0f}", chosen])
                if generator == GATE:
                    least = 0.0 if rare else HARM
                    report.goal(f"{name}, least gain by no-harm", min(gains), "", at_least=least)
        columns = ["table", "generator", "base", "gain", "least", "CPU s", "chosen"]
        report.table(f"Gain over {options.seeds} seeds", columns, lines)


def arguments() -> argparse.Namespace:
    """What the command line says."""
    assert __doc__ is not None
    made = parser(__doc__)
    made.add_argument("--root", type=Path, required=True, help="folder of the tables' folders")
    made.add_argument("--small", default="housing_small,diabetes,adult_small,magic_small")
    made.add_argument("--rare", default="shoppers_imb,mammography")
    made.add_argument("--generators", default=f"{GATE},trees,smote,copula,noise")
    made.add_argument("--seeds", type=int, default=3)
    return made.parse_args()


if __name__ == "__main__":
    main()
