"""One thread or all: what the rule in gmkit.training.placement.choose_threads rests on.

    python benchmarks/threads.py --json benchmarks/results.jsonl

Training steps of gmkit's VAE at several sizes, on one torch thread and on all cores, quiet and
beside a process that keeps one core busy, with OpenMP's waiting threads spinning (libgomp's
default) and sleeping (GOMP_SPINCOUNT=0, as the gmkit command sets it). Each combination runs in
processes of its own, in turns. "Work" is what the rule goes by: weights × batch size.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from measure import Report, alternate, parser, seconds

if TYPE_CHECKING:
    from gmkit.families import Family

CASES = [
    ("flat", 64, 16),
    ("flat", 128, 64),
    ("flat", 256, 128),
    ("flat", 512, 256),
    ("sequence", 64, 16),
    ("sequence", 128, 64),
    ("sequence", 256, 64),
]
"""Kind, width, batch size; smallest first."""
SPINS = {"sleeping": "0", "spinning": None}
NEAR = 0.9
"""The rule's choice should reach this share of the better one's speed."""


@dataclass(frozen=True)
class Setting:
    """How a worker runs."""

    threads: int
    spin: str
    busy: bool

    @property
    def name(self) -> str:
        """As the table calls it, without the number of threads."""
        return f"{'beside a busy process' if self.busy else 'quiet'}, {self.spin}"


def new_family(kind: str, width: int) -> Family:
    """An untrained VAE of this width, 2 blocks."""
    import torch

    from gmkit.families.vae import VAE, VAEConfig
    from gmkit.fields import Categorical, Real, Space
    from gmkit.trunks import TrunkConfig

    torch.manual_seed(0)
    field = (
        Real(shape=(32,))
        if kind == "flat"
        else Categorical(size=300, shape=(15,), layout="sequence", end=0)
    )
    return VAE(Space({"x": field}), VAEConfig(), TrunkConfig(width=width, depth=2))


def milliseconds(kind: str, width: int, rows: int, duration: float) -> float:
    """Median of single training steps within ``duration`` seconds, three at least."""
    import torch

    from gmkit.families import Step

    family = new_family(kind, width).train()
    optimiser = torch.optim.AdamW(family.parameters(), lr=1e-4, fused=True)
    x = torch.randn(rows, 32) if kind == "flat" else torch.randint(1, 300, (rows, 15))
    rng = torch.Generator().manual_seed(0)

    def step() -> None:
        family.losses({"x": x}, Step(0, 0.5, rng))["loss"].backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    step()
    times = [seconds(step)]
    while sum(times) < duration or len(times) < 3:
        times.append(seconds(step))
    return statistics.median(times) * 1000


def work(threads: int, duration: float, cases: int) -> None:
    """In a worker process: print the times of all cases as JSON."""
    import torch

    torch.set_num_threads(threads)
    print(json.dumps([milliseconds(*case, duration) for case in CASES[:cases]]))


@contextmanager
def busy_process() -> Iterator[None]:
    """Within, another process keeps a core busy."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def run(setting: Setting, options: argparse.Namespace) -> list[float]:
    """Milliseconds of all cases, from a worker process."""
    environment = {k: v for k, v in os.environ.items() if k != "GOMP_SPINCOUNT"}
    environment["OMP_NUM_THREADS"] = str(setting.threads)
    if SPINS[setting.spin] is not None:
        environment["GOMP_SPINCOUNT"] = str(SPINS[setting.spin])
    command = [sys.executable, __file__, "--worker", str(setting.threads)]
    command += ["--seconds", str(options.seconds), "--cases", str(options.cases)]
    with busy_process() if setting.busy else nullcontext():
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
    if done.returncode:
        raise SystemExit(f"a worker failed:\n{done.stderr}")
    return list(json.loads(done.stdout.splitlines()[-1]))


def measure(cores: int, options: argparse.Namespace) -> dict[Setting, list[list[float]]]:
    """Milliseconds by setting, round and case."""
    settings = [
        Setting(threads, spin, busy)
        for busy in (False, True)
        for spin in SPINS
        for threads in (1, cores)
    ]
    found: dict[Setting, list[list[float]]] = {setting: [] for setting in settings}

    def contestant(setting: Setting) -> Callable[[], float]:
        def once() -> float:
            found[setting].append(run(setting, options))
            return 0.0

        return once

    turns = {f"{s.threads} {s.name}": contestant(s) for s in settings}
    alternate(turns, options.rounds)
    return found


def main() -> None:
    """Measure and report."""
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--seconds", type=float, default=1.0, help="for each case")
    made.add_argument("--cases", type=int, default=len(CASES), help="only the first so many")
    made.add_argument("--worker", type=int, default=0, help=argparse.SUPPRESS)
    options = made.parse_args()
    if options.worker:
        work(options.worker, options.seconds, options.cases)
        return
    from gmkit.config import TrainingConfig
    from gmkit.training.placement import choose_threads

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = max(2, cores or 2)
    with Report("threads", "One thread or all", options) as report:
        found = measure(cores, options)
        names = list(dict.fromkeys(setting.name for setting in found))
        rows = []
        for place, (kind, width, batch) in enumerate(CASES[: options.cases]):
            weights = sum(p.numel() for p in new_family(kind, width).parameters())
            chosen = choose_threads(TrainingConfig(), weights * batch)
            row = [f"{kind}, width {width}, batch {batch}", f"{weights * batch:.1e}", str(chosen)]
            for name in names:
                one, many = (
                    [times[place] for times in found[setting]]
                    for setting in found
                    if setting.name == name
                )
                gain = statistics.median(a / b for a, b in zip(one, many, strict=True))
                row.append(f"{statistics.median(one):.1f} ms, {gain:.2f} ×")
                if name.endswith("sleeping"):
                    share = (gain if chosen > 1 else 1.0) / max(gain, 1.0)
                    title = f"{row[0]}, {name}: speed by the rule over the better"
                    bound = NEAR if name.startswith("quiet") else None
                    report.goal(title, share, "×", at_least=bound)
            rows.append(row)
        report.table(
            f"time of a step on one thread, and how many times faster {cores} threads are",
            ["model", "work", "rule's threads", *names],
            rows,
        )


if __name__ == "__main__":
    main()
