"""``gmkit impute``: missing values filled in, several times over where asked for.

Each draw is a sample of what could have stood there given the rest of the row (multiple imputation;
Rubin 1987): the spread between draws says how certain that is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from gmkit.data.formats import CORE_FORMATS
from gmkit.data.sampling import sampled_rows
from gmkit.data.sink import Sink
from gmkit.data.source import open_source
from gmkit.errors import ConfigError, DataError
from gmkit.observer import Observer
from gmkit.randomness import derive, generator
from gmkit_augmentation.conditions import Mask
from gmkit_augmentation.domain import TablesDomain
from gmkit_augmentation.learning import Learned, Plan
from gmkit_augmentation.views import Workable, converted

DRAW = "_gmkit_draw"
"""Number of the draw, from 1, where there are several."""
ROUNDS = 20
"""Attempts until a value is drawn that is not itself missing."""
CHUNK = 8192


@dataclass(frozen=True)
class ImputeRequest:
    """What is asked of ``impute``."""

    data: Any
    out: Path
    draws: int = 1
    plan: Plan = field(default_factory=Plan)


@dataclass(frozen=True)
class ImputeResult:
    """What came of it."""

    out: Path
    rows: int
    draws: int
    filled: dict[str, int]
    """Column → missing values filled in, in each draw."""
    left: dict[str, int]
    """Column → missing values that could not be: nothing is known of the column."""

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {**vars(self), "out": str(self.out)}


def impute(request: ImputeRequest, observer: Observer) -> ImputeResult:
    """Learn the table and write it filled in. Raises GmkitError's subclasses."""
    source = Workable(open_source(request.data, domain=TablesDomain()))
    schema = source.stored
    if request.draws > 1:
        if DRAW in schema.names:
            raise ConfigError(
                f"the table has a column {DRAW!r}: it comes from gmkit impute",
                hint="Give the original table.",
            )
        schema = schema.append(pa.field(DRAW, pa.int32(), nullable=False))
    Sink(request.out, schema, CORE_FORMATS)
    observer.stage(f"Reading {source.name}")
    rows = sampled_rows(source, request.plan.rows, request.plan.seed, observer)
    total = source.count()
    # what is known comes first, so that what is not follows it exactly wherever one column alone,
    # or the last ones, are missing
    gaps = {name: rows.column(name).null_count for name in rows.column_names}
    plan = replace(request.plan, first=tuple(sorted(gaps, key=lambda name: gaps[name])))
    with Learned(rows, plan, observer) as learned:
        filler = Filler(learned)
        with Sink(request.out, schema, CORE_FORMATS) as sink:
            observer.stage("Filling in")
            for draw in range(request.draws):
                begin = 0
                for batch in source.batches(CHUNK):
                    seed = derive(request.plan.seed, "impute", draw, begin)
                    filled = filler.filled(batch, seed)
                    begin += len(batch)
                    sink.write(_numbered(filled, schema, draw + 1))
                    observer.advance(sink.rows, total and total * request.draws)
    share = request.draws
    return ImputeResult(
        request.out,
        sink.rows // share,
        share,
        {name: count // share for name, count in filler.done.items() if count},
        {name: count // share for name, count in filler.left.items() if count},
    )


class Filler:
    """Completes rows of a table whose model is known."""

    def __init__(self, learned: Learned) -> None:
        """Raises ConfigError for a family that completes nothing."""
        run = learned.run
        if "complete" not in run.family.capabilities:
            raise ConfigError(
                f"model {run.config.model!r} cannot fill values in",
                hint="Take --model trees, vae or diffusion.",
            )
        self._run, self._codec = run, learned.codec
        self._observed = {
            name: column.combine_chunks().drop_null()
            for name, column in zip(learned.rows.column_names, learned.rows.columns, strict=True)
        }
        self.done = dict.fromkeys(learned.codec.columns, 0)
        self.left = dict.fromkeys(learned.codec.columns, 0)

    def filled(self, batch: pa.RecordBatch, seed: int) -> pa.RecordBatch:
        """The batch without missing values, those of columns apart of which none is known."""
        missing = {n: np.asarray(batch.column(n).is_null()) for n in self._codec.columns}
        for name, mask in missing.items():
            if not len(self._observed[name]):
                self.left[name] += int(mask.sum())
                missing[name] = np.zeros(len(batch), bool)
            self.done[name] += int(missing[name].sum())
        columns = {name: batch.column(name) for name in batch.schema.names}
        still = missing
        for number in range(ROUNDS):
            rows = np.flatnonzero(np.any(list(still.values()), axis=0))
            if not len(rows):
                break
            drawn = self._completed(batch, missing, rows, derive(seed, number))
            for name, mask in still.items():
                columns[name] = _put(columns[name], drawn.column(name), mask, rows)
            still = {n: mask & np.asarray(columns[n].is_null()) for n, mask in still.items()}
        rng = np.random.default_rng(seed)
        for name, mask in still.items():  # the model never drew anything but missing
            if mask.any():
                known = self._observed[name]
                values = known.take(pa.array(rng.integers(len(known), size=len(batch))))
                columns[name] = pc.if_else(pa.array(mask), values, columns[name])
        return pa.RecordBatch.from_arrays(list(columns.values()), schema=batch.schema)

    def _completed(
        self, batch: pa.RecordBatch, missing: dict[str, Mask], rows: np.ndarray, seed: int
    ) -> pa.RecordBatch:
        """The rows with all that is missing drawn."""
        space, device = self._run.family.space, self._run.device
        some = batch.take(pa.array(rows))
        try:
            encoded = space.pick(self._codec.encode(some), slice(None), device)
        except DataError as error:
            row = None if error.row is None else int(rows[error.row])
            raise DataError(error.reason, row=row, column=error.column, hint=error.hint) from error
        known = {}
        for name, column in self._codec.columns.items():
            for part in column.fields():
                mask = torch.from_numpy(~missing[name][rows]).to(device)
                known[part] = mask.reshape(-1, *[1] * (encoded[part].dim() - 1)).expand(
                    encoded[part].shape
                )
        for name in set(space.names) - set(known):
            known[name] = torch.ones(encoded[name].shape, dtype=torch.bool, device=device)
        completed = self._run.family.complete(encoded, known, generator(seed, device=device))
        return self._codec.decode({name: value.cpu() for name, value in completed.items()})


def _put(column: pa.Array, drawn: pa.Array, mask: Mask, rows: np.ndarray) -> pa.Array:
    """``column`` with ``drawn``, of ``rows``, where ``mask``."""
    if not mask.any():
        return column
    place = np.arange(len(column))
    here = mask[rows]
    place[rows[here]] = len(column) + np.flatnonzero(here)
    return pa.concat_arrays(_alike(column, drawn)).take(pa.array(place))


def _alike(column: pa.Array, drawn: pa.Array) -> list[pa.Array]:
    """Both, with one dictionary where they have any."""
    if not pa.types.is_dictionary(column.type):
        return [column, drawn]
    chunked = pa.chunked_array([column, drawn]).unify_dictionaries()
    return list(chunked.chunks)


def _numbered(batch: pa.RecordBatch, schema: pa.Schema, draw: int) -> pa.RecordBatch:
    own = pa.schema(list(schema)[: batch.num_columns])
    columns = list(converted(batch, own).columns)
    if len(schema) > len(columns):
        columns.append(pa.array(np.full(len(batch), draw, np.int32)))
    return pa.RecordBatch.from_arrays(columns, schema=schema)
