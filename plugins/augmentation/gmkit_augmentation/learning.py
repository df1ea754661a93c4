"""From a table to a model of it: a fair sample of the rows, a run, and what was held out."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from gmkit.codecs.tables import TableCodec
from gmkit.config import merge
from gmkit.data.source import Source
from gmkit.errors import DataError, did_you_mean
from gmkit.observer import Observer
from gmkit.randomness import derive

if TYPE_CHECKING:
    from gmkit.run import Run

MODEL = "trees"
ROWS = 100_000
"""Rows that a model is learned from; of a larger table so many at random."""


@dataclass(frozen=True)
class Plan:
    """How a table is learned."""

    model: str = MODEL
    target: str = ""
    """The column that matters: it comes first, so that all others follow it."""
    first: tuple[str, ...] = ()
    """Columns that values will be asked for."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """Column → kind, where it is not to be inferred."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    time_budget: float | None = None
    rows: int = ROWS


class Learned:
    """A model of a table. Its run lies in a temporary folder until ``close``, or in ``keep``."""

    def __init__(self, rows: pa.Table, plan: Plan, observer: Observer, keep: Path | None = None):
        """Train. Raises GmkitError's subclasses."""
        import gmkit

        self.rows = rows
        """What was learned from."""
        self.plan = plan
        self._temporary = None if keep else Path(tempfile.mkdtemp(prefix="gmkit-augment-"))
        folder = keep or (self._temporary or Path()) / "run"
        try:
            self.run: Run = gmkit.train(
                domain="augmentation",
                model=plan.model,
                data=rows,
                out=folder,
                settings=_settings(plan),
                seed=plan.seed,
                time_budget=plan.time_budget,
                observer=observer,
            )
        except BaseException:
            self.close()
            raise

    @property
    def codec(self) -> TableCodec:
        """The run's."""
        assert isinstance(self.run.codec, TableCodec)
        return self.run.codec

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the temporary folder."""
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)


def _settings(plan: Plan) -> dict[str, Any]:
    """Options of the run."""
    settings: dict[str, Any] = {}
    if plan.kinds:
        settings["codec"] = {"columns": dict(plan.kinds)}
    if plan.model == "trees":
        settings["family"] = {"first": [*plan.first, *([plan.target] if plan.target else [])]}
    return merge(settings, plan.settings)


def sampled_rows(source: Source, limit: int, seed: int, observer: Observer) -> pa.Table:
    """All rows, or ``limit`` of them at random, in their order."""
    total = source.count()
    rng = np.random.default_rng(derive(seed, "rows"))
    chosen = None
    if total is not None and total > limit:
        chosen = np.sort(rng.choice(total, limit, replace=False))
    parts: list[pa.RecordBatch] = []
    begin = 0
    for batch in source.batches(65_536):
        end = begin + len(batch)
        if chosen is not None:
            low, high = np.searchsorted(chosen, [begin, end])
            batch = batch.take(pa.array(chosen[low:high] - begin))
        parts.append(batch)
        begin = end
        observer.advance(begin, total)
    table = pa.Table.from_batches(parts, source.schema)
    if table.num_rows > limit:  # a format that does not know its number of rows
        rows = np.sort(rng.choice(table.num_rows, limit, replace=False))
        table = table.take(pa.array(rows))
    return table


def check_column(name: str, schema: pa.Schema, option: str) -> None:
    """Raise DataError where an option names a column that is not there."""
    if name not in schema.names:
        raise DataError(
            f"{option} names a column that the table does not have",
            column=name,
            hint=did_you_mean(name, schema.names),
        )
