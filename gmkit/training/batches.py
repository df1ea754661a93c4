"""Batches by step number from tensors that lie in memory, without a DataLoader.

Which records step k sees depends only on (seed, k). Records of varying length are grouped with
others of about the same length, so that little is computed on padding.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gmkit.codecs import Batch
from gmkit.errors import DataError
from gmkit.fields import Space
from gmkit.randomness import generator

GROUP = 32
"""Batches sorted by length together: larger wastes less padding, smaller mixes better."""
AHEAD = 16
"""Batches gathered at once. A step then only slices: gathering alone cost 0.2 ms a step, nearly
all of it the price of running five small operations on a cold cache."""
AHEAD_BYTES = 32 << 20
"""At most about so much lies gathered."""


class Batches:
    """Shuffled batches of fixed size, epoch after epoch; the last partial batch of an epoch is
    left out, unless it is the only one."""

    def __init__(
        self,
        data: Batch,
        space: Space,
        batch_size: int,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        """``data``: compact tensors by field name, each (N, …). Raises DataError for N = 0."""
        self.data = data
        self.space = space
        self.seed = seed
        self.device = device
        self.rows = len(next(iter(data.values())))
        if self.rows == 0:
            raise DataError("no records to train on", hint="Give data with usable records.")
        self.batch_size = min(batch_size, self.rows)
        self.per_epoch = self.rows // self.batch_size
        self._lengths = space.lengths(data)
        self._reach = space.reach(data)
        self._epoch = -1
        self._order = torch.empty(0)
        self._cuts: list[int] | None = None
        bytes_a_batch = self.batch_size * space.bytes_per_record
        self._ahead = max(1, min(AHEAD, AHEAD_BYTES // max(1, bytes_a_batch)))
        self._block = -1
        self._gathered: Batch = {}

    def at(self, step: int) -> Batch:
        """The batch of this step."""
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._enter(epoch)
        block, offset = divmod(place, self._ahead)
        if block != self._block:
            self._gather(block)
        start = offset * self.batch_size
        batch = {n: value[start : start + self.batch_size] for n, value in self._gathered.items()}
        return batch if self._cuts is None else self.space.cut(batch, self._cuts[place])

    def _gather(self, block: int) -> None:
        """Lay the next few batches side by side on the device."""
        rows = self._order[block * self._ahead : (block + 1) * self._ahead].reshape(-1)
        self._gathered, self._block = self.space.pick(self.data, rows, self.device), block

    def _enter(self, epoch: int) -> None:
        """Shuffle, and see for all batches at once how far each reaches."""
        self._order, self._epoch, self._block = self._shuffled(epoch), epoch, -1
        if self._reach is not None:
            self._cuts = self._reach[self._order].amax(1).tolist()

    def _shuffled(self, epoch: int) -> Tensor:
        """Row numbers (per_epoch, batch_size)."""
        rng = generator(self.seed, "epoch", epoch)
        order = torch.randperm(self.rows, generator=rng)[: self.per_epoch * self.batch_size]
        if self._lengths is None:
            return order.reshape(self.per_epoch, self.batch_size)
        groups = torch.split(order, GROUP * self.batch_size)
        by_length = [group[self._lengths[group].argsort(stable=True)] for group in groups]
        batches = torch.cat(by_length).reshape(self.per_epoch, self.batch_size)
        return batches[torch.randperm(self.per_epoch, generator=rng)]


def in_order(data: Batch, space: Space, size: int, device: torch.device | str) -> list[Batch]:
    """All records once, in order, in batches of up to ``size``."""
    rows = len(next(iter(data.values())))
    starts = range(0, rows, size)
    return [space.trim(space.pick(data, slice(start, start + size), device)) for start in starts]
