"""Transformer blocks: rotary positions, RMS norms, normalised queries and keys, squared ReLU.

Sources: Vaswani et al. 2017 (attention), Su et al. 2021 (rotary positions), Zhang & Sennrich 2019
(RMSNorm), Henry et al. 2020 (QK-norm), So et al. 2021 (squared ReLU).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

COMPACT_BELOW = 0.8
"""While drawing, finished records are dropped from the batch once fewer than this share of it goes
on: copying the caches costs about one step, so it pays every few steps."""
Angles = tuple[Tensor, Tensor] | None
"""Cosines and sines (L, D/2) of rotary positions; None where positions have no order."""


def head_count(width: int, head_width: int) -> int:
    """Heads of at least ``head_width`` channels that share ``width``, a multiple of 8, evenly."""
    most = max(1, width // head_width)
    return next(heads for heads in range(most, 0, -1) if width % (2 * heads) == 0)


def rotary(positions: Tensor, head_width: int) -> Tensor:
    """Angles (L, head_width/2) of rotary positions, wavelengths 2π … 2π·10⁴."""
    rates = 10_000 ** (-torch.arange(0, head_width, 2, device=positions.device) / head_width)
    return positions[:, None].float() * rates[None]


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the two halves of each head, (B, H, L, D), by angles (L, D/2)."""
    left, right = x.chunk(2, dim=-1)
    return torch.cat((left * cos - right * sin, left * sin + right * cos), dim=-1)


@dataclass
class Cache:
    """Keys and values of one block, (B, H, max_length, D), filled up to the current step."""

    keys: Tensor
    values: Tensor

    def keep(self, rows: Tensor) -> Cache:
        """Only some records."""
        return Cache(self.keys[rows], self.values[rows])

    def put(self, keys: Tensor, values: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Store those of the positions from ``step`` on; all up to the last of these."""
        end = step + keys.shape[2]
        self.keys[:, :, step:end] = keys
        self.values[:, :, step:end] = values
        return self.keys[:, :, :end], self.values[:, :, :end]


class Attention(nn.Module):
    """Multi-head self-attention over positions."""

    def __init__(self, width: int, head_width: int) -> None:
        super().__init__()
        self.heads = head_count(width, head_width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.query_norm = nn.RMSNorm(width // self.heads)
        self.key_norm = nn.RMSNorm(width // self.heads)
        nn.init.zeros_(self.output.weight)

    def forward(
        self,
        x: Tensor,
        angles: Angles,
        mask: Tensor | None,
        causal: bool,
        cache: Cache | None = None,
        step: int = 0,
    ) -> Tensor:
        """x (B, L, width). ``angles``: None where positions have no order. ``mask``: (B or 1, 1,
        L or 1, L), True where a position may be looked at. With a ``cache`` x are the positions
        from ``step`` on, which look back over the cache and at each other, with ``causal`` only
        back."""
        B, L, width = x.shape
        q, k, v = self.qkv(x).view(B, L, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = self.query_norm(q), self.key_norm(k)
        if angles is not None:
            q, k = rotate(q, *angles), rotate(k, *angles)
        if cache is not None:
            k, v = cache.put(k, v, step)
            if causal and L > 1:
                mask = torch.ones(L, k.shape[2], dtype=torch.bool, device=x.device).tril(step)
        found = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=causal and cache is None
        )
        return self.output(found.transpose(1, 2).reshape(B, L, width))


class Block(nn.Module):
    """x + attention(norm x); x + perceptron(norm x). Starts as the identity."""

    def __init__(self, width: int, head_width: int, expansion: int = 4) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(width)
        self.attention = Attention(width, head_width)
        self.norm = nn.RMSNorm(width)
        self.inner = nn.Linear(width, expansion * width, bias=False)
        self.outer = nn.Linear(expansion * width, width, bias=False)
        nn.init.zeros_(self.outer.weight)

    def forward(
        self,
        x: Tensor,
        angles: Angles,
        mask: Tensor | None,
        causal: bool,
        cache: Cache | None = None,
        step: int = 0,
    ) -> Tensor:
        """(B, L, width) → (B, L, width); arguments as for ``Attention``."""
        x = x + self.attention(self.attention_norm(x), angles, mask, causal, cache, step)
        return x + self.outer(F.relu(self.inner(self.norm(x))).square())


class Transformer(nn.Module):
    """A stack of blocks over positions, with a last norm."""

    def __init__(self, width: int, depth: int, head_width: int, *, ordered: bool = True) -> None:
        """``ordered``: positions are told apart by where they are (rotary)."""
        super().__init__()
        self.ordered = ordered
        self.blocks = nn.ModuleList(Block(width, head_width) for _ in range(depth))
        self.norm = nn.RMSNorm(width)
        self.heads = head_count(width, head_width)
        self.head_width = width // self.heads

    def forward(
        self,
        x: Tensor,
        *,
        mask: Tensor | None = None,
        causal: bool = False,
        positions: Tensor | None = None,
    ) -> Tensor:
        """x (B, L, width); ``mask`` (B, L) True where a position counts, or (B or 1, L, L) where
        the first may look at the second. ``positions`` (L,), by default 0, 1, …"""
        places = torch.arange(x.shape[1], device=x.device) if positions is None else positions
        angles = self._angles(places, x.dtype)
        allowed = mask
        if mask is not None:
            allowed = mask[:, None, None, :] if mask.dim() == 2 else mask[:, None]
        for block in self.blocks:
            x = block(x, angles, allowed, causal)
        return self.norm(x)

    def step(
        self,
        x: Tensor,
        caches: Sequence[Cache],
        step: int,
        *,
        causal: bool = True,
        first: int | None = None,
    ) -> Tensor:
        """Further positions of a pass: x (B, K, width), kept in the caches from ``step`` on, at the
        positions from ``first`` on (by default ``step``)."""
        begin = step if first is None else first
        places = torch.arange(begin, begin + x.shape[1], device=x.device)
        angles = self._angles(places, x.dtype)
        for block, cache in zip(self.blocks, caches, strict=True):
            x = block(x, angles, None, causal, cache, step)
        return self.norm(x)

    def caches(self, rows: int, length: int, like: Tensor) -> list[Cache]:
        """Empty caches for ``rows`` records of up to ``length`` positions."""
        shape = (rows, self.heads, length, self.head_width)
        return [Cache(like.new_zeros(shape), like.new_zeros(shape)) for _ in self.blocks]

    def _angles(self, positions: Tensor, dtype: torch.dtype) -> Angles:
        if not self.ordered:
            return None
        angles = rotary(positions, self.head_width)
        return angles.cos().to(dtype), angles.sin().to(dtype)
