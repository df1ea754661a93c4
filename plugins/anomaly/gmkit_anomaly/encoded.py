"""Records as a model is given them, with what became of each: one row, several, or none.

A document may be several windows, and what is no molecule cannot be judged at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmkit.codecs import Batch, Codec, Reject
from gmkit.codecs.tables import TableCodec
from gmkit.errors import DataError

ORIGIN = "gmkit:origin"
"""Column that says of what record a piece is; codecs keep further columns."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Encoded:
    """Pieces of ``rows`` records."""

    batch: Batch
    owner: NDArray[np.int64]
    """(pieces,) the record that each is of."""
    rows: int
    rejects: list[Reject] = field(default_factory=list)
    """Records that have no piece, with their rows in the source."""

    @property
    def whole(self) -> bool:
        """Whether each record is one piece."""
        return len(self.owner) == self.rows and not self.rejects

    def highest(self, values: Floats, missing: float = np.nan) -> Floats:
        """(rows,) of (pieces,): the highest of each record's."""
        if self.whole:
            return values
        found = np.full(self.rows, -np.inf)
        np.maximum.at(found, self.owner, values)
        found[self.counts == 0] = missing
        return found

    @property
    def counts(self) -> NDArray[np.int64]:
        """(rows,) pieces of each."""
        return np.bincount(self.owner, minlength=self.rows).astype(np.int64)


def encoded(
    codec: Codec,
    encode: Callable[[pa.RecordBatch], Batch],
    records: pa.RecordBatch,
    first_row: int = 0,
    name: str = "",
) -> Encoded:
    """What ``encode`` makes of what ``codec`` prepares. Raises DataError for a table that does not
    fit, with rows counted from ``first_row``; single records that are of no use are rejects."""
    rows = len(records)
    owner, rejects = np.arange(rows), []
    try:
        if not isinstance(codec, TableCodec):
            places = pa.array(owner)
            prepared = codec.prepare(records.append_column(ORIGIN, places), first_row)
            rejects, records = prepared.rejects, prepared.records
            owner = np.asarray(records.column(ORIGIN))
            records = records.drop_columns([ORIGIN])
        if not len(records):
            return Encoded({}, owner, rows, rejects)
        batch = encode(records)
    except DataError as error:
        row = None if error.row is None else error.row + first_row
        raise DataError(
            error.reason, file=error.file or name, row=row, column=error.column, hint=error.hint
        ) from error
    return Encoded(batch, owner, rows, rejects)


@dataclass(frozen=True)
class Scores:
    """What is said of N records."""

    score: NDArray[np.float64]
    p_value: NDArray[np.float64]
    columns: dict[str, NDArray[np.float64]]
    """Column → (N,) nats by which its value is less likely than usual."""
