"""Anomaly detection by the command line, judged by labels it never saw.

    python benchmarks/anomaly.py --tables TABLES --planted PLANTED --seeds 3 \\
        --json benchmarks/results.jsonl

``TABLES/NAME.parquet`` holds numbers and a column ``label`` (1: abnormal). Two protocols:

    semi    learned from a random half of the normal rows; the rest and all abnormal ones judged
    unsup   learned from all rows and judged on the same, labels unseen

beside PyOD's detectors where it is installed (``pip install pyod``), in the same run. With
``--results FILE`` each result is kept as it comes, and a run that was cut short goes on.
``PLANTED/NAME`` holds ``train``, ``test`` and ``labels`` with the columns that were tampered
with. ``--long FILE`` times one long table; ``FILE.labels.parquet`` beside it judges the scores.
``--make ROWSxCOLUMNS FILE`` writes such a table first.

Goals: BENCHMARKS.md §anomaly.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "0")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from labelled_tables import GMKIT, judged, measured, rows_of
from measure import Report, parser, spent

from gmkit.scoring.calibration import false_discoveries

GOALS = {"semi": (0.895, 0.75), "unsup": (0.79, 0.49)}
"""AUROC and average precision, means over all tables."""
PLANTED = {"joint": (0.88, 0.55, 0.65), "margin": (0.95, None, 0.97)}
"""AUROC, average precision, share of rows whose right column comes first."""
SECONDS = 20.0
RATE = 0.1
BATCH = 65_536
"""Rows of the long table made at once."""


def command(test: Path, train: Path, seed: int, out: Path, *more: str) -> float:
    """Processor seconds of the whole command."""
    return used(test, train, seed, out, *more)[1]


def used(test: Path, train: Path, seed: int, out: Path, *more: str) -> tuple[float, float, float]:
    """Seconds of the whole command by the clock and of the processor, and its peak memory, MB."""
    words = ["detect-anomalies", str(test), "--train", str(train), "--seed", str(seed)]
    words += ["--scores-only", "--no-report", "--quiet", "--out", str(out), *more]
    _, figures = spent([sys.executable, "-m", "gmkit", *words])
    return figures["s"], figures["CPU s"], figures["MB"]


def protocols(options: argparse.Namespace, place: Path, report: Report) -> None:
    """Both, over all tables and seeds."""
    chosen = sorted(options.tables.glob("*.parquet"), key=lambda path: path.stat().st_size)
    if options.names:
        chosen = [path for path in chosen if path.stem in options.names.split(",")]
    heads = [path.stem for path in chosen]
    results = options.results or place / "results.jsonl"
    for protocol, (area_goal, precision_goal) in GOALS.items():
        found = measured(chosen, protocol, options.seeds, place, command, results)
        report.table(
            f"{protocol}: AUROC / AP × 100",
            ["detector", "mean", "rank", "CPU s", *heads],
            rows_of(found, heads),
        )
        mine = [line for line in found if line["detector"] == GMKIT]
        means = {
            key: float(np.mean([line[key] for line in mine])) for key in ("auroc", "ap")
        }  # as many seeds for each table
        whole = len(chosen) > 10  # the goals are of all twelve tables
        report.goal(f"{protocol}: AUROC", means["auroc"], "", at_least=area_goal if whole else None)
        report.goal(f"{protocol}: AP", means["ap"], "", at_least=precision_goal if whole else None)
        most = max(line["seconds"] for line in mine)
        report.goal(f"{protocol}: processor seconds a table, most", most, "s", at_most=SECONDS)


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
    heads = ["table", "AUROC", "AP", "right column first", "false at .1", "power at .1", "CPU s"]
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
    took, busy, peak = used(options.long, options.long, 0, out, "--contamination", "0.01")
    facts = pq.read_metadata(options.long)
    name = f"{facts.num_rows:,} × {facts.num_columns}"
    report.goal(f"{name}: rows a second", facts.num_rows / took, "", at_least=400_000)
    report.goal(f"{name}: rows a processor second", facts.num_rows / busy, "")
    whole = facts.num_rows > 5_000_000
    report.goal(f"{name}: peak memory", peak, "MB", at_most=1000 if whole else 600)
    labels = options.long.with_suffix(".labels.parquet")
    if labels.exists():
        truth = pq.read_table(labels)["label"].to_numpy()
        area, precision = judged(truth, pq.read_table(out)["score"].to_numpy())
        report.goal(f"{name}: AUROC", area, "")
        report.goal(f"{name}: AP", precision, "", at_least=0.55)


def make_long(shape: str, path: Path) -> None:
    """``ROWSxCOLUMNS`` of eight hidden factors and noise; in a hundredth of the rows three columns
    come from other rows, so that only their dependence is broken. Written batch by batch."""
    rows, width = map(int, shape.split("x"))
    rng = np.random.default_rng(7)
    factors = rng.normal(size=(8, width)) / np.sqrt(8)
    names = [f"f{i}" for i in range(width)]
    numbers = pa.schema([(name, pa.float32()) for name in names])
    truth = pa.schema([("label", pa.int8())])
    with (
        pq.ParquetWriter(path, numbers, compression="zstd") as data,
        pq.ParquetWriter(path.with_suffix(".labels.parquet"), truth) as labels,
    ):
        for begin in range(0, rows, BATCH):
            many = min(BATCH, rows - begin)
            hidden = rng.normal(size=(many, 8)) @ factors
            values = (hidden + 0.3 * rng.normal(size=(many, width))).astype(np.float32)
            odd = rng.random(many) < 0.01
            places = np.flatnonzero(odd)
            for step in range(3):
                columns = (places + 11 * step) % width
                values[places, columns] = values[rng.integers(many, size=len(places)), columns]
            data.write_table(pa.table(dict(zip(names, values.T, strict=True)), numbers))
            labels.write_table(pa.table({"label": odd.astype(np.int8)}, truth))


def main() -> None:
    """What is asked for."""
    made = parser(__doc__ or "")
    made.add_argument("--tables", type=Path)
    made.add_argument("--planted", type=Path)
    made.add_argument("--long", type=Path)
    made.add_argument("--make", metavar="ROWSxCOLUMNS", help="write the long table first")
    made.add_argument("--results", type=Path, help="each result as it comes; go on from there")
    made.add_argument("--names", default="", help="tables, separated by commas; default: all")
    made.add_argument("--seeds", type=int, default=1)
    options = made.parse_args()
    if options.make and options.long and not options.long.exists():
        make_long(options.make, options.long)
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
