"""What was scored: every record once, in the order of the calls, and how the best of them rose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmkit.codecs import Codec
from gmkit.errors import DataError
from gmkit.objectives.objective import Scored

__all__ = ["Archive"]

Floats = NDArray[np.float64]
SCORE, FITNESS, CALL = "score", "fitness", "call"
"""Columns beside a record's own: what the objective gave, that times the penalties, and which call
of the objective it was, from 1."""
_BESIDE = (SCORE, FITNESS, CALL)


class Archive:
    """Records with scores; a record's text is what makes it itself."""

    def __init__(self, column: str) -> None:
        """``column``: text that tells records apart, in the one form that ``prepare`` gives it."""
        self.column = column
        self._batches: list[pa.RecordBatch] = []
        self._rows: dict[str, int] = {}
        self._own: list[str] = []
        self.scores: Floats = np.empty(0)
        self.fitness: Floats = np.empty(0)

    def __len__(self) -> int:
        return len(self._rows)

    def unknown(self, records: pa.RecordBatch) -> pa.RecordBatch:
        """Those not scored yet, each once, in order."""
        texts = records.column(self.column).to_pylist()
        first = {text: row for row, text in reversed(list(enumerate(texts)))}
        rows = sorted(row for text, row in first.items() if text not in self._rows)
        return records.take(pa.array(rows, pa.int64()))

    def add(self, records: pa.RecordBatch, scored: Scored, fitness: Floats) -> None:
        """Records that ``unknown`` gave, with their scores, and fitness (n,)."""
        before = len(self)
        self._own = records.schema.names
        for row, text in enumerate(records.column(self.column).to_pylist(), before):
            self._rows[text] = row
        columns = dict(zip(records.schema.names, records.columns, strict=True))
        columns |= {name: pa.array(values) for name, values in scored.parts.items()}
        columns[SCORE], columns[FITNESS] = pa.array(scored.score), pa.array(fitness)
        columns[CALL] = pa.array(range(before + 1, before + 1 + len(records)), pa.int64())
        self._batches.append(pa.RecordBatch.from_pydict(columns))
        self.scores = np.concatenate([self.scores, scored.score])
        self.fitness = np.concatenate([self.fitness, fitness])

    def restore(self, codec: Codec, calls: pa.Table) -> None:
        """What an earlier search scored, in the order of its calls, as ``table`` wrote it. Raises
        DataError for a table that is none."""
        missing = [name for name in (self.column, SCORE, FITNESS) if name not in calls.schema.names]
        if missing:
            raise DataError(
                f"no column {missing[0]!r} among the calls of an earlier search",
                hint="Give --resume the folder that gmkit design wrote.",
            )
        records = codec.prepare(_one_batch(calls.select([self.column, *_scored(calls)]))).records
        own = [name for name in records.schema.names if name not in _scored(calls)]
        parts = {name: _floats(records, name) for name in _scored(calls) if name not in _BESIDE}
        scored = Scored(_floats(records, SCORE), parts)
        self.add(records.select(own), scored, _floats(records, FITNESS))

    def table(self) -> pa.Table:
        """All records in the order of the calls."""
        return pa.Table.from_batches(self._batches)

    def records(self, rows: NDArray[np.int64]) -> pa.RecordBatch:
        """Some of them, without what was scored."""
        table = pa.Table.from_batches([batch.select(self._own) for batch in self._batches])
        return table.take(pa.array(rows, pa.int64())).combine_chunks().to_batches()[0]

    def ranked(self, most: int | None = None) -> pa.Table:
        """The fittest first; of equals the earlier."""
        order = np.argsort(-self.fitness, kind="stable")[:most]
        return self.table().take(pa.array(order))

    def draw(self, n: int, rng: np.random.Generator, *, share: float) -> NDArray[np.int64]:
        """``n`` rows, (n,), with probability ∝ 1 / (share · N + rank): the best most often, yet any
        (Kim et al. 2024, "Genetic-guided GFlowNets", eq. 6; Tripp et al. 2020)."""
        order = np.argsort(-self.fitness, kind="stable")
        weights = 1.0 / (share * len(self) + np.arange(len(self)))
        return order[rng.choice(len(self), n, p=weights / weights.sum())]

    def curve(self, top: int = 10) -> Floats:
        """(calls, 2): after each call the best fitness, and the mean of the ``top`` best."""
        found = np.empty((len(self), 2))
        best: Floats = np.empty(0)
        for call, value in enumerate(self.fitness):
            if len(best) < top or value > best[-1]:
                best = np.sort(np.append(best, value))[::-1][:top]
            found[call] = best[0], best.mean()
        return found

    def texts(self, rows: Sequence[int] | NDArray[np.int64]) -> list[str]:
        """The text of some rows."""
        every = list(self._rows)
        return [every[row] for row in rows]


def _scored(calls: pa.Table) -> list[str]:
    """Columns that are numbers about a record, not the record."""
    return [
        name
        for name in calls.schema.names
        if name in _BESIDE
        or pa.types.is_floating(calls.schema.field(name).type)
        or pa.types.is_integer(calls.schema.field(name).type)
    ]


def _floats(records: pa.RecordBatch, name: str) -> Floats:
    return np.asarray(records.column(name).to_numpy(zero_copy_only=False), np.float64)


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    return table.combine_chunks().to_batches()[0]
