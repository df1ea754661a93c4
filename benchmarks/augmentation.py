"""Augmented tables beside what bounds them: fidelity, detection, utility, privacy, time, memory.

    python benchmarks/augmentation.py --root DATA --data adult,shoppers,magic,housing \\
        --models trees --json benchmarks/results.jsonl

``DATA/NAME/`` holds ``train.parquet``, ``test.parquet`` and ``meta.json`` with ``target``. Each
model is run by the command line (``gmkit augment``, start-up, reading and writing included). Its
rows are judged by gmkit's measures against the training rows, with ``test.parquet`` as held-out
rows, beside three tables of which nothing has to be learned:

    test rows          real rows as if synthetic: what can be reached at most
    copies             training rows drawn with replacement: like the data, and no privacy
    independent        each column shuffled by itself: no relations

``--scorer PATH`` has the rows judged by a neutral script too (called as ``PATH DATA/NAME FILE
--mode quality``; it prints one JSON object). Goals: BENCHMARKS.md §tabular.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "0")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from gmkit_augmentation.measures.fidelity import shapes, trends
from gmkit_augmentation.measures.learners import detection, utility
from gmkit_augmentation.measures.privacy import privacy
from measure import Report, parser

COLUMNS = ("shapes", "trends", "detection", "utility", "of real", "closer", "copies", "s", "MB")
GOALS = {
    "adult": {"detection": 0.56, "utility": 0.922},
    "shoppers": {"detection": 0.69, "utility": 0.925},
    "magic": {"detection": 0.65, "utility": 0.935},
    "housing": {"detection": 0.68, "utility": 0.78},
}
CLOSER = 0.54
SECONDS = 60.0
"""Goals of every table: share of rows nearer to training rows, seconds of the whole command."""


def augmented(folder: Path, target: str, model: str, out: Path) -> dict[str, float]:
    """Run the command; seconds and peak memory."""
    words = ["augment", str(folder / "train.parquet"), "--target", target, "--model", model]
    words += ["--only-synthetic", "--no-report", "--quiet", "--out", str(out)]
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "gmkit", *words], check=True, stdout=subprocess.DEVNULL)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {"s": time.perf_counter() - began, "MB": peak}


def judged(train: pa.Table, test: pa.Table, rows: pa.Table, target: str) -> dict[str, float]:
    """The figures of ``COLUMNS`` but for time and memory."""
    alike = shapes(train, rows)
    use = utility(target, train, rows, test)
    near = privacy(train, rows, test)
    return {
        "shapes": sum(alike.values()) / len(alike),
        "trends": trends(train, rows),
        "detection": detection(train, rows),
        "utility": use.synthetic if use else float("nan"),
        "of real": use.real if use else float("nan"),
        "closer": near.share,
        "copies": near.copies,
    }


def bounds(train: pa.Table, test: pa.Table) -> dict[str, pa.Table]:
    """The tables of which nothing has to be learned."""
    rng = np.random.default_rng(0)
    count = train.num_rows
    drawn = train.take(pa.array(rng.integers(count, size=count)))
    shuffled = [column.take(pa.array(rng.permutation(count))) for column in train.columns]
    independent = pa.Table.from_arrays(shuffled, schema=train.schema)
    return {"test rows": test, "copies": drawn, "independent": independent}


def scored(scorer: Path, folder: Path, rows: Path) -> dict[str, Any]:
    """What the neutral script says."""
    command = [sys.executable, str(scorer), str(folder), str(rows), "--mode", "quality", "--no-sdm"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def row(name: str, figures: dict[str, float]) -> list[str]:
    """Cells of a table."""
    cells = [figures.get(column) for column in COLUMNS]
    texts = ["–" if c is None else f"{c:.0f}" if c >= 10 else f"{c:.3f}" for c in cells]
    return [name, *texts]


def main() -> None:
    """Judge every model on every table."""
    options = arguments()
    with (
        Report("augmentation", "Augmented tables", options) as report,
        tempfile.TemporaryDirectory() as place,
    ):
        for name in options.data.split(","):
            folder = options.root / name
            target = json.loads((folder / "meta.json").read_text())["target"]
            train, test = (pq.read_table(folder / f"{n}.parquet") for n in ("train", "test"))
            test = test.cast(train.schema)
            lines, neutral = [], []
            for model in options.models.split(","):
                out = Path(place) / f"{name}-{model}.parquet"
                figures = augmented(folder, target, model, out)
                figures |= judged(train, test, pq.read_table(out), target)
                lines.append(row(f"gmkit {model}", figures))
                if options.scorer:
                    found = scored(options.scorer, folder, out)
                    neutral.append([model, *(found.get(n) for n in options.scores.split(","))])
                if model == "trees":
                    goals(report, name, figures)
            for kind, rows in bounds(train, test).items():
                figures = judged(train, test, rows, target)
                if rows is test:  # it cannot be judged by itself
                    del figures["utility"], figures["closer"]
                lines.append(row(kind, figures))
            report.table(f"{name}: {train.num_rows:,} rows", ["rows", *COLUMNS], lines)
            if neutral:
                report.table(
                    f"{name}, neutral scorer", ["rows", *options.scores.split(",")], neutral
                )
        report.note("detection: AUC, .5 best, below it copies; utility: AUC or R² on test rows")


def goals(report: Report, name: str, figures: dict[str, float]) -> None:
    """Hold the default model against the goals."""
    report.goal(f"{name}, closer to training rows", figures["closer"], "", at_most=CLOSER)
    report.goal(f"{name}, whole command", figures["s"], "s", at_most=SECONDS)
    for goal, bound in GOALS.get(name, {}).items():
        bounds_ = {"at_most": bound} if goal == "detection" else {"at_least": bound}
        report.goal(f"{name}, {goal}", figures[goal], "", **bounds_)


def arguments() -> argparse.Namespace:
    """What the command line says."""
    assert __doc__ is not None
    made = parser(__doc__)
    made.add_argument("--root", type=Path, required=True, help="folder of the tables' folders")
    made.add_argument("--data", default="adult,shoppers,magic,housing")
    made.add_argument("--models", default="trees", help="families, separated by commas")
    made.add_argument("--scorer", type=Path, help="a neutral script that judges, too")
    made.add_argument("--scores", default="tstr,c2st_gb_auc,dcr_share_train,exact_copy_rate")
    return made.parse_args()


if __name__ == "__main__":
    main()
