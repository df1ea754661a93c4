"""What rows need once they are drawn: identifiers that no other row has."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gmkit.codecs.tables import TableCodec
from gmkit.codecs.tables.columns import Identifier

_AHEAD = 1.5
"""Identifiers made for each that is needed, where some are those of the data."""


class Finisher:
    """Puts identifiers in, numbered over all batches and none of ``rows``'s."""

    def __init__(self, codec: TableCodec, rows: pa.Table) -> None:
        self._identifiers = {n: c for n, c in codec.columns.items() if isinstance(c, Identifier)}
        self._known = {
            name: rows.column(name).combine_chunks()
            for name, column in self._identifiers.items()
            if column.templates
        }
        self._next = dict.fromkeys(self._identifiers, 1)

    def finished(self, batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
        """``first``: how many rows came before."""
        for name, column in self._identifiers.items():
            place = batch.schema.get_field_index(name)
            values = self._fresh(name, column, len(batch))
            batch = batch.set_column(place, batch.schema.field(place), values)
        return batch

    def _fresh(self, name: str, column: Identifier, rows: int) -> pa.Array:
        parts: list[pa.Array] = []
        while (missing := rows - sum(map(len, parts))) > 0:
            count = missing if name not in self._known else int(missing * _AHEAD) + 8
            numbers: NDArray[np.int64] = self._next[name] + np.arange(count, dtype=np.int64)
            values = column.numbered(numbers, numbers.astype(np.uint64))
            new = np.ones(count, bool)
            if name in self._known:
                new = ~np.asarray(pc.is_in(values, value_set=self._known[name]))
            kept = np.flatnonzero(new)[:missing]
            self._next[name] += int(kept[-1]) + 1 if len(kept) == missing else count
            parts.append(values.take(pa.array(kept)))
        return pa.concat_arrays(parts) if len(parts) != 1 else parts[0]
