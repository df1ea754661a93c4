"""Records as tensors, with what became of each: one row, several, or none.

A document may be several windows, and what is no molecule cannot be judged at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from gmkit.codecs import Batch, Codec, Reject
from gmkit.codecs.tables import TableCodec
from gmkit.errors import DataError
from gmkit.fields import Space

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
    def first(self) -> Batch:
        """Of each record its first piece; of one that has none, that of another."""
        if self.whole:
            return self.batch
        places = np.searchsorted(self.owner, np.arange(self.rows))
        at = torch.from_numpy(np.minimum(places, len(self.owner) - 1))
        return {name: value[at] for name, value in self.batch.items()}

    @property
    def counts(self) -> NDArray[np.int64]:
        """(rows,) pieces of each."""
        return np.bincount(self.owner, minlength=self.rows).astype(np.int64)


def encoded(
    codec: Codec, space: Space, records: pa.RecordBatch, first_row: int = 0, name: str = ""
) -> Encoded:
    """Tensors of the fields of ``space``. Raises DataError for a table that does not fit, with rows
    counted from ``first_row``; single records that are of no use are rejects."""
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
        tensors, bad = _tensors(codec, space, records)
    except DataError as error:
        row = None if error.row is None else error.row + first_row
        raise DataError(
            error.reason, file=error.file or name, row=row, column=error.column, hint=error.hint
        ) from error
    if bad:
        rejects += [fault._replace(row=first_row + int(owner[fault.row])) for fault in bad]
        owner = np.delete(owner, [fault.row for fault in bad])
        rejects.sort(key=lambda reject: reject.row)
    return Encoded(space.pick(tensors, slice(None), "cpu"), owner, rows, rejects)


def _tensors(codec: Codec, space: Space, records: pa.RecordBatch) -> tuple[Batch, list[Reject]]:
    """Of the fields of ``space``, and which pieces have none, such as one with a token that was
    never seen. A table's fault is raised: it is one of its columns."""
    if set(space.names) <= set(codec.conditions.names):  # what they are computed of is not needed
        return codec.conditions.encode(records), []
    try:
        return codec.encode(records), []
    except DataError:
        if isinstance(codec, TableCodec):
            raise
    bad = []
    for row in range(len(records)):  # one by one, as few have any
        try:
            codec.encode(records.slice(row, 1))
        except DataError as error:
            bad.append(Reject(row, error.column or "", "", error.reason))
    kept = np.delete(np.arange(len(records)), [fault.row for fault in bad])
    if not len(kept):
        return {}, bad
    return codec.encode(records.take(pa.array(kept))), bad
