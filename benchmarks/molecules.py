"""Quality on MOSES at a small budget: gmkit's row beside the peers'.

    python benchmarks/molecules.py --json benchmarks/results.jsonl \\
        --train moses_train_200k.parquet --rows 100000 --test moses_test_30k.parquet \\
        --budget 300s --repeats 3

Trains by the command line (``gmkit train --time-budget``, start-up and preparation of the data
included), draws ``-n`` molecules and judges the first ``--judge`` of them with gmkit's own MOSES
metrics; FCD depends on that number, and the peers' rows were judged at 5,000. ``--scorer PATH``
has them judged by a neutral script too (called as ``PATH gen --generated … --train … --test …``,
in the interpreter ``--scorer-python``); it must print one JSON object. Options after ``--set`` go
to ``gmkit train``. Goals: BENCHMARKS.md §molecules, for the family given.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "0")

import pyarrow as pa
import pyarrow.compute as pc
from gmkit_molecules.chemistry import canonical
from measure import Report, parser

import gmkit
from gmkit.data.source import open_source
from gmkit.metrics.evaluation import Evaluation, evaluate_samples
from gmkit.observer import Observer
from gmkit.plugins import registry
from gmkit.run import Run

NAMES = {
    "valid": "validity",
    "unique@1k": "uniqueness@1k",
    "novelty": "novelty",
    "FCD/test": "fcd/test",
    "SNN/test": "snn/test",
    "Scaf/test": "scaffolds/test",
    "filters": "filters",
}
"""Columns of the MOSES row, and the figures of ours that fill them."""

SOURCE = "BENCHMARKS.md §molecules (November 2026, 100,000 MOSES train molecules, one seed)"
PEERS: dict[str, tuple[float | None, ...]] = {
    "character GRU, 1 M": (300, 0.453, 1.0, 0.998, 2.37, 0.502, 0.712, 0.925),
    "MOSES combinatorial": (14, 0.996, 1.0, 0.993, 6.44, 0.423, 0.167, 0.776),
    "GRU, byte pairs of SMILES, 1.1 M": (300, 0.807, 1.0, 0.984, 0.66, 0.582, 0.795, 0.980),
    "MOSES' own CharRNN, 12 M": (300, 0.006, None, None, None, None, None, None),
    "train molecules themselves": (None, 1.0, 1.0, 0.0, 0.25, 0.643, 0.792, 1.0),
}
"""Seconds of training, then the columns of ``NAMES``."""

GOALS: dict[str, dict[str, tuple[float, bool]]] = {
    "best": {
        "valid": (0.97, False),
        "unique@1k": (0.999, False),
        "novelty": (0.95, False),
        "FCD/test": (0.45, True),
        "SNN/test": (0.58, False),
        "Scaf/test": (0.80, False),
        "filters": (0.98, False),
    },
    "vae": {"valid": (0.95, False), "FCD/test": (0.8, True), "reconstruction": (0.7, False)},
    "diffusion": {"valid": (0.90, False), "FCD/test": (1.5, True)},
    "vae+gan": {"FCD/test": (1.5, True)},
}
"""Goals of the best family, and of each: bound, and whether it is an upper one."""


def command(arguments: list[str]) -> None:
    """One gmkit command; ends the benchmark when it fails."""
    call = [sys.executable, "-m", "gmkit", *arguments]
    done = subprocess.run(call, stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise SystemExit(f"gmkit {shlex.join(arguments)} exited {done.returncode}")


def trained(options: argparse.Namespace, seed: int, folder: Path) -> tuple[Run, float]:
    """A run trained by the command line within the budget, and the seconds it took in all."""
    arguments = ["train", "--domain", "molecules", "--model", options.model]
    arguments += ["--data", str(options.train), "--time-budget", options.budget]
    arguments += ["--seed", str(seed), "--out", str(folder), "--quiet"]
    pairs = [f"data.limit={options.rows}"] if options.rows else []
    for pair in [*pairs, *options.set]:
        arguments += ["--set", pair]
    began = time.perf_counter()
    command(arguments)
    return gmkit.load(folder), time.perf_counter() - began


def drawn(run: Run, n: int, seed: int, folder: Path) -> tuple[pa.Table, float]:
    """``n`` samples by the command line, and molecules a second, loading included."""
    import pyarrow.parquet as pq

    out = folder / "drawn.parquet"
    began = time.perf_counter()
    command(["sample", str(run.folder), "-n", str(n), "--seed", str(seed), "--out", str(out), "-q"])
    return pq.read_table(out), n / (time.perf_counter() - began)


def molecules_of(path: Path) -> pa.Table:
    """The molecules of a file, column ``smiles``."""
    known = registry()
    source = open_source(path, domain=known.domain("molecules"), registry=known)
    return pa.Table.from_batches([batch.select(["smiles"]) for batch in source.batches()])


def judged(run: Run, synthetic: pa.Table, test: pa.Table, train: Path, n: int) -> Evaluation:
    """gmkit's metrics of the first ``n`` samples, beside those of ``n`` training molecules."""
    real = run.dataset(train).records.select(["smiles"])
    tables = {
        "real": real,
        "synthetic": synthetic.slice(0, n),
        "holdout": test,
        "floor": real.slice(0, n),
    }
    return evaluate_samples(registry(), "molecules", tables, Observer())


def reconstruction(run: Run, train: Path, n: int) -> float:
    """Share of ``n`` held-out molecules that come back from the latent exactly; NaN for a family
    that has none."""
    if not hasattr(run.family, "reconstruct") or "reconstruct" not in run.family.capabilities:
        return math.nan
    held_out = run.dataset(train).table("test").slice(0, n)
    back = run.reconstruct(held_out.select(["smiles"]))["smiles"].to_pylist()
    same = sum(canonical(b) == s for b, s in zip(back, held_out["smiles"].to_pylist(), strict=True))
    return same / max(1, held_out.num_rows)


def scored(
    options: argparse.Namespace, run: Run, synthetic: pa.Table, test: pa.Table, folder: Path
) -> dict[str, float]:
    """What the neutral scorer says."""
    columns = {
        "generated": synthetic["smiles"],
        "train": run.dataset(options.train).records["smiles"],
        "test": test["smiles"],
    }
    arguments = [options.scorer_python, str(options.scorer), "gen"]
    for name, column in columns.items():
        path = folder / f"{name}.smi"
        lines = pc.fill_null(column, "").to_pylist()
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        arguments += [f"--{name}", str(path)]
    arguments += ["--max-gen", str(options.judge), *shlex.split(options.scorer_args)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the scorer exited {done.returncode}:\n{done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def row(label: str, fit: float | None, figures: Mapping[str, float | None]) -> list[str]:
    """One line of the table."""
    return [label, _cell(fit, 0), *(_cell(figures.get(name), 3) for name in NAMES)]


def _cell(value: float | None, digits: int) -> str:
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.{digits}f}"


def add_options(made: argparse.ArgumentParser) -> None:
    """What this benchmark takes beyond the common ones."""
    made.add_argument("--train", type=Path, required=True)
    made.add_argument("--test", type=Path, required=True)
    made.add_argument("--rows", type=int, default=0, help="training records; 0: all")
    made.add_argument("--budget", default="300s")
    made.add_argument("--model", default="vae")
    made.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    made.add_argument("-n", type=int, default=10_000)
    made.add_argument("--judge", type=int, default=5000, help="samples judged")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--repeats", type=int, default=1, help="seeds: --seed, --seed + 1, …")
    made.add_argument("--scorer", type=Path)
    made.add_argument("--scorer-python", default=sys.executable)
    made.add_argument("--scorer-args", default="", help="further options of the scorer")
    made.add_argument("--keep", type=Path, help="keep the runs in this folder")


def repeat(
    options: argparse.Namespace, seed: int, folder: Path, test: pa.Table, report: Report
) -> tuple[dict[str, float], list[list[str]]]:
    """One seed: its figures, and its rows of the table."""
    run, fit = trained(options, seed, folder / f"seed-{seed}")
    synthetic, rate = drawn(run, options.n, seed, folder)
    evaluation = judged(run, synthetic, test, options.train, options.judge)
    figures = {name: evaluation.values().get(key, math.nan) for name, key in NAMES.items()}
    figures |= {"fit s": fit, "molecules/s": rate}
    figures["reconstruction"] = reconstruction(run, options.train, 1000)
    rows = [row(f"gmkit {options.model}, seed {seed}", fit, figures)]
    floors = {name: evaluation.floors().get(key) for name, key in NAMES.items()}
    rows.append(row(f"floor beside it, {options.judge:,} train molecules", None, floors))
    if options.scorer is not None:
        found = scored(options, run, synthetic, test, folder)
        rows.append(row(f"gmkit {options.model}, seed {seed}, neutral scorer", fit, found))
    for name, reason in evaluation.missing.items():
        report.note(f"{name} not measured: {reason}")
    for name in ("w1/logp", "w1/qed", "w1/sa", "w1/weight", "fragments/test", "diversity"):
        if name in evaluation.figures:
            figures[name] = evaluation.figures[name].value
    return figures, rows


def main() -> None:
    """Measure and report."""
    made = parser(__doc__)
    add_options(made)
    options = made.parse_args()
    options.train = options.train.resolve()
    test = molecules_of(options.test)
    with Report("molecules", "Molecules: quality", options) as report:
        with tempfile.TemporaryDirectory() as temporary:
            folder = options.keep or Path(temporary)
            results, rows = [], []
            for seed in range(options.seed, options.seed + options.repeats):
                figures, lines = repeat(options, seed, folder, test, report)
                results.append(figures)
                rows += lines
        for label, (fit, *values) in PEERS.items():
            known = dict(zip(NAMES, values, strict=True))
            rows.append(row(label, fit, known))
        title = f"{options.budget}, judged on {options.judge:,} samples"
        report.table(title, ["model", "fit s", *NAMES], rows)
        report.note(f"peers: {SOURCE}")
        goals = {**GOALS["best"], **GOALS.get(options.model, {})}
        for name in results[0]:
            values = [r[name] for r in results if math.isfinite(r[name])]
            mean = statistics.fmean(values) if values else None
            bound, upper = goals.get(name, (None, True))
            label = name if options.repeats == 1 else f"{name}, mean of {options.repeats} seeds"
            limits = {"at_most": bound} if upper else {"at_least": bound}
            report.goal(label, mean, "", **limits)


if __name__ == "__main__":
    main()
