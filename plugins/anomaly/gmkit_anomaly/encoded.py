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
from gmkit.data.arrow_arrays import arrow_array
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
    unseen: dict[int, Reject] = field(default_factory=dict)
    """Of these records those that are proper ones, but hold what was never learned: a token."""

    @property
    def whole(self) -> bool:
        """Whether each record is one piece."""
        return len(self.owner) == self.rows and not self.rejects and not self.unseen

    def highest(self, values: Floats, missing: float = np.nan) -> Floats:
        """(rows,) of (pieces,): the highest of each record's."""
        if self.whole:
            return values
        found = np.full(self.rows, -np.inf)
        np.maximum.at(found, self.owner, values)
        found[self.counts == 0] = missing
        return found

    @property
    def first(self) -> Batch:
        """Of each record its first piece; of one that has none, that of another."""
        if self.whole:
            return self.batch
        places = np.searchsorted(self.owner, np.arange(self.rows))
        at = np.minimum(places, len(self.owner) - 1)
        return {name: value[at] for name, value in self.batch.items()}

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
    unseen: dict[int, Reject] = {}
    try:
        if not isinstance(codec, TableCodec):
            places = pa.array(owner)
            prepared = codec.prepare(records.append_column(ORIGIN, places), first_row)
            rejects, records = prepared.rejects, prepared.records
            owner = np.asarray(records.column(ORIGIN))
            records = records.drop_columns([ORIGIN])
        if not len(records):
            return Encoded({}, owner, rows, rejects, unseen)
        try:
            batch = encode(records)
        except DataError as error:
            if isinstance(codec, TableCodec) or error.row is None:
                raise
            fits, unseen = _fitting(encode, records, owner, first_row)
            owner = owner[fits]
            if not len(fits):
                return Encoded({}, owner, rows, rejects, unseen)
            batch = encode(records.take(arrow_array(fits)))
    except DataError as error:
        row = None if error.row is None else error.row + first_row
        raise DataError(
            error.reason, file=error.file or name, row=row, column=error.column, hint=error.hint
        ) from error
    return Encoded(batch, owner, rows, rejects, unseen)


def _fitting(
    encode: Callable[[pa.RecordBatch], Batch],
    records: pa.RecordBatch,
    owner: NDArray[np.int64],
    first_row: int,
) -> tuple[NDArray[np.int64], dict[int, Reject]]:
    """Prepared records that the codec can tell, and by their owner the others."""
    fits = np.ones(len(records), bool)
    unseen: dict[int, Reject] = {}
    begin = 0
    while begin < len(records):
        try:
            encode(records.slice(begin))
            break
        except DataError as error:
            if error.row is None:
                raise
            place = begin + error.row  # those before it fit
            fits[place] = False
            record = int(owner[place])
            unseen[record] = Reject(first_row + record, error.column or "", "", error.reason)
            begin = place + 1
    fits &= ~np.isin(owner, list(unseen))
    return np.flatnonzero(fits), unseen


@dataclass(frozen=True)
class Scores:
    """What is said of N records."""

    score: NDArray[np.float64]
    p_value: NDArray[np.float64]
    columns: dict[str, NDArray[np.float64]]
    """Column → (N,) nats by which its value is less likely than usual."""
