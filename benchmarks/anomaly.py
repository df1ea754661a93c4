"""Anomaly detection by the command line, judged by labels it never saw.

    python benchmarks/anomaly.py --tables TABLES --planted PLANTED --seeds 3 \\
        --json benchmarks/results.jsonl

``TABLES/NAME.parquet`` holds numbers and a column ``label`` (1: abnormal). Two protocols:

    semi    learned from a random half of the normal rows; the rest and all abnormal ones judged
    unsup   learned from all rows and judged on the same, labels unseen

beside scikit-learn's isolation forest and the distance to the fifth nearest neighbour, in the same
run. ``PLANTED/NAME`` holds ``train``, ``test`` and ``labels`` with the columns that were tampered
with. ``--long FILE`` times one long table; ``FILE.labels.parquet`` beside it judges the scores. For
PyOD's detectors give the peers' runner this command:

    run.py … --cmd 'gmkit=gmkit detect-anomalies {test} --train {train} --seed {seed} --out {out}
    --scores-only --contributions --no-report --quiet'

Goals: BENCHMARKS.md §anomaly.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "0")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measure import Report, parser
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from gmkit.scoring.calibration import false_discoveries

GOALS = {"semi": (0.895, 0.75), "unsup": (0.79, 0.49)}
"""AUROC and average precision, means over all tables."""
PLANTED = {"joint": (0.88, 0.55, 0.65), "margin": (0.95, None, 0.97)}
"""AUROC, average precision, share of rows whose right column comes first."""
SECONDS = 20.0
RATE = 0.1


def command(test: Path, train: Path, seed: int, out: Path, *more: str) -> float:
    """Seconds of the whole command."""
    words = ["detect-anomalies", str(test), "--train", str(train), "--seed", str(seed)]
    words += ["--scores-only", "--no-report", "--quiet", "--out", str(out), *more]
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "gmkit", *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def matrix(path: Path) -> np.ndarray:
    """(N, D) float64."""
    return np.column_stack([column.to_numpy() for column in pq.read_table(path).columns])


def split(path: Path, protocol: str, seed: int, place: Path) -> tuple[Path, Path, np.ndarray]:
    """Files to learn from and to judge, and the labels of the latter."""
    table = pq.read_table(path)
    labels = table["label"].to_numpy()
    rows = table.drop_columns(["label"])
    learned = judged = np.arange(len(labels))
    if protocol == "semi":
        normal = np.random.default_rng(1000 + seed).permutation(np.flatnonzero(labels == 0))
        half = len(normal) // 2
        learned = normal[:half]
        judged = np.sort(np.concatenate([normal[half:], np.flatnonzero(labels == 1)]))
    train, test = place / "train.parquet", place / "test.parquet"
    pq.write_table(rows.take(pa.array(learned)), train)
    pq.write_table(rows.take(pa.array(judged)), test)
    # the same file is what the command takes for contaminated
    return (test if protocol == "unsup" else train), test, labels[judged]


def peers(train: Path, test: Path, seed: int) -> dict[str, np.ndarray]:
    """Scores (N,) of the classical detectors."""
    scaler = StandardScaler().fit(matrix(train))
    known, new = scaler.transform(matrix(train)), scaler.transform(matrix(test))
    forest = IsolationForest(random_state=seed).fit(known)
    own = int(train == test)
    near = NearestNeighbors(n_neighbors=5 + own).fit(known).kneighbors(new)[0]
    return {"isolation forest": -forest.score_samples(new), "neighbours": near[:, -1]}


def judged(labels: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """AUROC and average precision."""
    return (
        float(roc_auc_score(labels, scores)),
        float(average_precision_score(labels, scores)),
    )


def protocols(options: argparse.Namespace, place: Path, report: Report) -> None:
    """Both, over all tables and seeds."""
    chosen = sorted(options.tables.glob("*.parquet"))
    if options.names:
        chosen = [p for p in chosen if p.stem in options.names.split(",")]
    for protocol, (area_goal, precision_goal) in GOALS.items():
        found: dict[str, dict[str, list[tuple[float, float]]]] = {}
        took = []
        for path in chosen:
            for seed in range(options.seeds):
                train, test, labels = split(path, protocol, seed, place)
                took.append(command(test, train, seed, place / "scores.parquet"))
                scores = {"gmkit": pq.read_table(place / "scores.parquet")["score"].to_numpy()}
                for name, value in {**scores, **peers(train, test, seed)}.items():
                    mine = found.setdefault(name, {}).setdefault(path.stem, [])
                    mine.append(judged(labels, value))
                print(protocol, path.stem, seed, found["gmkit"][path.stem][-1], flush=True)
        rows = [[name, *_cells(tables)] for name, tables in found.items()]
        heads = [path.stem for path in chosen]
        report.table(f"{protocol}: AUROC / AP × 100", ["detector", "mean", "rank", *heads], rows)
        for row, rank in zip(rows, _ranks(found), strict=True):
            row[2] = f"{rank:.2f}"
        means = np.mean([np.mean(values, axis=0) for values in found["gmkit"].values()], axis=0)
        whole = len(chosen) > 10  # the goals are of all twelve tables
        report.goal(f"{protocol}: AUROC", means[0], "", at_least=area_goal if whole else None)
        report.goal(f"{protocol}: AP", means[1], "", at_least=precision_goal if whole else None)
        report.goal(f"{protocol}: seconds a table, most", max(took), "s", at_most=SECONDS)


def _cells(tables: dict[str, list[tuple[float, float]]]) -> list[str]:
    each = [np.mean(values, axis=0) for values in tables.values()]
    mean = np.mean(each, axis=0)
    texts = [f"{100 * a:.1f} / {100 * p:.1f}" for a, p in [mean, *each]]
    return [texts[0], "", *texts[1:]]


def _ranks(found: dict[str, dict[str, list[tuple[float, float]]]]) -> np.ndarray:
    areas = np.array([[np.mean([a for a, _ in v]) for v in t.values()] for t in found.values()])
    return (-areas).argsort(0).argsort(0).mean(1) + 1


def planted(options: argparse.Namespace, place: Path, report: Report) -> None:
    """Planted anomalies: found, explained, and discovered at a rate."""
    rows: list[list[Any]] = []
    kinds: dict[str, list[list[float]]] = {}
    for folder in sorted(options.planted.iterdir()):
        out = place / "scores.parquet"
        took = command(folder / "test.parquet", folder / "train.parquet", 0, out, "--contributions")
        truth, found = pq.read_table(folder / "labels.parquet"), pq.read_table(out)
        labels = truth["label"].to_numpy()
        area, precision = judged(labels, found["score"].to_numpy())
        p_values = found["p_value"].to_numpy()
        discovered = p_values <= false_discoveries(p_values, RATE)
        false = float((labels[discovered] == 0).mean()) if discovered.any() else 0.0
        power = float(discovered[labels == 1].mean())
        first = float(np.mean(list(_named_first(found, truth))))
        figures = [area, precision, first, false, power]
        kinds.setdefault(folder.name.rpartition("-")[2], []).append(figures)
        rows.append([folder.name, *(f"{value:.3f}" for value in figures), f"{took:.1f}"])
        print(rows[-1], flush=True)
    heads = ["table", "AUROC", "AP", "right column first", "false at .1", "power at .1", "s"]
    report.table("planted anomalies", heads, rows)
    for kind, found_ in kinds.items():
        means = np.mean(found_, axis=0)
        area_goal, precision_goal, first_goal = PLANTED.get(kind, (None, None, None))
        report.goal(f"{kind}: AUROC", means[0], "", at_least=area_goal)
        report.goal(f"{kind}: AP", means[1], "", at_least=precision_goal)
        report.goal(f"{kind}: right column first", means[2], "", at_least=first_goal)
        report.goal(f"{kind}: false discoveries at .1", means[3], "", at_most=RATE)
        report.goal(f"{kind}: power at .1", means[4], "", at_least=0.3 if kind == "joint" else None)


def _named_first(found: pa.Table, truth: pa.Table) -> Iterator[bool]:
    names = [n.removeprefix("contrib_") for n in found.schema.names if n.startswith("contrib_")]
    nats = np.column_stack([found[f"contrib_{name}"].to_numpy() for name in names])
    for row, bad in enumerate(truth["bad_features"].to_pylist()):
        if bad:
            yield names[int(nats[row].argmax())] in bad.split(";")


def long(options: argparse.Namespace, place: Path, report: Report) -> None:
    """One long table, end to end."""
    out = place / "long.parquet"
    took = command(options.long, options.long, 0, out, "--contamination", "0.01")
    rows = pq.read_metadata(options.long).num_rows
    report.goal("long table: rows a second", rows / took, "", at_least=400_000)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    report.goal("long table: peak memory of all commands", peak, "MB", at_most=600)
    labels = options.long.with_suffix(".labels.parquet")
    if labels.exists():
        truth = pq.read_table(labels)["label"].to_numpy()
        area, precision = judged(truth, pq.read_table(out)["score"].to_numpy())
        report.goal("long table: AUROC", area, "")
        report.goal("long table: AP", precision, "", at_least=0.55)


def main() -> None:
    """What is asked for."""
    made = parser(__doc__ or "")
    made.add_argument("--tables", type=Path)
    made.add_argument("--planted", type=Path)
    made.add_argument("--long", type=Path)
    made.add_argument("--names", default="", help="tables, separated by commas; default: all")
    made.add_argument("--seeds", type=int, default=1)
    options = made.parse_args()
    with (
        Report("anomaly", "Anomaly detection", options) as report,
        tempfile.TemporaryDirectory() as folder,
    ):
        place = Path(folder)
        os.environ.setdefault("GMKIT_CACHE", str(place / "cache"))
        if options.tables:
            protocols(options, place, report)
        if options.planted:
            planted(options, place, report)
        if options.long:
            long(options, place, report)


if __name__ == "__main__":
    main()
