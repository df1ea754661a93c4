"""``gmkit augment``: the rows of a table, and as many like them as asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gmkit.data.formats import CORE_FORMATS
from gmkit.data.sink import Sink
from gmkit.data.source import open_source
from gmkit.errors import ConfigError
from gmkit.observer import Observer
from gmkit.randomness import derive
from gmkit_augmentation.copies import CopyGuard
from gmkit_augmentation.domain import TablesDomain
from gmkit_augmentation.finishing import Finisher
from gmkit_augmentation.learning import Learned, Plan, sampled_rows

ORIGIN = "_gmkit_origin"
"""Says of each row whether it is ``original`` or ``synthetic``."""
CHUNK = 16_384
"""Rows drawn together."""


@dataclass(frozen=True)
class Request:
    """What is asked of ``augment``."""

    data: Any
    out: Path
    rows: int | None = None
    """Synthetic rows; None: as many as the table has."""
    only_synthetic: bool = False
    plan: Plan = field(default_factory=Plan)


@dataclass(frozen=True)
class Result:
    """What came of it."""

    out: Path
    original: int
    synthetic: int
    copies_redrawn: int
    copies_left: int
    columns: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {**vars(self), "out": str(self.out)}


def augment(request: Request, observer: Observer) -> Result:
    """Learn the table and write the file. Raises GmkitError's subclasses; the file is whole or
    absent."""
    source = open_source(request.data, domain=TablesDomain())
    schema = out_schema(source.schema, origin=not request.only_synthetic)
    Sink(request.out, schema, CORE_FORMATS)  # a place that cannot be: told before learning
    observer.stage(f"Reading {source.name}")
    rows = sampled_rows(source, request.plan.rows, request.plan.seed, observer)
    with Learned(rows, request.plan, observer) as learned:
        total = source.count()
        original = total if total is not None else sum(len(b) for b in source.batches(65_536))
        wanted = original if request.rows is None else request.rows
        drawn = Drawing(learned, wanted, observer)
        with Sink(request.out, schema, CORE_FORMATS) as sink:
            if not request.only_synthetic:
                observer.stage("Writing the original rows")
                for batch in source.batches(65_536):
                    sink.write(marked(batch, schema, "original"))
                    observer.advance(sink.rows, original)
            observer.stage(f"Drawing {wanted:,} rows")
            for batch in drawn.batches():
                sink.write(marked(batch, schema, "synthetic"))
        guard = drawn.guard
        return Result(
            request.out,
            0 if request.only_synthetic else original,
            wanted,
            guard.redrawn,
            guard.left,
            learned.codec.describe(),
        )


class Drawing:
    """Exactly so many rows, none a copy of a single original row where that can be helped."""

    def __init__(self, learned: Learned, rows: int, observer: Observer) -> None:
        self.learned, self.rows, self.observer = learned, rows, observer
        self.guard = CopyGuard(learned.rows)
        self._finisher = Finisher(learned.codec)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, drawn as they are asked for."""
        seed = derive(self.learned.plan.seed, "augment")
        fresh = self._fresh(derive(seed, "again"))
        done = 0
        if self.rows:
            for batch in self.learned.run.sample_batches(self.rows, seed=seed, chunk=CHUNK):
                kept = self.guard.kept(batch, fresh)
                yield self._finisher.finished(kept, done)
                done += len(kept)
                self.observer.advance(done, self.rows)

    def _fresh(self, seed: int) -> Iterator[pa.RecordBatch]:
        """Further rows, without end."""
        number = 0
        while True:
            yield from self.learned.run.sample_batches(
                CHUNK // 8, seed=derive(seed, number), chunk=CHUNK
            )
            number += 1


def out_schema(schema: pa.Schema, *, origin: bool) -> pa.Schema:
    """The table's schema, and the origin behind it. Raises ConfigError where the table has such a
    column."""
    if not origin:
        return schema
    if ORIGIN in schema.names:
        raise ConfigError(
            f"the table has a column {ORIGIN!r}: it comes from gmkit augment",
            hint="Give the original table, or take only its original rows and leave that column "
            "out; or write synthetic rows alone: --only-synthetic.",
        )
    return schema.append(pa.field(ORIGIN, pa.string(), nullable=False))


def marked(batch: pa.RecordBatch, schema: pa.Schema, origin: str) -> pa.RecordBatch:
    """The batch with its origin, where the schema has that."""
    columns = list(batch.columns)
    if len(schema) > len(columns):
        index = pa.array(np.zeros(len(batch), np.int32))
        columns.append(pa.DictionaryArray.from_arrays(index, [origin]).cast(pa.string()))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


