"""Images at a small budget: gmkit's families beside the peers, on MNIST or images like it.

    python benchmarks/images.py --json benchmarks/results.jsonl \\
        --train train-images-idx3-ubyte.gz --test t10k-images-idx3-ubyte.gz --budget 300s

Each model is trained by the command line (``gmkit train --time-budget``, start-up and preparation
of the data included), draws ``-n`` images and is judged by gmkit's own image metrics against the
test images; distances depend on ``-n``. ``--scorer FOLDER`` has them judged by a neutral scorer
too: ``scorer.py DATASET FILE.npz`` in that folder, run by ``--scorer-python``; it must print one
JSON object. ``--bound`` adds the VAE's importance-weighted bound on binarised test images, by a run
of its own (``codec.binarise=static``). Goals and peers: BENCHMARKS.md §images.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "0")

import numpy as np
import pyarrow as pa
from measure import Report, parser
from PIL import Image

import gmkit
from gmkit.data.source import open_source
from gmkit.metrics.evaluation import evaluate_samples
from gmkit.observer import Observer
from gmkit.plugins import registry
from gmkit.run import Run

MODELS = ("vae", "gan", "diffusion", "flow", "vae+diffusion", "vae+gan")
PEERS: dict[str, tuple[float, float, str, str]] = {
    "DCGAN (0.57 M)": (515, 16.0, ".67 / .88 / .39", "2,300 images/s drawn"),
    "pythae VAE, MLP 0.87 M": (8278, 21.9, ".69 / .84 / .31", "bound 91.46 nats"),
    "pythae VAE, conv 17 M, mixture": (75, 63.5, ".67 / .004 / .08", ""),
    "denoising-diffusion-pytorch 1.4 M": (33, float("nan"), "–", "8 images/s drawn"),
    "real against real (floor)": (float("nan"), 1.63, ".93 / .94 / .92", ""),
}
"""Images/s in training, Fréchet distance, precision / recall / coverage; 300 CPU-s, n = 1,000."""
SOURCE = "BENCHMARKS.md §images (November 2026, MNIST, neutral scorer, one thread)"
FRECHET_GOALS = {"vae": 10.0, "gan": 8.0, "diffusion": 8.0, "flow": 8.0, "vae+diffusion": 10.0}
SPEED_GOALS = {"vae": 1000, "gan": 1000, "flow": 100, "diffusion": 100}
BOUND_GOAL = 87.0
BOUND_IMAGES, BOUND_SAMPLES = 2000, 500


def command(arguments: list[str]) -> None:
    """One gmkit command; ends the benchmark when it fails."""
    call = [sys.executable, "-m", "gmkit", *arguments]
    done = subprocess.run(call, stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise SystemExit(f"gmkit {shlex.join(arguments)} exited {done.returncode}")


def trained(options: argparse.Namespace, model: str, folder: Path, *sets: str) -> Run:
    """A run trained by the command line within the budget."""
    arguments = ["train", "--domain", "images", "--model", model, "--data", str(options.train)]
    arguments += ["--time-budget", options.budget, "--seed", str(options.seed), "--quiet"]
    for pair in (*sets, *options.set):
        arguments += ["--set", pair]
    command([*arguments, "--out", str(folder)])
    return gmkit.load(folder)


def drawn(run: Run, n: int) -> tuple[pa.Table, float]:
    """``n`` samples, and images a second within Python, model already loaded."""
    run.sample(min(n, 50))
    began = time.perf_counter()
    table = run.sample(n, seed=1)
    return table, n / (time.perf_counter() - began)


def test_images(path: Path) -> pa.Table:
    """The images of a file."""
    known = registry()
    source = open_source(path, domain=known.domain("images"), registry=known)
    return pa.Table.from_batches(list(source.batches()))


def judged(run: Run, synthetic: pa.Table, test: pa.Table, train: Path) -> dict[str, float]:
    """gmkit's metrics of the samples against the test images."""
    real = run.dataset(train).records
    n = synthetic.num_rows
    tables = {"real": real, "synthetic": synthetic, "holdout": test, "floor": real.slice(0, n)}
    return evaluate_samples(registry(), "images", tables, Observer()).values()


def pixels(table: pa.Table) -> np.ndarray:
    """(N, H, W) uint8."""
    images = (Image.open(io.BytesIO(data)) for data in table["image"].to_pylist())
    return np.stack([np.asarray(image.convert("L")) for image in images])


def scored(options: argparse.Namespace, synthetic: pa.Table, folder: Path) -> dict[str, Any]:
    """What the neutral scorer says."""
    path = folder / "samples.npz"
    np.savez(path, x=pixels(synthetic))
    call = [options.scorer_python, "scorer.py", options.scorer_dataset, str(path)]
    done = subprocess.run(call, cwd=options.scorer, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the scorer exited {done.returncode}:\n{done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def rate(run: Run) -> float:
    """Images a second in training."""
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    steps = [row for row in rows if row["kind"] == "train"]
    first, last = steps[0], steps[-1]
    passed = (last["step"] - first["step"]) / max(last["seconds"] - first["seconds"], 1e-9)
    return passed * run.config.training.batch_size


def bound(options: argparse.Namespace, test: pa.Table, folder: Path) -> tuple[float, float]:
    """(ELBO, importance-weighted bound) in nats of a VAE on binarised test images."""
    exact = ("codec.binarise=static", "family.beta=1")
    run = trained(options, "vae", folder, *exact, *options.bound_set)
    some = test.slice(0, BOUND_IMAGES)
    elbo = -float(run.log_prob(some, samples=1).mean())
    return elbo, -float(run.log_prob(some, samples=BOUND_SAMPLES).mean())


def add_options(made: argparse.ArgumentParser) -> None:
    """What this benchmark takes beyond the common ones."""
    made.add_argument("--train", type=Path, required=True)
    made.add_argument("--test", type=Path, required=True)
    made.add_argument("--budget", default="300s")
    made.add_argument("--models", nargs="*", default=list(MODELS))
    made.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    made.add_argument("-n", type=int, default=1000)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--bound", action="store_true")
    made.add_argument("--bound-set", action="append", default=[], metavar="KEY=VALUE")
    made.add_argument("--scorer", type=Path, help="folder of the neutral scorer")
    made.add_argument("--scorer-python", default=sys.executable)
    made.add_argument("--scorer-dataset", default="mnist")
    made.add_argument("--keep", type=Path, help="keep the runs in this folder")


def judge(
    options: argparse.Namespace, model: str, test: pa.Table, folder: Path, report: Report
) -> list[str]:
    """One model's row."""
    run = trained(options, model, folder / model)
    synthetic, speed = drawn(run, options.n)
    figures = judged(run, synthetic, test, options.train)
    parameters = sum(p.numel() for p in run.family.parameters())
    frechet, shares = figures.get("frechet/test", float("nan")), "–"
    if options.scorer is not None:
        found = scored(options, synthetic, folder)
        frechet = found["fid"]
        shares = " / ".join(f"{found[key]:.2f}" for key in ("precision", "recall", "coverage"))
    report.goal(f"{model}: Fréchet distance", frechet, "", at_most=FRECHET_GOALS.get(model))
    report.goal(f"{model}: drawing", speed, "images/s", at_least=SPEED_GOALS.get(model))
    for name, value in figures.items():
        report.note(f"{model}: {name} {value:.4g}")
    label = f"gmkit {model} ({parameters / 1e6:.2f} M)"
    return [label, f"{rate(run):.0f}", f"{frechet:.2f}", shares, f"{speed:,.0f} images/s drawn"]


def main() -> None:
    """Measure and report."""
    made = parser(__doc__)
    add_options(made)
    options = made.parse_args()
    options.train = options.train.resolve()
    test = test_images(options.test)
    with Report("images", "Images: quality", options) as report:
        with tempfile.TemporaryDirectory() as temporary:
            folder = options.keep or Path(temporary)
            rows = [judge(options, model, test, folder, report) for model in options.models]
            if options.bound:
                elbo, weighted = bound(options, test, folder / "binarised")
                report.goal("vae, binarised: ELBO", elbo, "nats")
                name = f"vae, binarised: importance-weighted, {BOUND_SAMPLES} samples"
                report.goal(name, weighted, "nats", at_most=BOUND_GOAL)
        for label, (speed, frechet, shares, note) in PEERS.items():
            rows.append([label, f"{speed:.0f}", f"{frechet:.2f}", shares, note])
        judge_name = "neutral scorer" if options.scorer else "gmkit's metrics"
        title = f"{options.budget}, judged on {options.n:,} samples by {judge_name}"
        columns = ["model", "training images/s", "Fréchet", "precision / recall / coverage", ""]
        report.table(title, columns, rows)
        report.note(f"peers: {SOURCE}")


if __name__ == "__main__":
    main()
