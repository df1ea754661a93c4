"""All ways to propose records, the model's and the domain's, and which of them earn their keep.

Shares of the ways follow their success: each is drawn with probability proportional to how often
its proposals of late entered the best, over a floor, so that what works for this model and
objective is found out and nothing is given up for good.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from gmkit.codecs import Codec
from gmkit.design.operators import PART, TEMPERATURE, Operator, operators
from gmkit.errors import ConfigError, DataError
from gmkit.families import Family
from gmkit.objectives.change import Change, Scaffold

__all__ = ["PARENT", "WAY", "Ways"]

PLACE = "place"
"""The way of filling a place of a scaffold."""

WAY, PARENT = "_way", "_parent"
"""Columns of a proposal: the way it came, and the row of its parent."""
FLOOR = 0.04
"""Least probability of a way."""
SLOW = 0.25
"""What a way's share is multiplied by that costs ten times the others' time."""
FADE = 0.9
"""What a way's past success counts for after each round."""


class Ways:
    """A family's operators on tensors and a domain's changes of records, alike in use."""

    def __init__(
        self,
        family: Family,
        codec: Codec,
        column: str,
        changes: Mapping[str, Change],
        scaffold: Scaffold | None = None,
    ) -> None:
        """``scaffold``: whose places a model that can complete a part fills anew."""
        self._scaffold = scaffold
        self._family, self._codec, self._column = family, codec, column
        self._operators, self._changes = operators(family), dict(changes)
        self._modelled = list(self._operators)
        if scaffold is not None and "complete" in family.capabilities:
            self._modelled.append(PLACE)
        slow = "encode" in family.capabilities  # it completes by going through its latent often
        completing = (PART, PLACE) if slow else ()
        self._prices = np.array([SLOW if n in completing else 1.0 for n in self._modelled])
        self.success = dict.fromkeys([*self._modelled, *self._changes], 1.0)

    def propose(
        self, parents: pa.RecordBatch, rng: torch.Generator, choice: np.random.Generator
    ) -> pa.RecordBatch:
        """A proposal for each parent, as the model or the domain wrote it, with its way and the
        row of its parent. Parents that the model should change but cannot read are left out.

        Each time the model proposes in one way only, for all parents that fell to it: what a
        drawing costs hardly depends on how many records it is for."""
        shares = np.array(list(self.success.values())) + 1e-9
        shares = FLOOR + (1 - FLOOR * len(shares)) * shares / shares.sum()
        drawn = choice.choice(len(shares), len(parents), p=shares / shares.sum())
        modelled = shares[: len(self._modelled)] * self._prices
        one = choice.choice(len(modelled), p=modelled / modelled.sum())
        drawn = np.where(drawn < len(modelled), one, drawn)
        parts = []
        for number, name in enumerate(self.success):
            rows = np.flatnonzero(drawn == number)
            if len(rows) and name in self._changes:
                some = parents.take(pa.array(rows))
                parts.append(self._part(name, rows, self._changes[name](some, choice)))
            elif len(rows) and name == PLACE:
                parts.append(self._filled(parents, rows, rng, choice))
            elif len(rows):
                parts.append(self._operated(name, self._operators[name], parents, rows, rng))
        return pa.Table.from_batches(parts).combine_chunks().to_batches()[0]

    def reward(self, by: list[str], good: NDArray[np.bool_], made: Mapping[str, int]) -> None:
        """Fade the past and add each way's rate of proposals, of ``made``, that entered the best
        (``good``, of those scored, which came ``by`` these ways)."""
        ways = np.array(by)
        for way in self.success:
            rate = float(good[ways == way].sum()) / max(made.get(way, 0), 1)
            self.success[way] = FADE * self.success[way] + (1 - FADE) * rate

    def _filled(
        self,
        parents: pa.RecordBatch,
        rows: NDArray[np.int64],
        rng: torch.Generator,
        choice: np.random.Generator,
    ) -> pa.RecordBatch:
        """One place of the scaffold filled by the model, all else kept."""
        assert self._scaffold is not None
        openings = self._scaffold.openings(parents.take(pa.array(rows)), choice)
        kept, parts = [], []
        for row, text in zip(rows, openings, strict=True):
            try:
                parts.append(self._codec.partial(text or "", gaps=True))
                kept.append(row)
            except ConfigError:  # too long, or with what the model has not seen
                continue
        if not kept:
            return self._part(PLACE, np.array([], np.int64), [])
        given, known = (
            {name: torch.cat([part[side][name] for part in parts]).to(rng.device) for name in part_}
            for side, part_ in enumerate(parts[0])
        )
        batch = self._family.complete(given, known, rng, TEMPERATURE)
        records = self._codec.decode({key: value.cpu() for key, value in batch.items()})
        return self._part(PLACE, np.array(kept), records.column(self._column))

    def _operated(
        self,
        name: str,
        operator: Operator,
        parents: pa.RecordBatch,
        rows: NDArray[np.int64],
        rng: torch.Generator,
    ) -> pa.RecordBatch:
        some = parents.take(pa.array(rows))
        kept = np.array(readable(self._codec, some), np.int64)
        if not len(kept):
            return self._part(name, kept, [])
        batch = self._codec.encode(some.take(pa.array(kept)))
        given = self._family.space.pick(batch, slice(None), rng.device)
        found = {**given, **operator(given, rng)}
        records = self._codec.decode({key: value.cpu() for key, value in found.items()})
        return self._part(name, rows[kept], records.column(self._column))

    def _part(
        self, name: str, rows: NDArray[np.int64], values: pa.Array | list[str | None]
    ) -> pa.RecordBatch:
        column = pa.array(values, pa.string()) if isinstance(values, list) else values
        columns = {
            self._column: column,
            WAY: pa.array([name] * len(rows), pa.string()),
            PARENT: pa.array(rows, pa.int64()),
        }
        return pa.RecordBatch.from_pydict(columns)


def readable(codec: Codec, records: pa.RecordBatch) -> list[int]:
    """Rows that ``encode`` takes: no unknown token, none too long."""
    try:
        codec.encode(records)
        return list(range(len(records)))
    except DataError:
        if len(records) == 1:
            return []
    half = len(records) // 2
    first = readable(codec, records.slice(0, half))
    return first + [half + row for row in readable(codec, records.slice(half))]
