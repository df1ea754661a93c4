"""What pays on this processor: optimiser kernels, number format, memory layout, compilation.

    python benchmarks/backbones.py --json benchmarks/results.jsonl

A small convolutional VAE (1.7 M weights, batch 128, 28×28) and gmkit's VAE on sequences at
Transformer widths 128, 256, 512 and 1024. Variants take turns; each is a ratio to plain fp32
(AdamW tensor by tensor). A variant whose first step takes longer than ``--limit`` seconds is out,
and its ratio is an upper bound from that step: without matrix units bf16 can be 60 times slower.
The last table holds what ``--precision auto`` chooses at each width against the ratio. On a
processor with AMX (BENCHMARKS.md): fused 1.12–1.16, channels-last 1.07–1.16, bf16 1.29–1.39, all
three 1.69–1.74, compiled too 1.77–1.84; at width 128 bf16 gave nothing, at 1024 five times.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass

os.environ.setdefault("GOMP_SPINCOUNT", "0")

import torch
import torch.nn.functional as F
from measure import Report, alternate, parser, ratio, seconds
from torch import Tensor, nn

from gmkit.families import Step
from gmkit.families.vae import VAE, VAEConfig
from gmkit.fields import Categorical, Space
from gmkit.training.placement import choose_precision, has_matrix_bf16
from gmkit.trunks import TrunkConfig

TOKENS = 16_384
"""Batch size times width: a step costs about 4 times as much at twice the width."""
INDIFFERENT = 0.05
"""Ratios this close to 1 agree with either choice."""


@dataclass(frozen=True)
class Variant:
    """A way to compute the same steps."""

    optimiser: str = "plain"
    bf16: bool = False
    channels_last: bool = False
    compiled: bool = False

    @property
    def name(self) -> str:
        """As the tables call it."""
        flags = {
            "bf16": self.bf16,
            "channels-last": self.channels_last,
            "compiled": self.compiled,
        }
        return " + ".join([self.optimiser, *(name for name, on in flags.items() if on)])


PLAIN = Variant()
FUSED = Variant("fused")
CONV = [
    PLAIN,
    Variant("foreach"),
    FUSED,
    Variant("fused", bf16=True),
    Variant("fused", channels_last=True),
    Variant("fused", bf16=True, channels_last=True),
    Variant("fused", compiled=True),
]
SEQUENCE = [PLAIN, Variant("foreach"), FUSED, Variant("fused", bf16=True)]


class ConvVAE(nn.Module):
    """Three convolutions each way around a latent of 32."""

    def __init__(self, hidden: int = 352) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, 4, 2, 1),
            nn.SiLU(),
            nn.Conv2d(32, 64, 4, 2, 1),
            nn.SiLU(),
            nn.Conv2d(64, 128, 3, 2, 1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(2048, hidden),
            nn.SiLU(),
            nn.Linear(hidden, 64),
        )
        self.decoder = nn.Sequential(
            nn.Linear(32, hidden),
            nn.SiLU(),
            nn.Linear(hidden, 2048),
            nn.SiLU(),
            nn.Unflatten(1, (128, 4, 4)),
            nn.ConvTranspose2d(128, 64, 3, 2, 1),
            nn.SiLU(),
            nn.ConvTranspose2d(64, 32, 4, 2, 1),
            nn.SiLU(),
            nn.ConvTranspose2d(32, 1, 4, 2, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Negative ELBO of images (B, 1, 28, 28)."""
        mean, log_scale = self.encoder(images).chunk(2, dim=1)
        latent = mean + torch.exp(log_scale) * torch.randn_like(mean)
        nll = F.mse_loss(self.decoder(latent), images, reduction="sum")
        kl = 0.5 * (mean**2 + torch.exp(2 * log_scale) - 1) - log_scale
        return (nll + kl.sum()) / len(images)


def conv_step(variant: Variant) -> Callable[[], None]:
    """A function that does one training step of the convolutional VAE."""
    torch.manual_seed(0)
    model: nn.Module = ConvVAE()
    images = torch.rand(128, 1, 28, 28)
    if variant.channels_last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        images = images.to(memory_format=torch.channels_last)
    if variant.compiled:
        model.compile()
    return stepping(model, lambda: model(images), variant)


def sequence_step(width: int) -> Callable[[Variant], Callable[[], None]]:
    """The same for gmkit's VAE on sequences of 15 tokens at this Transformer width."""

    def make(variant: Variant) -> Callable[[], None]:
        torch.manual_seed(0)
        space = Space({"tokens": Categorical(size=300, shape=(15,), layout="sequence", end=0)})
        trunk = TrunkConfig(width=width, depth=2, encoder_depth=1)
        model = VAE(space, VAEConfig(), trunk)
        batch = {"tokens": torch.randint(1, 300, (TOKENS // width, 15))}
        rng = torch.Generator().manual_seed(0)
        if variant.compiled:
            for child in model.children():
                child.compile(dynamic=True)
        return stepping(model, lambda: model.losses(batch, Step(0, 0.5, rng))["loss"], variant)

    return make


def stepping(model: nn.Module, loss: Callable[[], Tensor], variant: Variant) -> Callable[[], None]:
    """Forward, backward, AdamW as the variant says."""
    kernels = {"plain": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, **kernels[variant.optimiser])

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=variant.bf16):
            value = loss()
        value.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step


@dataclass
class Outcome:
    """What a variant took."""

    first: float
    """Seconds of the first step, compilation included."""
    times: list[float]
    """Seconds a step by round; empty when it was out."""


def compete(
    make: Callable[[Variant], Callable[[], None]],
    variants: list[Variant],
    rounds: int,
    steps: int,
    limit: float,
) -> dict[Variant, Outcome]:
    """All variants in turns. One whose second step, free of compilation and first allocations,
    exceeds ``limit`` seconds does not take part."""
    outcomes: dict[Variant, Outcome] = {}
    running: dict[str, Callable[[], float]] = {}
    for variant in variants:
        step = make(variant)
        first = seconds(step)
        second = first if first > limit and not variant.compiled else seconds(step)
        outcomes[variant] = Outcome(first, [])
        if second > limit:
            outcomes[variant].first = second
            continue
        fitting = max(1, min(steps, int(limit / second)))

        def turn(step: Callable[[], None] = step, count: int = fitting) -> float:
            return seconds(lambda: [step() for _ in range(count)]) / count

        running[variant.name] = turn
    times = alternate(running, rounds)
    for variant, outcome in outcomes.items():
        outcome.times = times.get(variant.name, [])
    return outcomes


def speedup(outcomes: dict[Variant, Outcome], variant: Variant, over: Variant) -> tuple[float, str]:
    """How many times faster than ``over``, and the same as text: ``< 0.02`` where it was out."""
    mine, base = outcomes[variant], outcomes[over]
    if mine.times:
        value = ratio(base.times, mine.times)
        return value, f"{value:.2f}"
    value = statistics.median(base.times) / mine.first
    return value, f"< {value:.2g}"


def rows_of(label: str, outcomes: dict[Variant, Outcome]) -> list[list[str]]:
    """A table row for each variant."""
    return [
        [
            label,
            variant.name,
            f"{statistics.median(outcome.times) * 1000:.1f}" if outcome.times else "out",
            speedup(outcomes, variant, PLAIN)[1],
            speedup(outcomes, variant, FUSED)[1],
            f"{outcome.first:.1f}",
        ]
        for variant, outcome in outcomes.items()
    ]


def main() -> None:
    """Measure and report."""
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, default=7)
    made.add_argument("--steps", type=int, default=10, help="steps a round, at most")
    made.add_argument("--limit", type=float, default=10.0, help="seconds a variant has a round")
    made.add_argument("--threads", type=int, default=0, help="0: all cores")
    made.add_argument("--widths", type=int, nargs="*", default=[128, 256, 512, 1024])
    made.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    options = made.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    limits = options.rounds, options.steps, options.limit
    device = torch.device("cpu")
    with Report("backbones", "What pays on this processor", options) as report:
        conv = [v for v in CONV if not (v.compiled and options.no_compile)]
        outcomes = compete(conv_step, conv, *limits)
        rows = rows_of("conv VAE, batch 128", outcomes)
        gain, _ = speedup(outcomes, FUSED, PLAIN)
        report.goal("fused AdamW over plain, conv VAE", gain, "×", at_least=1)
        chosen_rows = []
        for width in options.widths:
            variants = list(SEQUENCE)
            if width == 256 and not options.no_compile:
                variants.append(Variant("fused", compiled=True))
            outcomes = compete(sequence_step(width), variants, *limits)
            rows += rows_of(f"Transformer, width {width}, batch {TOKENS // width}", outcomes)
            gain, text = speedup(outcomes, Variant("fused", bf16=True), FUSED)
            chosen = choose_precision("auto", device, width)
            bf16 = chosen == torch.bfloat16
            agrees = abs(gain - 1) < INDIFFERENT or bf16 == (gain > 1)
            chosen_rows.append([str(width), text, str(chosen).removeprefix("torch."), str(agrees)])
            best = max(gain, 1.0)
            share = (gain if bf16 else 1.0) / best
            name = f"width {width}: speed of auto's choice over the faster format's"
            report.goal(name, share, "×", at_least=1 - INDIFFERENT)
        columns = ["model", "variant", "ms/step", "× plain", "× fused fp32", "first step s"]
        report.table(f"{torch.get_num_threads()} thread(s), speed-up", columns, rows)
        columns = ["width", "bf16 speed-up", "--precision auto", "agrees"]
        report.table("number format", columns, chosen_rows)
        report.note(f"bf16 matrix units by the processor's flags: {has_matrix_bf16(device)}")


if __name__ == "__main__":
    main()
