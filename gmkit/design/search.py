"""The search: proposals, a guess of what they are worth, the objective, until calls are used up.

A genetic algorithm whose mutations and crossings are the model's and the domain's (``ways``), with
replay by rank into the model (``replay``). Where the domain tells records' features, many more are
proposed than can be scored: a quick guess learned from all scores so far (``surrogate``) says which
of them to score, and its best are parents of a second generation before anything is scored. So
whatever proposes, a masked diffusion that draws a part of a record anew, points in a latent, edits
of a graph, is guided by the objective (selection between draws in place of gradients: Li et al.
2024, "Derivative-free guidance in continuous and discrete diffusion models").
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from gmkit.codecs import Codec
from gmkit.design.archive import Archive
from gmkit.design.candidates import CROWD, Candidates, Sieve, joined
from gmkit.design.replay import Replay
from gmkit.design.surrogate import Surrogate
from gmkit.design.ways import PARENT, WAY, Ways, readable
from gmkit.domain import Domain
from gmkit.errors import ConfigError
from gmkit.families import Family
from gmkit.objectives.change import Scaffold
from gmkit.objectives.objective import Scorer
from gmkit.randomness import derive, generator

__all__ = ["SearchConfig", "search"]

PARENTS = 0.02
"""Share κ of ``Archive.draw`` for parents and replay: smaller is greedier."""
FIRST, MOST_FIRST = 0.1, 200
"""Share of the calls that given records are scored by before anything is proposed, and how many at
most."""
SMALL, LARGE, GROWTH = 25, 150, 1 / 30
"""Calls in a round: of the first rounds, at most, and as a share of the calls made."""
OVERSAMPLE = 1.5
"""Proposals for each call without a guess: some are known already, some are no proper records."""
GUESSED, FACTOR = 300, 2.5
"""Proposals that are guessed at in a round, at least in all and for each call."""
CAUTION = (0.03, 1.0)
"""Standard deviations added to a guess, from which each round draws one, evenly in the log."""
REPLAYED = 64
"""Records of a training step."""
FRUITLESS = 20
"""Rounds in a row without anything new after which the search ends early."""
PATIENCE = 3
"""Rounds in which none of the given records was worth a call, after which they are left alone."""
KNOWN = "known"
"""The way of given records."""


@dataclass(frozen=True)
class SearchConfig:
    """How to search."""

    budget: int = 1000
    """Calls of the objective."""
    batch: int = 0
    """Records a call of the scorer gets at once; 0: by the budget."""
    replay: int = 2
    """Training steps after each round."""
    seed: int = 0
    seconds: float | None = None
    """Time after which to stop, if the calls last longer."""

    def round(self, done: int) -> int:
        """Calls in the next round after ``done``: few at first, when each teaches most."""
        small = int(np.clip(self.budget // 40, 10, SMALL))
        return self.batch or int(np.clip(done * GROWTH, small, LARGE))

    @property
    def first(self) -> int:
        """Given records that are scored before anything is proposed."""
        return min(max(self.round(0), int(self.budget * FIRST)), MOST_FIRST)


def search(
    family: Family,
    codec: Codec,
    archive: Archive,
    objective: Scorer,
    penalties: Scorer | None,
    seeds: pa.RecordBatch,
    config: SearchConfig,
    domain: Domain,
    scaffold: Scaffold | None = None,
) -> Iterator[int]:
    """Fill ``archive`` up to the budget; yields the number of calls made after each round.

    ``penalties``: its scores in [0, 1] times the objective's are the fitness. ``seeds``: records
    to begin with, the first of which are scored first. ``scaffold``: what every record must hold.
    The family's weights change: give a copy. Raises ConfigError where nothing can be proposed, and
    what the objective raises.
    """
    work = _Search(family, codec, archive, objective, domain, config)
    work.ways = Ways(family, codec, archive.column, domain.changes(), scaffold)
    work.sieve = Sieve(codec, archive, domain, penalties, scaffold, work.choice)
    work.waiting = seeds.select([archive.column])
    return work.rounds()


class _Search:
    """Where a search stands."""

    ways: Ways
    sieve: Sieve
    waiting: pa.RecordBatch
    """Given records that were not looked at yet."""

    def __init__(
        self,
        family: Family,
        codec: Codec,
        archive: Archive,
        objective: Scorer,
        domain: Domain,
        config: SearchConfig,
    ) -> None:
        self.codec, self.archive, self.objective, self.config = codec, archive, objective, config
        self.domain = domain
        self.learning = Replay(family) if config.replay else None
        self.choice = np.random.default_rng(derive(config.seed, "design"))
        self.device = next(family.parameters()).device
        self.features: list[NDArray[np.bool_]] = []
        """Of the archive's records, in order; empty where the domain tells none."""
        if len(archive):  # of an earlier search
            known = domain.features(archive.records(np.arange(len(archive))))
            self.features += [] if known is None else [known]
        self.made: Counter[str] = Counter()
        self.patience = PATIENCE

    def rounds(self) -> Iterator[int]:
        """Propose, score, learn."""
        began = time.monotonic()
        archive, config = self.archive, self.config
        fruitless, number = 0, len(archive)
        while len(archive) < config.budget and fruitless < FRUITLESS:
            if config.seconds is not None and time.monotonic() - began > config.seconds:
                return
            rng = generator(config.seed, "design", number, device=self.device)
            number += 1
            self.made.clear()
            found = self._chosen(min(config.round(len(archive)), config.budget - len(archive)), rng)
            fruitless = 0 if len(found) else fruitless + 1
            if len(found):
                self._score(found)
                yield len(archive)
                self._learn(rng)
        if not len(archive):
            raise ConfigError(
                "nothing was proposed that can be scored",
                hint="Train the model longer, or start from records of your own: --seeds FILE.",
            )

    def _chosen(self, size: int, rng: torch.Generator) -> Candidates:
        """What to score now: given records at first, then the most promising proposals."""
        if len(self.waiting) and len(self.archive) < self.config.first:
            return self._given(size).best(size)
        if not len(self.archive):
            return self._given(0)
        guess = self._guess()
        if guess is None:
            return self._proposed(self._parents(int(size * OVERSAMPLE) + 1), rng).best(size)
        caution = float(np.exp(self.choice.uniform(*np.log(CAUTION))))
        half = int(max(GUESSED, FACTOR * size) / 2) + 1
        top = np.argsort(-self.archive.fitness, kind="stable")[:CROWD]
        crowd = np.concatenate(self.features)[top]
        found = self._proposed(self._parents(half), rng).valued(guess, caution, crowd)
        if len(self.waiting) and self.patience:
            given = self._given(half).valued(guess, caution, crowd)
            found = joined(found, given, self.archive.column)
        best = found.best(max(size, 2))
        if len(best):
            rows = self.choice.integers(len(best), size=half)
            parents = best.take(rows).records
            later = self._proposed(parents, rng).valued(guess, caution, crowd)
            found = joined(found, later, self.archive.column)
        return found.best(size)

    def _given(self, n: int) -> Candidates:
        """The next of the given records."""
        taken, self.waiting = self.waiting.slice(0, n), self.waiting.slice(n)
        proposed = taken.append_column(WAY, pa.array([KNOWN] * len(taken), pa.string()))
        proposed = proposed.append_column(PARENT, pa.array(range(len(taken)), pa.int64()))
        return self.sieve(proposed, taken, Counter())

    def _proposed(self, parents: pa.RecordBatch, rng: torch.Generator) -> Candidates:
        """Proposals of all ways."""
        return self.sieve(self.ways.propose(parents, rng, self.choice), parents, self.made)

    def _guess(self) -> Surrogate | None:
        """Learned from all that was scored; None where the domain tells no features, or nothing
        differs yet."""
        values = self.archive.scores
        if not self.features or np.ptp(values) <= 0:
            return None
        return Surrogate(np.concatenate(self.features), values, self.choice)

    def _score(self, found: Candidates) -> None:
        """Ask the objective, and keep what it says."""
        scored = self.objective(found.records)
        fitness = scored.score * found.penalty
        known = self.archive.fitness
        bar = float(np.quantile(known, 0.9)) if len(known) else -np.inf
        self.archive.add(found.records, scored, fitness)
        if found.features is not None:
            self.features.append(found.features)
        if not any(way == KNOWN for way in found.ways):
            self.patience -= min(self.patience, 1)
        self.ways.reward(found.ways, fitness > bar, self.made)

    # ------------------------------------------------------------ learning from it

    def _parents(self, n: int) -> pa.RecordBatch:
        """Records of the archive, drawn by rank."""
        rows = self.archive.draw(n, self.choice, share=PARENTS)
        return self.archive.records(rows)

    def _learn(self, rng: torch.Generator) -> None:
        """Some training steps on records drawn by rank."""
        if self.learning is None:
            return
        space = self.learning.family.space
        for _ in range(self.config.replay):
            parents = self._parents(REPLAYED)
            rows = readable(self.codec, parents)
            if len(rows) > 1:
                batch = self.codec.encode(parents.take(pa.array(rows, pa.int64())))
                self.learning.step(space.trim(space.pick(batch, slice(None), self.device)), rng)
