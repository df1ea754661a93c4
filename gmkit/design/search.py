"""The search: the model proposes, the objective scores, the model learns, until calls are used up.

A genetic algorithm whose mutations and crossings are the model's (``operators``), with replay by
rank into the model (``replay``). Shares of the operators follow their success: each is drawn with
probability proportional to how often its proposals of late entered the best, over a floor, so that
what works for this model and objective is found out and nothing is given up for good.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from gmkit.codecs import Batch, Codec
from gmkit.design.archive import Archive
from gmkit.design.operators import operators
from gmkit.design.replay import Replay
from gmkit.errors import ConfigError, DataError
from gmkit.families import Family
from gmkit.objectives.objective import Scorer
from gmkit.randomness import derive, generator

__all__ = ["SearchConfig", "search"]

Floats = NDArray[np.float64]
PARENTS = 0.02
"""Share κ of ``Archive.draw`` for parents and replay: smaller is greedier."""
FLOOR = 0.1
"""Least probability of an operator."""
FADE = 0.8
"""What an operator's past success counts for after each round."""
OVERSAMPLE = 1.5
"""Proposals for each call: some are known already, some are no proper records."""
REPLAYED = 64
"""Records of a training step."""
FRUITLESS = 20
"""Rounds in a row without anything new after which the search ends early."""


@dataclass(frozen=True)
class SearchConfig:
    """How to search."""

    budget: int = 1000
    """Calls of the objective."""
    batch: int = 0
    """Records a call of the scorer gets at once; 0: by the budget."""
    replay: int = 8
    """Training steps after each round."""
    seed: int = 0
    seconds: float | None = None
    """Time after which to stop, if the calls last longer."""

    @property
    def round(self) -> int:
        """Calls in a round."""
        return self.batch or int(np.clip(self.budget // 40, 10, 200))


def search(
    family: Family,
    codec: Codec,
    archive: Archive,
    objective: Scorer,
    penalties: Scorer | None,
    seeds: pa.RecordBatch,
    config: SearchConfig,
) -> Iterator[int]:
    """Fill ``archive`` up to the budget; yields the number of calls made after each round.

    ``penalties``: its scores in [0, 1] times the objective's are the fitness. ``seeds``: records
    to begin with, scored first. The family's weights change: give a copy.
    Raises ConfigError where nothing can be proposed, and what the objective raises.
    """
    began = time.monotonic()
    learning = Replay(family) if config.replay else None
    ways = operators(family)
    success = dict.fromkeys(ways, 1.0)
    choice = np.random.default_rng(derive(config.seed, "design"))
    device = next(family.parameters()).device
    fruitless = number = 0
    waiting = seeds
    while len(archive) < config.budget and fruitless < FRUITLESS:
        if config.seconds is not None and time.monotonic() - began > config.seconds:
            return
        size = min(config.round, config.budget - len(archive))
        rng = generator(config.seed, "design", number, device=device)
        number += 1
        origin = None
        if len(waiting):
            proposed, waiting = waiting.slice(0, size), waiting.slice(size)
        else:
            parents = _parents(archive, int(size * OVERSAMPLE) + 1, choice)
            proposed, origin = _proposed(family, ways, success, parents, codec, rng, choice)
        proposed = proposed if origin is None else proposed.append_column("_way", origin)
        usable = _prepared(codec, proposed)
        new = archive.unknown(usable).slice(0, size)
        fruitless = 0 if len(new) else fruitless + 1
        if not len(new):
            continue
        by = new.column("_way").to_pylist() if origin is not None else None
        records = new if by is None else new.drop_columns(["_way"])
        scored = objective(records)
        fitness = scored.score * (1.0 if penalties is None else penalties(records).score)
        bar = _bar(archive)
        archive.add(records, scored, fitness)
        if by is not None:
            _reward(success, by, fitness > bar)
        yield len(archive)
        if learning is not None:
            _learn(learning, archive, codec, config, rng, choice, device)
    if not len(archive):
        raise ConfigError(
            "the model proposes nothing that can be scored",
            hint="Train it longer, or start from records of your own: --seeds FILE.",
        )


def _bar(archive: Archive) -> float:
    """What a record must beat to be among the best tenth."""
    return float(np.quantile(archive.fitness, 0.9)) if len(archive) else -np.inf


def _reward(success: dict[str, float], by: list[str], good: NDArray[np.bool_]) -> None:
    """Fade the past and add each operator's rate of proposals that entered the best."""
    ways = np.array(by)
    for way in success:
        mine = ways == way
        rate = float(good[mine].mean()) if mine.any() else 0.0
        success[way] = FADE * success[way] + (1 - FADE) * rate


def _parents(archive: Archive, n: int, choice: np.random.Generator) -> pa.RecordBatch:
    """Records of the archive, drawn by rank."""
    rows = archive.draw(n, choice, share=PARENTS)
    return archive.table().take(pa.array(rows)).combine_chunks().to_batches()[0]


def _proposed(
    family: Family,
    ways: Mapping[str, Callable[[Batch, torch.Generator], Batch]],
    success: Mapping[str, float],
    parents: pa.RecordBatch,
    codec: Codec,
    rng: torch.Generator,
    choice: np.random.Generator,
) -> tuple[pa.RecordBatch, pa.Array]:
    """Proposals, and the operator each comes from."""
    batch = codec.encode(parents)
    weights = np.array(list(success.values())) + 1e-9
    weights = FLOOR + (1 - FLOOR * len(ways)) * weights / weights.sum()
    drawn = choice.choice(len(ways), len(parents), p=weights / weights.sum())
    made, names = [], []
    for number, (name, propose) in enumerate(ways.items()):
        rows = torch.from_numpy(np.flatnonzero(drawn == number))
        if len(rows):
            some = family.space.pick(batch, rows, rng.device)
            found = {**some, **propose(some, rng)}
            made.append(codec.decode({key: value.cpu() for key, value in found.items()}))
            names += [name] * len(rows)
    return pa.Table.from_batches(made).combine_chunks().to_batches()[0], pa.array(names)


def _prepared(codec: Codec, records: pa.RecordBatch) -> pa.RecordBatch:
    """The proper ones in their one form, of those that the model could read again."""
    usable = codec.prepare(records).records
    return usable.take(pa.array(_readable(codec, usable), pa.int64()))


def _readable(codec: Codec, records: pa.RecordBatch) -> list[int]:
    """Rows that ``encode`` takes: no unknown token, none too long."""
    try:
        codec.encode(records)
        return list(range(len(records)))
    except DataError:
        if len(records) == 1:
            return []
    half = len(records) // 2
    first = _readable(codec, records.slice(0, half))
    return first + [half + row for row in _readable(codec, records.slice(half))]


def _learn(
    learning: Replay,
    archive: Archive,
    codec: Codec,
    config: SearchConfig,
    rng: torch.Generator,
    choice: np.random.Generator,
    device: torch.device,
) -> None:
    """Some training steps on records drawn by rank."""
    space = learning.family.space
    for _ in range(config.replay):
        batch = codec.encode(_parents(archive, REPLAYED, choice))
        learning.step(space.trim(space.pick(batch, slice(None), device)), rng)
