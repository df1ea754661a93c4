"""Rows from a model of a table: exactly as many as asked for, of the values asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import count, islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from gmkit.codecs import Batch
from gmkit.codecs.tables.columns import Identifier
from gmkit.engines.local import default_workers
from gmkit.errors import DataError
from gmkit.observer import Observer
from gmkit.randomness import derive, generator
from gmkit_augmentation.conditions import Condition, all_of
from gmkit_augmentation.constraints import Constraints, Seen
from gmkit_augmentation.finishing import Finisher
from gmkit_augmentation.guard import Guard
from gmkit_augmentation.learning import Learned
from gmkit_augmentation.rules import Rules

CHUNK = 16_384
"""Rows drawn together."""
FRESH = 2048
"""Rows drawn together to replace others, at most."""
_LISTED = 12
"""Values of a column that are named, at most."""


@dataclass(frozen=True)
class Wish:
    """So many rows that meet all conditions."""

    rows: int
    conditions: tuple[Condition, ...] = ()


class Drawing:
    """The rows of several wishes, one after the other."""

    def __init__(
        self,
        learned: Learned,
        wishes: Sequence[Wish],
        rules: Rules,
        constraints: Constraints,
        observer: Observer,
        seed: int | None = None,
        number: int | None = None,
        own: Mapping[Wish, Learned] | None = None,
        originals: Iterable[pa.RecordBatch] = (),
    ) -> None:
        """``own``: models of rare rows, by the wish that they are for. ``seed``: by default the
        plan's. ``number``: of drawings by one model, so that each gives other rows. ``originals``:
        all rows of the data, looked through only for constraints on keys."""
        self.learned, self.wishes, self.rules = learned, wishes, rules
        self._own = dict(own or {})
        self.constraints = _drawable(constraints, learned)
        self._seen = Seen(self.constraints)
        if self._seen.needed:
            self._seen.originals(originals or learned.rows.to_batches())
        self.observer = observer
        self.total = sum(wish.rows for wish in wishes)
        self.guards: list[Guard] = []
        self._finisher = Finisher(learned.codec, learned.compared)
        base = learned.plan.seed if seed is None else seed
        self._seed = derive(base, "augment", *([] if number is None else [number]))

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, drawn as they are asked for. Raises DataError for conditions that no row
        meets."""
        done = 0
        for number, wish in enumerate(self.wishes):
            if not wish.rows:
                continue
            draw = self._drawer(wish)
            fixed = frozenset(c.column for c in wish.conditions)
            must = [*wish.conditions, *self.constraints.conditions]
            columns = self.learned.codec.columns
            guard = Guard(self.learned.compared, columns, self.rules, must, fixed, self._seen)
            self.guards.append(guard)
            fresh = self._fresh(draw, derive(self._seed, "fresh", number))
            starts = range(0, wish.rows, CHUNK)
            jobs = [
                (min(CHUNK, wish.rows - start), derive(self._seed, number, start))
                for start in starts
            ]
            for drawn in ahead(draw, jobs):
                batch = guard.kept(drawn, fresh)
                yield self._finisher.finished(batch, done)
                done += len(batch)
                self.observer.advance(done, self.total)

    def _fresh(
        self, draw: Callable[[int, int], pa.RecordBatch], seed: int
    ) -> Callable[[int], pa.RecordBatch]:
        """Further rows of a wish, without end: (how many are still needed) → some more."""
        numbers = count()

        def more(needed: int) -> pa.RecordBatch:
            return draw(min(FRESH, 64 + 2 * needed), derive(seed, next(numbers)))

        return more

    def _drawer(self, wish: Wish) -> Callable[[int, int], pa.RecordBatch]:
        """(rows, seed) → rows that meet the conditions."""
        run = self._own.get(wish, self.learned).run
        named = list(dict.fromkeys(condition.column for condition in wish.conditions))
        plain = not wish.conditions or wish in self._own
        seeds = None if plain else self._seeds(wish.conditions, named)
        if seeds is None or "complete" not in run.family.capabilities:
            # a family that cannot complete draws until rows meet the conditions: see the guard
            return lambda rows, seed: next(run.sample_batches(rows, seed=seed, chunk=rows))
        encoded = run.codec.encode(seeds)
        known = {field for n in named for field in self.learned.codec.columns[n].fields()}

        def draw(rows: int, seed: int) -> pa.RecordBatch:
            rng = generator(seed, device=run.device)
            chosen = torch.randint(len(seeds), (rows,), generator=rng, device=rng.device).cpu()
            batch: Batch = run.family.space.pick(encoded, chosen, run.device)
            masks = {
                name: torch.full(batch[name].shape, name in known, device=run.device)
                for name in run.family.space.names
            }
            drawn = run.family.complete(batch, masks, rng)
            return run.codec.decode({name: value.cpu() for name, value in drawn.items()})

        return draw

    def _known_of(self, name: str) -> str:
        """What a column holds, for who named something else."""
        counts = pc.value_counts(self.learned.rows.column(name))
        if len(counts) > _LISTED:
            return f"{name} is {self.learned.codec.columns[name].describe()}."
        values = (str(value) for value in counts.field("values") if value.is_valid)
        return f"{name} is one of: {', '.join(sorted(values))}."

    def _seeds(self, conditions: Sequence[Condition], named: list[str]) -> pa.RecordBatch:
        """Rows of the data from which the named columns are taken: those that meet all
        conditions, or, where none does, of each column the values that meet its own."""
        rows = self.learned.rows
        mask = all_of(conditions, rows)
        if mask.any():
            return _one_batch(rows.filter(pa.array(mask)))
        rng = np.random.default_rng(self._seed)
        table = rows
        for name in named:
            own = [c for c in conditions if c.column == name]
            fitting = np.flatnonzero(all_of([c for c in own if not c.other], rows))
            if not len(fitting):
                told = ", ".join(c.text for c in own)
                raise DataError(
                    f"no row of the data has {told}, so nothing can be learned of such rows",
                    column=name,
                    hint=self._known_of(name),
                )
            place = table.schema.get_field_index(name)
            values = rows.column(name).take(pa.array(rng.choice(fitting, rows.num_rows)))
            table = table.set_column(place, table.schema.field(place), values)
        met = all_of(conditions, table)
        if not met.any():
            told = ", ".join(c.text for c in conditions)
            raise DataError(f"no row can meet {told} together", hint="Ask for less.")
        return _one_batch(table.filter(pa.array(met)))


def ahead(
    draw: Callable[[int, int], pa.RecordBatch], jobs: Sequence[tuple[int, int]]
) -> Iterator[pa.RecordBatch]:
    """``draw`` of each job, in order, some of them drawn meanwhile by other threads: each is a
    function of its seed alone, so how many threads there are changes nothing."""
    workers = min(default_workers(), len(jobs))
    if workers < 2:
        yield from (draw(*job) for job in jobs)
        return
    waiting = iter(jobs)
    with ThreadPoolExecutor(workers) as pool:
        running = deque(pool.submit(draw, *job) for job in islice(waiting, workers + 1))
        try:
            while running:
                done = running.popleft().result()
                running.extend(pool.submit(draw, *job) for job in islice(waiting, 1))
                yield done
        finally:
            for job in running:
                job.cancel()


def _drawable(constraints: Constraints, learned: Learned) -> Constraints:
    """Without unique keys that hold an identifier: those are new in any case."""
    columns = learned.codec.columns
    drawn = [
        keys
        for keys in constraints.unique
        if not any(isinstance(columns[name], Identifier) for name in keys.columns)
    ]
    return replace(constraints, unique=tuple(drawn))


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    return table.combine_chunks().to_batches()[0]
