"""Training-loop overhead: gmkit's Trainer against the bare steps of the same model.

    python benchmarks/loop.py --json benchmarks/results.jsonl

Two ways, since a tenth of a millisecond drowns in the noise of a 25 ms step:

1. Sections. A running Trainer is timed inside: of each step, what is not the model's own forward,
   backward and optimiser step is overhead, split into the loop itself (picking and trimming the
   batch, seeding, schedule, log, the rest) and two features that a bare loop has not: gradient
   clipping with its non-finite guard, and the EMA of weights. A bare loop too has to index its
   batch and to free the graph of its step, so it is timed likewise and these are taken off.
   Medians over all steps; the mean for the log, which writes only every so many.
2. Turns, as a check. Three contestants take turns on the same batches, ``--steps`` steps a round:
   bare (indexing, forward, backward, fused AdamW), featured (the same with
   clipping, guard and EMA), trainer. The medians of the differences include what the extra
   memory traffic costs the model; they are only good to about 1 % of a step.

Batch sizes are chosen so that a bare step takes about 5 and 25 ms. Goal: the loop itself ≤ 0.1 ms a
step (Lightning Fabric 0.08 at 5.6 ms and 0.26 at 24.5 ms, accelerate 0.65, Lightning Trainer 1.2).
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("GOMP_SPINCOUNT", "0")

import torch
from measure import Report, alternate, difference, parser, seconds, spread
from torch import Tensor, nn

from gmkit.codecs import Batch
from gmkit.config import TrainingConfig
from gmkit.families import Step
from gmkit.families.vae import VAE, VAEConfig
from gmkit.fields import Categorical, Real, Space
from gmkit.randomness import generator
from gmkit.training import loop
from gmkit.training.log import MetricsLog
from gmkit.training.loop import Trainer
from gmkit.training.stopping import StopRequest
from gmkit.trunks import TrunkConfig

GOAL = 0.1
ROWS = 20_000
TARGETS = (5.0, 25.0)
"""Milliseconds of a bare step."""
Rows = tuple[Tensor, int]
"""Row numbers of a batch, and where its sequences are cut."""


def molecules(rows: int) -> tuple[Space, Batch]:
    """Sequences as molecules make them: 300 tokens, lengths 6 … 24 around 14."""
    rng = torch.Generator().manual_seed(0)
    length = 25
    tokens = torch.randint(1, 300, (rows, length), generator=rng, dtype=torch.int16)
    ends = (14 + 3 * torch.randn(rows, generator=rng)).round().clamp(6, length - 1)
    tokens[torch.arange(length) >= ends[:, None]] = 0
    field = Categorical(size=300, shape=(length,), layout="sequence", end=0)
    return Space({"tokens": field}), {"tokens": tokens}


def flat(rows: int) -> tuple[Space, Batch]:
    """A table row: 32 numbers and a category."""
    rng = torch.Generator().manual_seed(0)
    space = Space({"x": Real(shape=(32,)), "kind": Categorical(size=10)})
    kinds = torch.randint(10, (rows,), generator=rng, dtype=torch.int16)
    return space, {"x": torch.randn(rows, 32, generator=rng), "kind": kinds}


CASES: dict[str, tuple[Callable[[int], tuple[Space, Batch]], TrunkConfig]] = {
    "sequence": (molecules, TrunkConfig(size="tiny")),
    "flat": (flat, TrunkConfig(size="small")),
}


class Bare:
    """A plain loop over rows chosen beforehand."""

    def __init__(self, family: VAE, data: Batch, config: TrainingConfig, *, features: bool) -> None:
        self.family, self.data, self.config, self.features = family, data, config, features
        self.parameters = list(family.parameters())
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=config.learning_rate, betas=config.betas or (0.9, 0.98), fused=True
        )
        self.averages = [p.detach().clone() for p in self.parameters]
        self.rng = torch.Generator().manual_seed(0)

    def steps(self, order: list[Rows]) -> None:
        """One step on each batch."""
        for index, rows in enumerate(order):
            batch = self.pick(rows)
            loss = self.family.losses(batch, Step(index, 0.5, self.rng))["loss"]
            loss.backward()
            if self.features and not self._guard():
                raise SystemExit("a gradient was not finite")
            self.step()
            for _ in FEATURES:
                self.idle()
            if self.features:
                with torch.no_grad():
                    torch._foreach_lerp_(self.averages, self.parameters, 1 - self.config.ema)

    def pick(self, rows: Rows) -> Batch:
        """The next batch by plain indexing, as a loop without a DataLoader does it."""
        chosen, length = rows
        return {
            name: value[chosen, :length] if name == "tokens" else value[chosen]
            for name, value in self.data.items()
        }

    def idle(self) -> None:
        """Nothing: timed where the Trainer has a feature, so that both have as many timers."""

    def step(self) -> None:
        """Apply and clear the gradients."""
        self.optimiser.step()
        for parameter in self.parameters:
            parameter.grad = None

    def _guard(self) -> bool:
        norm = nn.utils.clip_grad_norm_(self.parameters, self.config.clip, foreach=True)
        return math.isfinite(float(norm))


class Trained:
    """The Trainer, driven a given number of steps further at a time."""

    def __init__(self, family: VAE, data: Batch, config: TrainingConfig, folder: Path) -> None:
        empty: dict[str, Tensor] = {}
        self.trainer = Trainer(family, data, empty, config, 0, folder)
        self.folder = folder

    def steps(self, count: int) -> None:
        """Go on for ``count`` steps: the loop of ``Trainer.run`` without its first and last
        checkpoint."""
        trainer = self.trainer
        end = trainer.state.step + count
        trainer.config = trainer.config.model_copy(update={"steps": end})
        log = MetricsLog(self.folder, after=trainer.state.step)
        try:
            with StopRequest() as stop:
                trainer._steps(stop, log, time.monotonic())
        finally:
            log.close()


MODEL = ("forward", "backward", "optimiser")
LOOP = ("batch", "seed", "schedule", "rest")
FEATURES = ("clip, guard", "EMA")
Place = tuple[Any, str, str]
"""Owner and attribute of a function, and the section it makes up."""


class Sections:
    """Seconds of each section in each step of a Trainer."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []
        self._open: dict[str, float] = defaultdict(float)
        self._began = 0.0

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function``, its time added to a section; picking a batch begins a step."""

        def call(*arguments: Any, **options: Any) -> Any:
            began = time.perf_counter()
            if name == "batch":
                self._begin(began)
            try:
                return function(*arguments, **options)
            finally:
                self._open[name] += time.perf_counter() - began

        return call

    def _begin(self, now: float) -> None:
        if self._open:
            step = dict(self._open)
            step["rest"] = now - self._began - sum(step.values())
            self.steps.append(step)
        self._open, self._began = defaultdict(float), now

    @contextmanager
    def inside(self, places: list[Place]) -> Iterator[None]:
        """Within, these functions are timed."""
        with ExitStack() as stack:
            for owner, attribute, name in places:
                wrapped = self.timed(name, getattr(owner, attribute))
                if isinstance(owner, type):
                    wrapped = _method(wrapped)
                stack.enter_context(mock.patch.object(owner, attribute, wrapped))
            yield

    def median(self, *names: str) -> float:
        """Milliseconds a step that these sections take together."""
        sums = (sum(step.get(name, 0.0) for name in names) for step in self.steps)
        return statistics.median(sums) * 1000

    def mean(self, name: str) -> float:
        """The same by the mean, of one section."""
        return statistics.fmean(step.get(name, 0.0) for step in self.steps) * 1000


def trainer_places(trainer: Trainer) -> list[Place]:
    """Where the sections of a Trainer's step lie."""
    optimiser = trainer.optimisers["model"]
    return [
        (trainer.batches, "at", "batch"),
        (loop, "generator", "seed"),
        (loop, "rate_factor", "schedule"),
        (optimiser, "set_rate", "schedule"),
        (trainer.family, "losses", "forward"),
        (Tensor, "backward", "backward"),
        (optimiser, "step", "optimiser"),
        (optimiser, "clip", "clip, guard"),
        (trainer.ema, "update", "EMA"),
        (loop.Meter, "add", "log"),
    ]


def bare_places(bare: Bare) -> list[Place]:
    """The same of a bare loop."""
    return [
        (bare, "pick", "batch"),
        (bare.family, "losses", "forward"),
        (Tensor, "backward", "backward"),
        (bare, "step", "optimiser"),
        (bare, "idle", "idle"),
    ]


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    """A plain function, which a class binds to its instances."""
    return lambda self, *arguments, **options: function(self, *arguments, **options)


def whole(space: Space, data: Batch) -> Batch:
    """All records as the fields' own types."""
    return space.pick(data, slice(None), "cpu")


def new_family(space: Space, trunk: TrunkConfig) -> VAE:
    """The same weights each time."""
    torch.manual_seed(0)
    return VAE(space, VAEConfig(), trunk).train()


def fitting_batch(space: Space, data: Batch, trunk: TrunkConfig, target: float) -> int:
    """The batch size at which a bare step takes about ``target`` ms."""
    size, config = 32, TrainingConfig()
    for _ in range(4):
        bare = Bare(new_family(space, trunk), whole(space, data), config, features=False)
        rows = torch.randperm(ROWS, generator=generator(0, size))[:size]
        bare.steps([(rows, 20)] * 2)
        began = time.perf_counter()
        bare.steps([(rows, 20)] * 5)
        took = (time.perf_counter() - began) / 5 * 1000
        size = max(4, min(4096, int(size * min(4.0, max(0.25, target / took)))))
    return size


class Arena:
    """The three contestants of one case, on one set of data."""

    def __init__(self, case: str, batch_size: int, steps: int, folder: Path) -> None:
        make, trunk = CASES[case]
        space, data = make(ROWS)
        config = TrainingConfig(
            batch_size=batch_size, evaluate_every=0, save_every=1e9, steps=steps, warmup=1
        )
        self.steps = steps
        self.trained = Trained(new_family(space, trunk), data, config, folder)
        plain = whole(space, data)
        self.bare = Bare(new_family(space, trunk), plain, config, features=False)
        self.featured = Bare(new_family(space, trunk), plain, config, features=True)
        self.parameters = sum(p.numel() for p in self.bare.parameters)

    def sections(self, rounds: int) -> tuple[Sections, Sections, Sections]:
        """The Trainer and the bare loop timed inside, and the Trainer with as few timers as the
        bare loop has: on a cold cache a timer costs some 10 µs, which then fall into the rest."""
        whole, lean, plain = Sections(), Sections(), Sections()
        places = trainer_places(self.trained.trainer)
        few = [place for place in places if place[2] in ("batch", *MODEL, *FEATURES)]
        for _ in range(rounds):
            picked = self._picked()
            for sections, chosen in ((whole, places), (lean, few)):
                with sections.inside(chosen):
                    self.trained.steps(self.steps)
            with plain.inside(bare_places(self.bare)):
                self.bare.steps(picked)
        return whole, lean, plain

    def turns(self, rounds: int) -> dict[str, list[float]]:
        """Milliseconds a step by contestant and round; a first round warms up."""
        found: dict[str, list[float]] = {"bare": [], "featured": [], "trainer": []}
        for number in range(rounds + 1):
            turn = self._turn()
            order = dict(reversed(turn.items())) if number % 2 else turn
            for name, values in alternate(order, 1).items():
                found[name] += [value / self.steps * 1000 for value in values if number]
        return found

    def _turn(self) -> dict[str, Callable[[], float]]:
        """One round's work, all on the same batches."""
        picked = self._picked()
        return {
            "bare": lambda: seconds(lambda: self.bare.steps(picked)),
            "featured": lambda: seconds(lambda: self.featured.steps(picked)),
            "trainer": lambda: seconds(lambda: self.trained.steps(self.steps)),
        }

    def _picked(self) -> list[Rows]:
        """Batches like those that the Trainer comes to next."""
        batches = self.trained.trainer.batches
        batches.at(self.trained.trainer.state.step)
        order, cuts = batches._order, batches._cuts
        places = [place % batches.per_epoch for place in range(self.steps)]
        return [(order[place], cuts[place] if cuts else 0) for place in places]


def judge(case: str, size: int, options: argparse.Namespace, report: Report) -> list[list[str]]:
    """The two tables' rows for one case."""
    with tempfile.TemporaryDirectory() as folder:
        arena = Arena(case, size, options.steps, Path(folder))
        turns = arena.turns(options.rounds)
        whole, lean, plain = arena.sections(options.rounds)
    teardown = plain.median("rest")
    log = whole.mean("log") - whole.median("log")  # the median lies in the rest already
    itself = lean.median("batch", "rest") - plain.median("batch", "rest") + log
    label = f"{case} {statistics.median(turns['bare']):.1f} ms"
    report.goal(f"{label}: the loop itself", itself, "ms/step", at_most=GOAL)
    report.goal(f"{label}: clipping, guard, EMA", whole.median(*FEATURES), "ms/step")
    facts = [label, f"{arena.parameters / 1e6:.2f} M", str(size)]
    parts = [whole.median(name) for name in (*MODEL, *LOOP, *FEATURES)]
    parts += [log, plain.median("batch"), teardown, itself, whole.median(*FEATURES)]
    return [
        [*facts, *(f"{value:.3f}" for value in parts)],
        [
            *facts,
            *(spread(values, digits=3) for values in turns.values()),
            f"{difference(turns['trainer'], turns['featured']):.3f}",
            f"{difference(turns['featured'], turns['bare']):.3f}",
        ],
    ]


def main() -> None:
    """Measure and report."""
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, default=15)
    made.add_argument("--steps", type=int, default=40, help="steps a round")
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    made.add_argument("--batch-size", type=int, default=0, help="0: by the target times")
    options = made.parse_args()
    torch.set_num_threads(options.threads)
    with Report("loop", "Training-loop overhead", options) as report:
        rows = []
        for case in options.cases:
            make, trunk = CASES[case]
            targets = () if options.batch_size else TARGETS
            sizes = [fitting_batch(*make(ROWS), trunk, target) for target in targets]
            rows += [judge(case, size, options, report) for size in sizes or [options.batch_size]]
        sections = ["weights", "batch size", *MODEL, *LOOP, *FEATURES, "log"]
        sections += ["batch of a bare loop", "rest of a bare loop"]
        titles = ["section", *sections, "the loop itself", "features"]
        turned = [list(row) for row in zip(titles, *(first for first, _ in rows), strict=True)]
        report.table("sections of a Trainer's step, ms", turned[0], turned[1:])
        report.table(
            f"turns: ms a step, min / median of {options.rounds} rounds of {options.steps} steps, "
            f"{options.threads} thread(s)",
            ["model", "weights", "batch", "bare", "featured", "trainer", "loop itself", "features"],
            [second for _, second in rows],
        )


if __name__ == "__main__":
    main()
