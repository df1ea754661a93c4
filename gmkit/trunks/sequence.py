"""The sequence trunk: a Transformer over positions, causal where it writes.

Fields of layout ``sequence`` share their positions and must be of one length; any other field
(a flat companion) enters as a vector added at every position, and leaves from the latent alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from gmkit.codecs import Batch
from gmkit.fields import Categorical, Field, Space
from gmkit.fields.rules import Rules, last_known
from gmkit.fields.space import Params
from gmkit.trunks.blocks import SequenceBlockDenoiser
from gmkit.trunks.both_ways import SequenceCritic, SequenceDenoiser, SequenceGenerator
from gmkit.trunks.inputs import (
    ConditionInput,
    VectorInput,
    VectorOutput,
    add,
    put_known,
)
from gmkit.trunks.positions import PositionInput, observed_positions, split_by_layout
from gmkit.trunks.transformer import COMPACT_BELOW, Transformer
from gmkit.trunks.trunk import Decoder, Encoder, Trunk, TrunkConfig


class SequenceEncoder(Encoder):
    """Positions look both ways; their mean over what is observed is the record's vector."""

    def __init__(self, space: Space, config: TrunkConfig, out_dim: int) -> None:
        super().__init__()
        width = config.channels
        self.sequences, others = split_by_layout(space)
        self.input = PositionInput(self.sequences, width)
        self.others = VectorInput(others, width) if others else None
        self.condition = ConditionInput(space, width)
        self.body = Transformer(width, config.encoder_blocks, config.head_width)
        self.output = nn.Linear(width, out_dim)

    def forward(self, batch: Batch) -> Tensor:
        """(B, out_dim)."""
        context = self.condition(batch)
        if self.others is not None:
            context = add(self.others(batch), context)
        x = add(self.input(batch), None if context is None else context[:, None])
        mask = observed_positions(self.sequences, batch)
        hidden = self.body(x, mask=mask)
        if mask is None:
            return self.output(hidden.mean(1))
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        return self.output((hidden * weight).sum(1) / weight.sum(1))


class SequenceDecoder(Decoder):
    """Causal: position i is written from the latent and the elements before i."""

    def __init__(self, space: Space, config: TrunkConfig, in_dim: int) -> None:
        super().__init__()
        width = config.channels
        self.space = space
        self.sequences, self.flat = split_by_layout(space)
        self.length = next(iter(self.sequences.values())).shape[0]
        self.input = PositionInput(self.sequences, width)
        self.start = nn.Parameter(torch.randn(width) * width**-0.5)
        self.latent = nn.Linear(in_dim, width)
        self.condition = ConditionInput(space, width)
        self.body = Transformer(width, config.blocks, config.head_width)
        self.outputs = nn.ModuleList(nn.Linear(width, f.param_dim) for f in self.sequences.values())
        self.flat_output = VectorOutput(self.flat, width) if self.flat else None

    def forward(self, latent: Tensor, batch: Batch) -> Params:
        """Parameters (B, L, param_dim) for the L positions of ``batch`` (which may be trimmed)."""
        context = self._context(latent, batch)
        embedded = self.input(batch)
        first = self.start.expand(len(latent), 1, -1)
        x = torch.cat((first, embedded[:, :-1]), dim=1) + context[:, None]
        hidden = self.body(x, causal=True)
        return {**self._sequence_params(hidden), **self._flat_params(context)}

    @torch.no_grad()
    def generate(
        self,
        latent: Tensor,
        condition: Batch,
        rng: torch.Generator,
        temperature: float = 1.0,
        given: Batch | None = None,
        known: Mapping[str, Tensor] | None = None,
        top_p: float = 1.0,
    ) -> Batch:
        """Element by element with cached keys and values; a record stops at its end."""
        context = self._context(latent, condition)
        flat: Batch = {}
        if self.flat:
            beside = Space(self.flat)
            narrowed = beside.narrow(self._flat_params(context), top_p, temperature)
            flat = beside.sample(narrowed, rng, temperature)
        drawn = {
            name: self._blank(f, len(latent), latent.device) for name, f in self.sequences.items()
        }
        rows = torch.arange(len(latent), device=latent.device)
        ends = {
            name: f.end
            for name, f in self.sequences.items()
            if isinstance(f, Categorical) and f.end is not None
        }
        last, written = last_known(ends, given, known), Space(self.sequences)
        rules = Rules(self.sequences, len(latent))
        current: Batch = {}
        caches = self.body.caches(len(latent), self.length, context)
        x = (self.start + context)[:, None]
        for step in range(self.length):
            params = self._sequence_params(self.body.step(x, caches, step))
            for name, end in ends.items():
                if name in last:  # no end before what is known to come
                    early = step < last[name][rows]
                    params[name][early, :, end] = -math.inf
            narrowed = written.narrow(params, top_p, temperature)
            before, current = current, written.sample(narrowed, rng, temperature)
            rules.hold(current, narrowed, self.length - 1 - step, rng, temperature, before)
            for name in before.keys() & ends:  # an ended sequence stays so beside another
                over = before[name] == ends[name]
                current[name] = current[name].masked_fill(over, ends[name])
            current = put_known(current, *_at(step, rows, given, known))
            rules.advance(current)
            for name, value in current.items():
                drawn[name][rows, step] = value[:, 0]
            if len(ends) == len(current):
                alive = torch.stack([current[n][:, 0] != end for n, end in ends.items()]).any(0)
                remaining = int(alive.sum())
                if remaining == 0:
                    break
                if remaining < COMPACT_BELOW * len(alive):
                    rows, context = rows[alive], context[alive]
                    caches = [cache.keep(alive) for cache in caches]
                    current = {name: value[alive] for name, value in current.items()}
                    rules.keep(alive)
            x = self.input(current) + context[:, None]
        closed = {
            name: f.close(drawn[name]) if isinstance(f, Categorical) else drawn[name]
            for name, f in self.sequences.items()
        }
        return {
            name: {**closed, **put_known(flat, given, known)}[name] for name in self.space.names
        }

    def _sequence_params(self, hidden: Tensor) -> Params:
        """Name → (B, L, param_dim) from (B, L, width)."""
        heads = zip(self.sequences, self.outputs, strict=True)
        return {name: head(hidden) for name, head in heads}

    def _context(self, latent: Tensor, batch: Batch) -> Tensor:
        """(B, width) added at every position."""
        return add(self.latent(latent), self.condition(batch))

    def _flat_params(self, context: Tensor) -> Params:
        return self.flat_output(context) if self.flat_output is not None else {}

    def _blank(self, field: Field, rows: int, device: torch.device) -> Tensor:
        """A value to write into: all ``end``, or zeros."""
        end = field.end if isinstance(field, Categorical) and field.end is not None else 0
        return torch.full((rows, self.length), end, dtype=field.dtype, device=device)


class SequenceTrunk(Trunk):
    """Roles of the Transformer."""

    def encoder(self, out_dim: int) -> SequenceEncoder:
        """Looks both ways, pooled."""
        return SequenceEncoder(self.space, self.config, out_dim)

    def decoder(self, in_dim: int) -> SequenceDecoder:
        """Causal."""
        return SequenceDecoder(self.space, self.config, in_dim)

    def generator(self, in_dim: int) -> SequenceGenerator:
        """Looks both ways from a latent."""
        return SequenceGenerator(self.space, self.config, in_dim)

    def critic(self, out_dim: int) -> SequenceCritic:
        """Looks both ways over embedded elements, pooled."""
        return SequenceCritic(self.space, self.config, out_dim)

    def denoiser(self) -> SequenceDenoiser:
        """Looks both ways over noisy elements."""
        return SequenceDenoiser(self.space, self.config)

    def block_denoiser(self, block: int) -> SequenceBlockDenoiser:
        """Looks both ways in a block and back over what comes before."""
        return SequenceBlockDenoiser(self.space, self.config, block)


def _at(
    step: int, rows: Tensor, given: Batch | None, known: Mapping[str, Tensor] | None
) -> tuple[Batch | None, Mapping[str, Tensor] | None]:
    """The given elements of one position, (B, 1), for the records still going. What lies beyond
    a mask, that of a trimmed batch, is not known."""
    if given is None or known is None:
        return None, None
    here = slice(step, step + 1)
    masks = {n: mask[rows, here] for n, mask in known.items() if mask.dim() == 2}
    masks = {n: mask for n, mask in masks.items() if mask.shape[1]}
    return {n: given[n][rows, here] for n in masks}, masks
