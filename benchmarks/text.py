"""Text at a small budget: gmkit's families beside the peers, on tiny Shakespeare or a text like it.

    python benchmarks/text.py --json benchmarks/results.jsonl --corpus tinyshakespeare.txt \\
        --scorer FOLDER

The first 90 % of the corpus is trained on and the last 10 % judged by, as the peers do. Bounds are
in nats a character over all of the latter, in windows that do not overlap; a VAE's is its ELBO with
one draw of the latent, whose share is the KL term; a diffusion's is its NELBO over 8 maskings.

Budgets are CPU seconds of one thread, ``--cpu-seconds``: two short runs tell what a step costs
here and now, and the model trains for as many as fit. On a shared machine a CPU second holds less
work, up to four times in our runs: so the characters that were seen stand beside it. ``--steps``
fixes the number instead; ``--run MODEL=FOLDER`` judges a finished run again.

Samples are windows of the model's own length, ``-n`` of them. ``--scorer FOLDER`` has them judged
by a neutral ``score_text.py`` there, each window as a sample: words cut at the ends of a window
count as wrong, so its ``in_vocab`` is too low by about two words in each window.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from measure import Report, parser

import gmkit
from gmkit.randomness import generator
from gmkit.run import Run
from gmkit.training.batches import in_order

COMMON = (
    "codec.window=64",
    "trunk.depth=4",
    "training.batch_size=16",
    "training.evaluate_every=0",
    "training.threads=1",
    "data.valid=0.01",
    "data.test=0.01",
)
MODELS: dict[str, tuple[str, tuple[str, ...]]] = {
    "vae": ("vae", ()),
    "blocks of 1": ("diffusion", ("family.block=1",)),
    "blocks of 2": ("diffusion", ("family.block=2",)),
    "blocks of 4": ("diffusion", ("family.block=4",)),
}
"""Label → model, options."""
SHORT = (20, 80)
"""Steps of the two runs that tell the cost of a step: start-up and the rest cancel out."""
GOALS = {"vae": 1.70, "blocks of 1": 1.95, "blocks of 2": 1.95, "blocks of 4": 1.95}
KL_GOAL = 0.02
PEERS: dict[str, tuple[float, str, float, int]] = {
    "nanoGPT, README's CPU settings": (193, "2.76 M", 1.759, 922),
    "nanoGPT, longer": (280, "4.30 M", 1.652, 1118),
    "autoregressive, all tricks": (149, "1.19 M", 1.625, 702),
    "masked diffusion, same trunk": (155, "1.34 M", 2.177, 354),
    "block diffusion, block 4": (153, "0.81 M", 2.056, 797),
}
"""CPU seconds on a quiet machine, characters seen, nats a character, characters/s drawn."""
SOURCE = "BENCHMARKS.md §text and peers/text/results.jsonl (November 2026, one thread)"


def trained(options: argparse.Namespace, label: str, text: Path, folder: Path) -> tuple[Run, float]:
    """A run and its CPU seconds, start-up, preparation and quick figures included; those of a run
    that was trained before are not known."""
    known = dict(pair.split("=", 1) for pair in options.run)
    if label in known:
        return gmkit.load(known[label]), float("nan")
    model, sets = MODELS[label]

    def once(steps: int, name: str) -> tuple[Run, float]:
        settings = [*COMMON, *sets, f"training.steps={steps}", *options.set]
        began = time.process_time()
        run = gmkit.train(
            domain="text",
            model=model,
            data=text,
            out=folder / f"{label} {name}".replace(" ", "-"),
            settings=settings,
            seed=options.seed,
        )
        return run, time.process_time() - began

    if options.steps:
        return once(options.steps, "whole")
    once(1, "first")  # the data is prepared and cached
    few, many = (once(steps, f"short {steps}")[1] for steps in SHORT)
    step = max(many - few, 1e-3) / (SHORT[1] - SHORT[0])
    beside = max(few - SHORT[0] * step, 0.0)
    return once(max(1, int((options.cpu_seconds - beside) / step)), "whole")


@torch.no_grad()
def bounds(run: Run, text: str) -> tuple[float, float]:
    """(bound, the latent's share of it) in nats a character of ``text``."""
    encoded = run.codec.encode(pa.RecordBatch.from_pydict({"text": [text]}))
    rng, total, latent = generator(0, "benchmark"), 0.0, 0.0
    for batch in in_order(encoded, run.family.space, 128, "cpu"):
        scores = run.family.log_prob(batch, rng)
        total += float(scores.total.sum())
        latent += float(scores.fields.get("latent", torch.zeros(1)).sum())
    return total / len(text), latent / len(text)


def scored(options: argparse.Namespace, texts: list[str], label: str, folder: Path) -> str:
    """What the neutral scorer says, as one line."""
    path = folder / "samples.txt"
    path.write_text("\x1e".join(texts), encoding="utf-8")
    script = str(options.scorer / "score_text.py")
    call = [sys.executable, script, "--corpus", str(options.corpus), "--samples", str(path)]
    done = subprocess.run(
        [*call, "--peer", f"gmkit {label}"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"the scorer exited {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout.splitlines()[-1]


def judge(
    options: argparse.Namespace, label: str, halves: tuple[Path, str], folder: Path, report: Report
) -> list[str]:
    """One model's row."""
    run, cpu = trained(options, label, halves[0], folder)
    bound, latent = bounds(run, halves[1])
    began = time.process_time()
    texts: list[str] = run.sample(options.n, seed=1, temperature=1.0)["text"].to_pylist()
    speed = sum(map(len, texts)) / (time.process_time() - began)
    report.goal(f"{label}: bound", bound, "nats/character", at_most=GOALS[label])
    if "encode" in run.family.capabilities:
        report.goal(f"{label}: KL", latent, "nats/character", at_least=KL_GOAL)
    if options.scorer is not None:
        report.note(scored(options, texts, label, folder))
    facts: dict[str, Any] = run.config.training.model_dump()
    seen = facts["steps"] * facts["batch_size"] * run.codec.config.window
    size = sum(p.numel() for p in run.family.parameters())
    name = f"gmkit {label} ({size / 1e6:.2f} M)"
    return [name, f"{cpu:.0f}", f"{seen / 1e6:.2f} M", f"{bound:.3f}", f"{speed:,.0f}"]


def main() -> None:
    """Measure and report."""
    made = parser(__doc__)
    made.add_argument("--corpus", type=Path, required=True)
    made.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS))
    made.add_argument("--cpu-seconds", type=float, default=180.0, help="of each model")
    made.add_argument("--steps", type=int, default=0, help="of every model, in place of a budget")
    made.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    made.add_argument("--run", action="append", default=[], metavar="MODEL=FOLDER")
    made.add_argument("-n", type=int, default=320)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--scorer", type=Path, help="folder of score_text.py")
    options = made.parse_args()
    torch.set_num_threads(1)
    whole = options.corpus.read_text(encoding="utf-8")
    cut = int(len(whole) * 0.9)
    with Report("text", "Text: bounds", options) as report, tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "train.txt").write_text(whole[:cut], encoding="utf-8")
        halves = (folder / "train.txt", whole[cut:])
        rows = [judge(options, label, halves, folder, report) for label in options.models]
        for label, (cpu, seen, nats, speed) in PEERS.items():
            rows.append([label, f"{cpu:.0f}", seen, f"{nats:.3f}", f"{speed:,}"])
        columns = ["model", "CPU s", "characters seen", "nats/character", "characters/s drawn"]
        report.table("The last 10 % of the corpus", columns, rows)
        report.note(f"peers: {SOURCE}")


if __name__ == "__main__":
    main()
