"""What holding down a critic's slope adds to a GAN's step.

    python benchmarks/gan_penalty.py --json benchmarks/results.jsonl

A step is one of the critic and one of the generator, with AdamW. Variants take turns; each is a
ratio to the same step without a penalty: R1 and R2 by finite differences (the default), by a second
derivative, and either of them only every fourth step (``lazy``), where the figure is the mean over
four steps. Beside them the two forms of Wasserstein's penalty, against its own bare step.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "0")

import torch
from measure import Report, alternate, parser, ratio, seconds

from gmkit.codecs import Batch
from gmkit.families import Step
from gmkit.families.gan import GAN, GANConfig
from gmkit.fields import Categorical, Real, Space
from gmkit.trunks import TrunkConfig

AT_MOST = 2.0
LAZY = 4


@dataclass(frozen=True)
class Variant:
    """A way to penalise."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)


BARE = Variant("no penalty", {"penalty": "none"})
VARIANTS = [
    BARE,
    Variant("finite", {"penalty": "finite"}),
    Variant("exact", {"penalty": "exact"}),
    Variant(f"finite, every {LAZY}th step", {"penalty": "finite", "lazy": LAZY}),
    Variant(f"exact, every {LAZY}th step", {"penalty": "exact", "lazy": LAZY}),
]
WASSERSTEIN = [
    Variant("no penalty", {"loss": "wasserstein", "penalty": "none"}),
    Variant("secants", {"loss": "wasserstein", "penalty": "finite"}),
    Variant("gradients", {"loss": "wasserstein", "penalty": "exact"}),
]


def cases() -> dict[str, Space]:
    """A space of each trunk, of the size of small images, small molecules and a plain table."""
    image = Real(shape=(1, 28, 28), layout="grid2d", bounds=(-1.0, 1.0))
    tokens = Categorical(size=64, shape=(24,), layout="sequence", end=0)
    table = {f"x{k}": Real() for k in range(6)} | {f"c{k}": Categorical(size=8) for k in range(6)}
    return {
        "flat": Space(table),
        "sequence": Space({"tokens": tokens}),
        "grid2d": Space({"image": image}, Space({"label": Categorical(size=10)})),
    }


def records(space: Space, rows: int) -> Batch:
    """Random ones, with conditions."""
    fields = {**space.fields, **(space.condition.fields if space.condition else {})}
    return {
        name: torch.randint(1, kind.size, (rows, *kind.shape))
        if isinstance(kind, Categorical)
        else torch.rand(rows, *kind.shape)
        for name, kind in fields.items()
    }


def steps(
    space: Space, variant: Variant, batch: Batch, width: int, count: int
) -> Callable[[], float]:
    """A function that does ``count`` steps and returns seconds a step."""
    torch.manual_seed(0)
    gan = GAN(space, GANConfig(**variant.options), TrunkConfig(width=width, depth=2)).train()
    optimisers = {
        player: torch.optim.AdamW(gan.player_parameters(player), lr=1e-4, fused=True)
        for player in gan.players
    }
    rng = torch.Generator().manual_seed(0)

    def step(index: int) -> None:
        for player, share in gan.turns(0.0):
            gan.losses(batch, Step(index, share, rng, player))["loss"].backward()
            optimisers[player].step()
            optimisers[player].zero_grad(set_to_none=True)

    step(0)  # first allocations
    return lambda: seconds(lambda: [step(index) for index in range(count)]) / count


def main() -> None:
    """Measure and report."""
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, default=7)
    made.add_argument("--steps", type=int, default=8, help=f"a round; a multiple of {LAZY}")
    made.add_argument("--batch-size", type=int, default=64)
    made.add_argument("--width", type=int, default=128)
    made.add_argument("--threads", type=int, default=1, help="0: all cores")
    made.add_argument("--cases", nargs="*", choices=list(cases()), default=list(cases()))
    options = made.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    columns = ["case", "loss", "penalty", "ms/step", "× no penalty"]
    rows = []
    with Report("gan_penalty", "What the critic's penalty costs", options) as report:
        for name in options.cases:
            space = cases()[name]
            batch = records(space, options.batch_size)
            for loss, variants in (("relativistic", VARIANTS), ("wasserstein", WASSERSTEIN)):
                running = {
                    v.name: steps(space, v, batch, options.width, options.steps) for v in variants
                }
                times = alternate(running, options.rounds)
                bare = times[BARE.name]
                for variant in variants:
                    found = times[variant.name]
                    cost = ratio(found, bare)
                    middle = statistics.median(found) * 1000
                    rows.append([name, loss, variant.name, f"{middle:.1f}", f"{cost:.2f}"])
                    if variant.name == "finite":
                        report.goal(f"{name}: the default's step", cost, "×", at_most=AT_MOST)
        report.table(
            f"{torch.get_num_threads()} thread(s), batch {options.batch_size}", columns, rows
        )


if __name__ == "__main__":
    main()
