"""A fair sample of batches that stream past, in memory that does not grow."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from gmkit.randomness import derive

MOST = 50_000
"""Rows kept."""


class FairSample:
    """Each row that was added is kept with the same chance; all, while there is room."""

    def __init__(self, schema: pa.Schema, seed: int, most: int = MOST) -> None:
        self._schema, self._most = schema, most
        self._rng = np.random.default_rng(derive(seed, "kept"))
        self._tickets = np.empty(0)
        self._table = schema.empty_table()

    def add(self, batch: pa.RecordBatch) -> None:
        """Offer rows."""
        tickets = self._rng.random(len(batch))
        room = self._most - self._table.num_rows
        if room < len(batch) and room == 0:  # only better tickets get in
            better = np.flatnonzero(tickets < self._tickets.max())
            batch, tickets = batch.take(pa.array(better)), tickets[better]
        table = pa.concat_tables([self._table, pa.Table.from_batches([batch], self._schema)])
        tickets = np.concatenate([self._tickets, tickets])
        if table.num_rows > self._most:
            kept = np.sort(np.argpartition(tickets, self._most)[: self._most])
            table, tickets = table.take(pa.array(kept)), tickets[kept]
        self._table, self._tickets = table, tickets

    def table(self) -> pa.Table:
        """The rows kept, in their order."""
        return self._table.combine_chunks()
