"""Augmented tables beside peers and what bounds them: fidelity, detection, utility, privacy, cost.

    python benchmarks/augmentation.py --root DATA --data adult,shoppers,magic,housing \\
        --peers FOLDER --python PYTHON --json benchmarks/results.jsonl

``DATA/NAME/`` holds ``train.parquet``, ``test.parquet`` and ``meta.json`` with ``target``. Each
table is measured by itself and its line written at once; ``--resume`` leaves out those whose line
the file already has.

Each model is run by the command line (``gmkit augment``: CPU seconds and memory of the whole
process, start-up, reading and writing included) and, for CPU seconds of learning and rows drawn a
CPU second, from Python. ``--peers`` holds ``run_peer.py``, run by ``--python`` for each name of
``--contestants``: CPU seconds and memory likewise, learning and rows a second by its own account
(wall time).

All rows are judged by gmkit's measures against the training rows, with ``test.parquet`` as held-out
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
from measure import Report, command, measured, parser, spent

import gmkit

JUDGED = ("shapes", "trends", "detection", "utility", "of real", "closer", "copies")
COSTS = ("fit s", "rows/s", "CPU s", "MB")
GOALS = {
    "adult": {"detection": 0.56, "trends": 0.98, "utility": 0.922},
    "shoppers": {"detection": 0.69, "utility": 0.925},
    "magic": {"detection": 0.65, "utility": 0.935},
    "housing": {"detection": 0.68, "utility": 0.78},
}
CLOSER = 0.54
SECONDS = 60.0
RATE = 200_000
"""Goals of every table: share of rows nearer to training rows, CPU seconds of the whole command,
rows drawn a second."""
DRAWN = 200_000
"""Rows that the rate is measured with."""


def augmented(folder: Path, target: str, model: str, out: Path) -> dict[str, float]:
    """Run the command, then learn and draw from Python."""
    data = folder / "train.parquet"
    words = ["augment", str(data), "--target", target, "--model", model]
    words += ["--only-synthetic", "--no-report", "--quiet", "--out", str(out)]
    _, figures = spent([sys.executable, "-m", "gmkit", *words])
    began = time.process_time()
    fitted = gmkit.Augmenter(target=target, model=model).fit(str(data))
    learned = time.process_time()
    fitted.sample(DRAWN)
    figures["fit s"] = learned - began
    figures["rows/s"] = DRAWN / (time.process_time() - learned)
    return figures


def peer(options: argparse.Namespace, name: str, folder: Path, out: Path) -> dict[str, float]:
    """Run a peer's own learning and drawing."""
    rows = pq.read_metadata(folder / "train.parquet").num_rows
    words = [options.python, options.peers / "run_peer.py", name, folder, out]
    told, figures = spent([*words, "--n", str(rows), "--cap", str(options.cap)])
    facts = json.loads(next(line for line in told.splitlines() if line.startswith("{")))
    figures |= {"fit s": facts["fit_s"], "rows/s": facts["rows_per_s"]}
    return figures


def read(path: Path, like: pa.Schema) -> pa.Table:
    """Rows as the table's columns and types, as far as they can be that."""
    table = pq.read_table(path).select(like.names)
    columns = []
    for column, field in zip(table.columns, like, strict=True):
        try:
            columns.append(column.cast(field.type))
        except pa.ArrowInvalid:  # 3.7 where there are whole numbers only
            columns.append(column.cast(field.type, safe=False))
    return pa.Table.from_arrays(columns, schema=like)


def judged(train: pa.Table, test: pa.Table, rows: pa.Table, target: str) -> dict[str, float]:
    """The figures of ``JUDGED``."""
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
    words = [sys.executable, str(scorer), str(folder), str(rows), "--mode", "quality", "--no-sdm"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def row(name: str, figures: dict[str, float]) -> list[str]:
    """Cells of a table."""
    cells = [figures.get(column) for column in (*JUDGED, *COSTS)]
    texts = ["–" if c is None else f"{c:,.0f}" if c >= 10 else f"{c:.3f}" for c in cells]
    return [name, *texts]


def of_table(options: argparse.Namespace, name: str, report: Report, place: Path) -> None:
    """Judge every model, every peer and the bounds on one table."""
    folder = options.root / name
    target = json.loads((folder / "meta.json").read_text())["target"]
    train, test = (pq.read_table(folder / f"{n}.parquet") for n in ("train", "test"))
    train = train.replace_schema_metadata()
    test = test.replace_schema_metadata().cast(train.schema)
    lines, neutral = [], []
    contestants = [("gmkit", model) for model in options.models.split(",") if model]
    if options.peers:
        contestants += [("peer", other) for other in options.contestants.split(",") if other]
    for whose, contestant in contestants:
        told = f"{whose} {contestant}"
        out = place / f"{name}-{told.replace(' ', '-')}.parquet"
        try:
            if whose == "gmkit":
                figures = augmented(folder, target, contestant, out)
            else:
                figures = peer(options, contestant, folder, out)
        except subprocess.SubprocessError as error:
            report.note(f"{told} failed: {str(error).splitlines()[-1][:200]}")
            continue
        figures |= judged(train, test, read(out, train.schema), target)
        lines.append(row(told, figures))
        print(*lines[-1], flush=True)
        if options.scorer:
            found = scored(options.scorer, folder, out)
            neutral.append([told, *(found.get(n) for n in options.scores.split(","))])
        if told == "gmkit trees":
            goals(report, name, figures)
    for kind, rows in bounds(train, test).items():
        figures = judged(train, test, rows, target)
        if rows is test:  # it cannot be judged by itself
            del figures["utility"], figures["closer"]
        lines.append(row(kind, figures))
    report.table(f"{name}: {train.num_rows:,} rows", ["rows", *JUDGED, *COSTS], lines)
    if neutral:
        columns = ["rows", *options.scores.split(",")]
        report.table(f"{name}, neutral scorer", columns, neutral)
    report.note(
        "fit s and rows/s: CPU seconds of gmkit, wall seconds of peers by their own account"
    )
    report.note("detection: AUC, .5 best, below it copies; utility: AUC or R² on test rows")


def main() -> None:
    """Each table by itself."""
    options = arguments()
    gmkit.Augmenter().fit(pa.table({"x": np.arange(100) % 7})).sample(1)  # what is imported once
    for name in options.data.split(","):
        again = command(data=name)
        if options.resume and measured(options.json, again):
            continue
        title = f"Augmented tables: {name}"
        with (
            Report("augmentation", title, options, command=again) as report,
            tempfile.TemporaryDirectory() as place,
        ):
            of_table(options, name, report, Path(place))


def goals(report: Report, name: str, figures: dict[str, float]) -> None:
    """Hold the default model against the goals."""
    report.goal(f"{name}, closer to training rows", figures["closer"], "", at_most=CLOSER)
    report.goal(f"{name}, whole command", figures["CPU s"], "CPU s", at_most=SECONDS)
    report.goal(f"{name}, drawing", figures["rows/s"], "rows/s", at_least=RATE)
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
    made.add_argument("--peers", type=Path, help="folder that holds run_peer.py")
    made.add_argument("--python", type=Path, default=sys.executable, help="has what peers import")
    made.add_argument("--contestants", default="smote,gaussian_copula,tvae,ctgan")
    made.add_argument("--cap", type=float, default=100, help="seconds that a peer may learn")
    made.add_argument("--scorer", type=Path, help="a neutral script that judges, too")
    made.add_argument("--scores", default="tstr,c2st_gb_auc,dcr_share_train,exact_copy_rate")
    made.add_argument("--resume", action="store_true", help="leave out what --json already has")
    return made.parse_args()


if __name__ == "__main__":
    main()
