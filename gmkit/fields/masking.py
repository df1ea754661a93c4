"""Masking exactly so many elements of a sequence, or of each of its blocks.

With a share u of n elements, k = ⌊u n⌋ + 1 of them are masked, which ones by lot: for u ~ U(0, 1)
each k from 1 to n is as likely, and the mean of (n/k) Σ_masked − log p is the bound of an
autoregressive model over random orders (Uria et al. 2014, "A deep and tractable density estimator",
eq. 8), the same as the NELBO of masking each element alone, with less variance: no record comes out
with nothing masked or a weight of 1/t near t = 0.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gmkit.fields.process import Process

GOLDEN = 0.618034
"""Multiples of it, modulo 1, lie far apart from each other: the times of a record's blocks."""


def hide_counted(lot: Tensor, maskable: Tensor, t: Tensor, process: Process) -> Tensor:
    """(B, L): which elements to mask at times ``t`` (B,), by ``lot``, uniform numbers (B, L).
    Every block has a time of its own: times that are even over [0, 1) are so for each block."""
    blocks = _blocked(maskable, process)  # (B, blocks, K)
    share = process.masked(t)[:, None]
    if process.block:
        share = (share + GOLDEN * torch.arange(blocks.shape[1], device=t.device)) % 1.0
    free = blocks.sum(-1)
    count = (torch.floor(share * free).long() + 1).clamp(max=free)
    order = (_blocked(lot, process) + 2.0 * ~blocks).argsort(-1).argsort(-1)
    return _joined(order < count[..., None], maskable.shape[1])


def counted_share(masked: Tensor, maskable: Tensor, process: Process) -> Tensor:
    """(B, L): the share of each element's block that is masked; 1 where none is."""
    hidden = _blocked(masked, process).sum(-1)
    free = _blocked(maskable, process).sum(-1)
    share = torch.where(hidden > 0, hidden / free.clamp(min=1), 1.0)
    return _joined(share[..., None].expand(-1, -1, _size(process, masked)), masked.shape[1])


def reveal_counted(lot: Tensor, masked: Tensor, share: Tensor) -> Tensor:
    """(B, L): a ``share`` (B,) of the masked elements, rounded up, by ``lot``."""
    count = torch.ceil(share * masked.sum(1) - 1e-4)[:, None]
    order = (lot + 2.0 * ~masked).argsort(1).argsort(1)
    return masked & (order < count)


def later_in_block(found: Tensor, process: Process) -> Tensor:
    """(B, L): whether any is ``found`` from an element on to the end of its block."""
    return _joined(_blocked(found, process).flip(-1).cumsum(-1).flip(-1) > 0, found.shape[1])


def _size(process: Process, value: Tensor) -> int:
    return process.block or value.shape[1]


def _blocked(value: Tensor, process: Process) -> Tensor:
    """(B, L) → (B, blocks, K), the last filled up by zeros."""
    size = _size(process, value)
    return F.pad(value, (0, -value.shape[1] % size)).reshape(len(value), -1, size)


def _joined(value: Tensor, length: int) -> Tensor:
    return value.flatten(1)[:, :length]
