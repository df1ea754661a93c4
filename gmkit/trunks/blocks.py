"""The network of block diffusion over sequences (Arriola et al. 2025, "Block diffusion").

One causal pass reads the clean elements, each predicting the next. A second pass reads the noisy
ones: in it an element looks both ways within its block, and back at the causal pass as far as the
block's beginning. Both share all weights, so what the first learns at every element serves the
second.

    causal pass   start  x_0  x_1  …      at positions 0, 1, 2, …; each predicts x_i at position i
    noisy pass    x̃_0    x̃_1  x̃_2  …      at the same positions, and predicting the same

An element of the noisy pass also knows the one before it, where that is not masked. So the first
of each block begins as a copy of the causal pass at its position. In blocks of one element nothing
is left for a noisy pass to see: there the causal one answers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from gmkit.codecs import Batch
from gmkit.errors import ConfigError
from gmkit.fields import Space
from gmkit.fields.space import Params
from gmkit.trunks.inputs import ConditionInput
from gmkit.trunks.positions import PositionInput, split_by_layout
from gmkit.trunks.transformer import Cache, Transformer
from gmkit.trunks.trunk import BlockDenoiser, TrunkConfig


@dataclass
class Drawing:
    """Where a drawing stands: keys and values of the causal pass, and how far it went."""

    caches: list[Cache]
    context: Tensor | None
    """(B, width), the conditions."""
    last: Tensor
    """(B, 1, width): the embedded element before the next block."""
    place: int = 0
    """Elements accepted."""
    read: int = 0
    """Elements that the causal pass has read, of those accepted."""


class SequenceBlockDenoiser(BlockDenoiser):
    """Fields of layout ``sequence`` alone, of one length."""

    def __init__(self, space: Space, config: TrunkConfig, block: int) -> None:
        """Raises ConfigError for a space with fields that have no positions."""
        super().__init__()
        width = config.channels
        self.sequences, others = split_by_layout(space)
        if others:
            raise ConfigError(
                f"blocks need sequences alone, and {', '.join(others)} is none",
                hint="Leave family.block at 0.",
            )
        self.block = block
        self.length = next(iter(self.sequences.values())).shape[0]
        self.input = PositionInput(self.sequences, width)
        self.start = nn.Parameter(torch.randn(width) * width**-0.5)
        if block > 1:
            self.noisy = nn.Parameter(torch.randn(width) * 0.02)
            self.before = nn.Linear(width, width, bias=False)
            nn.init.eye_(self.before.weight)
        self.condition = ConditionInput(space, width, withheld=True)
        self.body = Transformer(width, config.blocks, config.head_width)
        self.outputs = nn.ModuleList(nn.Linear(width, f.param_dim) for f in self.sequences.values())

    def forward(
        self, noisy: Batch | None, clean: Batch, condition: Batch, drop: Tensor | None = None
    ) -> tuple[Params | None, Params]:
        """As ``BlockDenoiser``; one pass over both halves, or over the causal one alone."""
        context = self.condition(condition, drop)
        embedded = self.input(clean)
        B, L, _ = embedded.shape
        first = self.start.expand(B, 1, -1)
        causal = torch.cat((first, embedded[:, :-1]), 1)
        if noisy is None or self.block == 1:
            following = self._read(self.body(_with(causal, context), causal=True))
            return (None if noisy is None else following), following
        x = torch.cat((causal, self._noisy(self.input(noisy), causal)), 1)
        places = torch.arange(L, device=x.device)
        hidden = self.body(
            _with(x, context),
            mask=self._looks(L, x.device)[None],
            positions=torch.cat((places, places)),
        )
        return self._read(hidden[:, L:]), self._read(hidden[:, :L])

    def _noisy(self, embedded: Tensor, before: Tensor) -> Tensor:
        """Inputs of the noisy pass: the element, and in front of a block the one before, which a
        network that predicts the next is used to start from."""
        L = embedded.shape[1]
        head = torch.arange(L, device=embedded.device) % self.block == 0
        shifted = torch.cat((before[:, :1], embedded[:, :-1]), 1)
        ahead = torch.where(head[:, None], before, shifted)
        return embedded + self.noisy + self.before(ahead)

    def _looks(self, length: int, device: torch.device) -> Tensor:
        """(2L, 2L): who may look at whom, causal pass first."""
        places = torch.arange(length, device=device)
        begins = places // self.block * self.block  # of each element's block
        causal = places[:, None] >= places
        back = begins[:, None] >= places  # the causal pass up to what comes before the block
        within = begins[:, None] == begins
        never = torch.zeros_like(causal)
        return torch.cat((torch.cat((causal, never), 1), torch.cat((back, within), 1)))

    # ------------------------------------------------------------ drawing

    @torch.no_grad()
    def begin(self, rows: int, condition: Batch, drop: Tensor | None = None) -> Drawing:
        """Nothing accepted yet."""
        context = self.condition(condition, drop)
        caches = self.body.caches(rows, self.length + self.block, self.start)
        return Drawing(caches, context, self.start.expand(rows, 1, -1))

    @torch.no_grad()
    def answer(self, state: Drawing, noisy: Batch) -> Params:
        """The causal pass reads the element before the block, then the noisy pass the block; what
        the latter leaves in the caches is written over by ``accept``."""
        if self.block == 1 or state.read == state.place:
            hidden = self._causal(state, state.last)
            state.read = state.place + 1
            if self.block == 1:
                return self._read(hidden)
        embedded = self.input(noisy)
        x = embedded + self.noisy
        x = x + self.before(torch.cat((state.last, embedded[:, :-1]), 1))
        hidden = self.body.step(
            _with(x, state.context),
            state.caches,
            state.place + 1,
            causal=False,
            first=state.place,
        )
        return self._read(hidden)

    @torch.no_grad()
    def accept(self, state: Drawing, clean: Batch) -> None:
        """The causal pass reads the block but its last element, which the next one begins from."""
        embedded = self.input(clean)
        if self.block > 1 or state.read == state.place:
            self._causal(state, torch.cat((state.last, embedded[:, :-1]), 1))
        state.last = embedded[:, -1:]
        state.place += embedded.shape[1]
        state.read = state.place

    def _causal(self, state: Drawing, x: Tensor) -> Tensor:
        return self.body.step(_with(x, state.context), state.caches, state.place)

    def keep(self, state: Drawing, rows: Tensor) -> Drawing:
        """As ``BlockDenoiser``."""
        context = None if state.context is None else state.context[rows]
        caches = [cache.keep(rows) for cache in state.caches]
        return replace(state, caches=caches, context=context, last=state.last[rows])

    def _read(self, hidden: Tensor) -> Params:
        pairs = zip(self.sequences, self.outputs, strict=True)
        return {name: head(hidden) for name, head in pairs}


def _with(x: Tensor, context: Tensor | None) -> Tensor:
    return x if context is None else x + context[:, None]
