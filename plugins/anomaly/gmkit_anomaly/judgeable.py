"""A source beside what of it is judged: its rows themselves, or these with what came before."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from gmkit.data.source import Source
from gmkit.errors import DataError
from gmkit.observer import Observer
from gmkit_anomaly.windows import Windows, ordered, times_of, windowed

CHUNK = 32_768
"""Records judged at once: the numbers of larger pieces leave the processor's cache."""
Pair = tuple[pa.RecordBatch, pa.RecordBatch]


class Judgeable:
    """Batches as they are stored and as they are judged, which may be asked for repeatedly."""

    def __init__(self, source: Source, windows: Windows | None) -> None:
        """Raises DataError where windows lack their columns."""
        self.source, self._windows = source, windows
        self._told = False
        self.schema = self._of(source.schema.empty_table()).schema if windows else source.schema
        """Of what is judged."""
        self.time, self.series = "", ""
        """Columns of times and of series, where there are windows."""
        if windows is not None:
            self.time, self.series = windows.columns(source.schema)

    @property
    def name(self) -> str:
        """The source's."""
        return self.source.name

    def table(self, observer: Observer | None = None) -> pa.Table:
        """All that is judged, at once; says how series are made of it."""
        rows = pa.Table.from_batches(self.source.batches(CHUNK), self.source.schema)
        return self._of(rows, observer)

    def pairs(self, observer: Observer | None = None) -> Iterator[Pair]:
        """All batches in order; windows need the whole table for them."""
        if self._windows is None:
            yield from ((batch, batch) for batch in self.source.batches(CHUNK))
            return
        table = self.table(observer)
        begin = 0
        for batch in self.source.batches(CHUNK):
            judged = table.slice(begin, len(batch)).combine_chunks().to_batches()
            yield batch, judged[0] if judged else batch
            begin += len(batch)

    def _of(self, rows: pa.Table, observer: Observer | None = None) -> pa.Table:
        if self._windows is None:
            return rows
        try:
            order = ordered(rows, self._windows)
            found = windowed(rows, self._windows, order)
        except DataError as error:
            raise DataError(
                error.reason,
                file=error.file or self.name,
                row=error.row,
                column=error.column,
                hint=error.hint,
            ) from error
        if observer is not None and not self._told:
            self._told = True
            observer.note(self._say(order.series))
            if order.alike:
                observer.note(self._alike(order.alike))
        return found

    def _say(self, series: int) -> str:
        """How series were made."""
        assert self._windows is not None
        others = [n for n in times_of(self.source.schema) if n != self.time]
        chosen = ""
        if others and not self._windows.time:
            chosen = f" (the first of {len(others) + 1} columns of times; another: --time COLUMN)"
        by = f"each of {series:,} series of {self.series!r} by itself, " if self.series else ""
        size = self._windows.size
        return f"Windows of {size} rows: {by}ordered by {self.time!r}{chosen}."

    def _alike(self, count: int) -> str:
        what = "of its series" if self.series else "of the table"
        more = "" if self.series else " Where the table holds several series: --group-key COLUMN."
        return f"{count:,} rows have the same time as another {what}: taken as they come.{more}"
