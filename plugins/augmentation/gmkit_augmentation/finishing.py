"""What rows need once they are drawn: identifiers that no other row has."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from gmkit.codecs.tables import TableCodec
from gmkit.codecs.tables.columns import Identifier


class Finisher:
    """Puts identifiers in, numbered over all batches."""

    def __init__(self, codec: TableCodec) -> None:
        self._identifiers = {n: c for n, c in codec.columns.items() if isinstance(c, Identifier)}

    def finished(self, batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
        """``first``: how many rows came before."""
        numbers = np.arange(first + 1, first + len(batch) + 1, dtype=np.int64)
        for name, column in self._identifiers.items():
            place = batch.schema.get_field_index(name)
            values = column.numbered(numbers, numbers.astype(np.uint64))
            batch = batch.set_column(place, batch.schema.field(place), values)
        return batch
