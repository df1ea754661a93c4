"""The tricks of the sequence trunk one by one: what each is worth for text at equal steps.

    python benchmarks/text_tricks.py --corpus tinyshakespeare.txt --json benchmarks/results.jsonl

A `vae` trains for ``--steps`` steps as it is, then with one thing taken away or put in place of
another, on the same data in the same order; judged as in ``text.py`` by its bound on the last tenth
of the corpus. Each entry is a patch of the trunk's classes, so that the trunk itself needs no
switches that nobody should use. CPU seconds are of training alone and one thread.

Sources of the tricks: the head of gmkit/trunks/transformer.py; value residual: Zhou et al. 2024,
"Value residual learning" (values of each block mixed with those of the first, by learned shares).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from measure import Report, parser
from text import COMMON, bounds
from torch import Tensor, nn

import gmkit
from gmkit.codecs import Batch
from gmkit.trunks import transformer
from gmkit.trunks.positions import PositionInput
from gmkit.trunks.transformer import Attention, Block, Transformer

Patch = Callable[[], Any]
"""A context manager that changes the trunk while it is open."""


@contextmanager
def made_with(change: Callable[[Block], None]) -> Iterator[None]:
    """Each block changed once it is made."""
    original = Block.__init__

    def made(self: Block, width: int, head_width: int, expansion: int = 4) -> None:
        original(self, width, head_width, expansion)
        change(self)

    with patch.object(Block, "__init__", made):
        yield


def layer_norms(block: Block) -> None:
    """LayerNorm with bias, in place of RMSNorm."""
    width = block.norm.weight.numel()
    block.attention_norm, block.norm = nn.LayerNorm(width), nn.LayerNorm(width)


def plain_queries(block: Block) -> None:
    """Queries and keys as they are."""
    block.attention.query_norm = block.attention.key_norm = nn.Identity()


@contextmanager
def gelu() -> Iterator[None]:
    """GELU in place of the squared ReLU."""

    def forward(self: Block, x: Tensor, *rest: Any) -> Tensor:
        x = x + self.attention(self.attention_norm(x), *rest)
        return x + self.outer(F.gelu(self.inner(self.norm(x))))

    with patch.object(Block, "forward", forward):
        yield


@contextmanager
def learned_positions() -> Iterator[None]:
    """A learned vector for each position in place of rotation."""
    made, read = PositionInput.__init__, PositionInput.forward

    def with_positions(self: PositionInput, fields: dict[str, Any], width: int) -> None:
        made(self, fields, width)
        length = next(iter(fields.values())).shape[0]
        self.places = nn.Parameter(torch.randn(length, width) * 0.02)

    def forward(self: PositionInput, batch: Batch) -> Tensor:
        found = read(self, batch)
        return found + self.places[: found.shape[1]]

    with (
        patch.object(PositionInput, "__init__", with_positions),
        patch.object(PositionInput, "forward", forward),
        patch.object(transformer, "rotate", lambda x, cos, sin: x),
    ):
        yield


@contextmanager
def value_residual() -> Iterator[None]:
    """Values of each block are a learned mix of its own and the first block's."""
    made = Attention.__init__
    first: list[Tensor] = []
    passes = {"forward": Transformer.forward, "step": Transformer.step}

    def with_share(self: Attention, width: int, head_width: int) -> None:
        made(self, width, head_width)
        self.share = nn.Parameter(torch.tensor(0.5))

    def forward(
        self: Attention,
        x: Tensor,
        angles: Any,
        mask: Tensor | None,
        causal: bool,
        cache: Any = None,
        step: int = 0,
    ) -> Tensor:
        B, L, width = x.shape
        q, k, v = self.qkv(x).view(B, L, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = self.query_norm(q), self.key_norm(k)
        q, k = transformer.rotate(q, *angles), transformer.rotate(k, *angles)
        if first:
            v = v + self.share * (first[0] - v)
        else:
            first.append(v)
        if cache is not None:
            k, v = cache.put(k, v, step)
            causal = False  # one position at a time, which looks back over the cache
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
        return self.output(found.transpose(1, 2).reshape(B, L, width))

    def anew(name: str) -> Callable[..., Tensor]:
        def passed(self: Transformer, *arguments: Any, **options: Any) -> Tensor:
            first.clear()
            return passes[name](self, *arguments, **options)

        return passed

    with (
        patch.object(Attention, "__init__", with_share),
        patch.object(Attention, "forward", forward),
        patch.object(Transformer, "forward", anew("forward")),
        patch.object(Transformer, "step", anew("step")),
    ):
        yield


@contextmanager
def nothing() -> Iterator[None]:
    """The trunk as it is."""
    yield


VARIANTS: Mapping[str, tuple[Patch, tuple[str, ...]]] = {
    "as it is": (nothing, ()),
    "learned positions for rotary": (learned_positions, ()),
    "LayerNorm for RMSNorm": (lambda: made_with(layer_norms), ()),
    "without QK-norm": (lambda: made_with(plain_queries), ()),
    "GELU for squared ReLU": (gelu, ()),
    "with value residual": (value_residual, ()),
    "AdamW for Muon": (nothing, ("training.optimiser=adamw",)),
    "AdamW for Muon, rate 4e-3": (
        nothing,
        ("training.optimiser=adamw", "training.learning_rate=4e-3"),
    ),
}
"""Label → patch, options."""


def one(options: argparse.Namespace, label: str, text: Path, judged: str) -> list[float]:
    """(bound, KL) in nats a character and CPU seconds of a variant."""
    change, sets = VARIANTS[label]
    settings = [*COMMON, *sets, f"training.steps={options.steps}", *options.set]
    with change(), tempfile.TemporaryDirectory() as place:
        began = time.process_time()
        run = gmkit.train(
            domain="text",
            model="vae",
            data=text,
            out=Path(place) / "run",
            settings=settings,
            seed=options.seed,
        )
        spent = time.process_time() - began
        return [*bounds(run, judged), spent]


def main() -> None:
    """Measure and report."""
    made = parser(__doc__)
    made.add_argument("--corpus", type=Path, required=True)
    made.add_argument("--variants", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    made.add_argument("--steps", type=int, default=500)
    made.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    made.add_argument("--seed", type=int, default=0)
    options = made.parse_args()
    torch.set_num_threads(1)
    whole = options.corpus.read_text(encoding="utf-8")
    cut = int(len(whole) * 0.9)
    title = "Text: the trunk's tricks one by one"
    with Report("text_tricks", title, options) as report, tempfile.TemporaryDirectory() as place:
        text = Path(place) / "train.txt"
        text.write_text(whole[:cut], encoding="utf-8")
        rows, first = [], None
        for label in options.variants:
            bound, latent, spent = one(options, label, text, whole[cut:])
            first = bound if first is None else first
            cells = [f"{bound:.3f}", f"{bound - first:+.3f}", f"{latent:.3f}", f"{spent:.0f}"]
            rows.append([label, *cells])
            print(*rows[-1], sep="\t", flush=True)
        columns = ["variant", "nats/character", "against the first", "of it KL", "CPU s"]
        report.table(f"`vae`, {options.steps} steps of 1,024 characters", columns, rows)


if __name__ == "__main__":
    main()
