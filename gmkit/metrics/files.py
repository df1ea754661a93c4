"""Synthetic records in a file, whoever made them, judged beside real ones in others."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from gmkit.data.source import open_source
from gmkit.domain import Domain
from gmkit.errors import DataError
from gmkit.metrics.evaluation import Evaluation, evaluate_samples
from gmkit.observer import Observer
from gmkit.plugins import registry
from gmkit.randomness import derive

ROWS = 100_000
"""Records of each file that are looked at: the first ones."""


def evaluate_files(
    domain: str, real: str, synthetic: str, holdout: str | None, seed: int, observer: Observer
) -> Evaluation:
    """The domain's metrics, each beside that of a copy of real records.

    Raises DataError where the files do not have the same columns."""
    known = registry()
    kind = known.domain(domain)
    observer.stage(f"Reading {real}")
    ours = _table(real, kind)
    theirs = _table(synthetic, kind, like=ours.schema)
    held = _table(holdout, kind, like=ours.schema) if holdout else ours.schema.empty_table()
    rng = np.random.default_rng(derive(seed, "floor"))
    count = min(theirs.num_rows, ours.num_rows)
    floor = ours.take(pa.array(rng.choice(ours.num_rows, count, replace=False)))
    tables = {"real": ours, "synthetic": theirs, "holdout": held, "floor": floor}
    observer.stage("Measuring")
    return evaluate_samples(known, domain, tables, observer)


def _table(path: str, domain: Domain, like: pa.Schema | None = None) -> pa.Table:
    """Its first records, with the columns of ``like``, in that order and those types."""
    source = open_source(path, domain=domain)
    parts, rows = [], 0
    for batch in source.batches(65_536):
        parts.append(batch.slice(0, ROWS - rows))
        rows += len(parts[-1])
        if rows >= ROWS:
            break
    table = pa.Table.from_batches(parts, source.schema)
    if like is None:
        return table
    for name in like.names:
        if name not in table.column_names:
            raise DataError(
                "has no such column, and the real records have it", file=path, column=name
            )
    try:
        return table.select(like.names).cast(like)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise DataError(
            f"does not have the real records' types: {error}",
            file=path,
            hint="Write both with the same columns and types.",
        ) from error
