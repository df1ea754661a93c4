"""What adding rows gains a learner on real test rows: small tables, and rare classes.

    python benchmarks/uplift.py --root DATA --small housing_small,diabetes,adult_small \\
        --rare shoppers_imb,mammography --seeds 3 --json benchmarks/results.jsonl

``DATA/NAME/`` as for ``augmentation.py``; ``meta.json`` names ``target``, and ``positive`` of rare
classes. Each table is measured by itself and its line written at once; ``--resume`` leaves out
those whose line the file already has.

Each generator adds five rows for each real one (small), or rows of the rare class until the classes
are even (rare); ``no-harm`` is the command's own choice of generator and amount. The learner is
scikit-learn's gradient boosting as it comes, judged by AUC or R², of rare classes by average
precision; the same rows without new ones are the base. ``--peers FOLDER`` holds ``run_peer.py``,
run by ``--python`` for each of ``--contestants`` (smote: imbalanced-learn's for rare classes).
Goals: BENCHMARKS.md §tabular.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "0")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from gmkit_augmentation.augmenting import ORIGIN, Request, augment
from gmkit_augmentation.learning import Plan
from gmkit_augmentation.measures.matrices import Features
from measure import Report, command, measured, parser, spent

from gmkit.observer import Observer

SMALL = "housing_small,diabetes,adult_small,magic_small"
RARE = "shoppers_imb,mammography"
"""Tables measured where none is named."""
GATE = "no-harm"
HARM = -0.002
"""Goal of every gain on small tables; of rare classes it is 0."""
MEANS = {"housing_small": 0.03, "shoppers_imb": 0.035, "mammography": 0.035}
"""Goals of mean gains."""
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

    def of_peer(self, options: argparse.Namespace, name: str, seed: int, out: Path) -> pa.Table:
        """The rows with new ones by a peer."""
        rows = TIMES * self.train.num_rows
        if self.rare:
            rows = self.train.num_rows - 2 * int(self._values(self.train).sum())
        words = [options.python, options.peers / "run_peer.py", name, self.path.parent, out]
        words += ["--n", str(rows), "--seed", str(seed), "--cap", str(options.cap)]
        spent([*words, *(["--balance"] if self.rare else [])])
        found = pq.read_table(out).select(self.train.schema.names)
        new = found.replace_schema_metadata().cast(self.train.schema, safe=False)
        return pa.concat_tables([self.train, new])


def of_table(options: argparse.Namespace, name: str, rare: bool, report: Report) -> None:
    """Judge every generator on one table."""
    judge = Judge(options.root / name, rare)
    base = judge.score(judge.train)
    lines = []
    contestants = [("gmkit", generator) for generator in options.generators.split(",")]
    if options.peers:
        contestants += [("peer", other) for other in options.contestants.split(",") if other]
    for whose, generator in contestants:
        gains, seconds, choices = [], [], []
        for seed in range(options.seeds):
            began = sum(os.times()[:4])
            with tempfile.TemporaryDirectory() as place:
                out = Path(place) / "out.parquet"
                try:
                    if whose == "gmkit":
                        rows, told = judge.augmented(generator, seed, out)
                    else:
                        rows, told = judge.of_peer(options, generator, seed, out), ""
                except subprocess.SubprocessError as error:
                    report.note(f"peer {generator} failed: {str(error).splitlines()[-1][:200]}")
                    break
            seconds.append(sum(os.times()[:4]) - began)
            gains.append(judge.score(rows) - base)
            choices.append(told)
            print(name, whose, generator, seed, f"{gains[-1]:+.4f}", told, flush=True)
        if not gains:
            continue
        cells = [f"{base:.3f}", f"{np.mean(gains):+.4f}", f"{min(gains):+.4f}"]
        chosen = ", ".join(c for c in choices if c)
        lines.append([f"{whose} {generator}", *cells, f"{np.mean(seconds):.0f}", chosen])
        if generator == GATE:
            least = 0.0 if rare else HARM
            report.goal(f"{name}, least gain by no-harm", min(gains), "", at_least=least)
            if name in MEANS:
                mean = float(np.mean(gains))
                report.goal(f"{name}, mean gain by no-harm", mean, "", at_least=MEANS[name])
    columns = ["generator", "base", "gain", "least", "CPU s", "chosen"]
    report.table(f"{name}: gain over {options.seeds} seeds", columns, lines)


def main() -> None:
    """Each table by itself."""
    options = arguments()
    small, rare = options.small, options.rare
    if not (small or rare):
        small, rare = SMALL, RARE
    jobs = [("small", name) for name in small.split(",") if name]
    jobs += [("rare", name) for name in rare.split(",") if name]
    for kind, name in jobs:
        again = command(**{"small": "", "rare": "", kind: name})
        if options.resume and measured(options.json, again):
            continue
        with Report("uplift", f"What adding rows gains: {name}", options, command=again) as report:
            of_table(options, name, kind == "rare", report)


def arguments() -> argparse.Namespace:
    """What the command line says."""
    assert __doc__ is not None
    made = parser(__doc__)
    made.add_argument("--root", type=Path, required=True, help="folder of the tables' folders")
    made.add_argument("--small", default="", help="tables of few rows")
    made.add_argument("--rare", default="", help="tables of a rare class")
    made.add_argument("--generators", default=f"{GATE},trees,smote,copula,noise")
    made.add_argument("--seeds", type=int, default=3)
    made.add_argument("--peers", type=Path, help="folder that holds run_peer.py")
    made.add_argument("--python", type=Path, default=sys.executable, help="has what peers import")
    made.add_argument("--contestants", default="smote,gaussian_copula")
    made.add_argument("--cap", type=float, default=60, help="seconds that a peer may learn")
    made.add_argument("--resume", action="store_true", help="leave out what --json already has")
    return made.parse_args()


if __name__ == "__main__":
    main()
