"""What is kept of records while they pass: the oddest, how all differ, their names and times."""

from __future__ import annotations

from array import array

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmkit_anomaly.drift import Drift
from gmkit_anomaly.encoded import Encoded
from gmkit_anomaly.judgeable import Judgeable
from gmkit_anomaly.naming import Names
from gmkit_anomaly.oddest import Oddest

MOST_TIMES = 1_000_000
"""Records beyond which times are not kept: a picture by row says as much."""


class Seen:
    """Grows batch by batch."""

    def __init__(self, drift: Drift | None, judgeable: Judgeable, main: str, count: int) -> None:
        """``drift``: None where the data is judged by itself; ``main``: the column that is the
        record, of domains that have one; ``count``: of the oddest that are kept."""
        self.drift = drift
        self.oddest = Oddest(count)
        self._judgeable, self._main = judgeable, main
        self._names: Names | None = None
        self._times: array[int] | None = array("q")
        self._rows = 0
        self.pieces = False
        """Whether any record is several pieces, such as a document of several windows."""

    def add(
        self,
        stored: pa.RecordBatch,
        judged: pa.RecordBatch,
        encoded: Encoded,
        scores: NDArray[np.float64],
    ) -> None:
        """The next records as they are stored and judged, NaN of those without a score."""
        if self._names is None:
            known = self._judgeable
            main = self._main if self._main in stored.schema.names else ""
            self._names = Names(stored, series=known.series, time=known.time, main=main)
        if self.drift is not None and len(encoded.owner):
            self.drift.add(encoded.batch)
        if not encoded.whole:
            self.pieces |= bool((encoded.counts > 1).any())
        self.oddest.add(self._rows, judged, scores, self._names.select(stored))
        self._rows += len(stored)
        self._keep_times(stored)

    def _keep_times(self, stored: pa.RecordBatch) -> None:
        if self._times is None or self._names is None:
            return
        found = None
        if self._names.time and self._rows <= MOST_TIMES:
            found = microseconds(stored.column(self._names.time))
        if found is None:
            self._times = None
        else:
            self._times.frombytes(found.tobytes())

    @property
    def times(self) -> NDArray[np.datetime64] | None:
        """(N,) of all records; None where there are none, or one is missing."""
        if not self._times:
            return None
        return np.frombuffer(self._times, np.int64).view("datetime64[us]")


def microseconds(column: pa.Array | pa.ChunkedArray) -> NDArray[np.int64] | None:
    """Times since 1970; None where one is missing or cannot be told so, or they are none."""
    is_time = pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)
    if not is_time or column.null_count:
        return None
    try:
        whole = column.cast(pa.timestamp("us", getattr(column.type, "tz", None)), safe=False)
    except pa.ArrowInvalid:
        return None
    return np.asarray(whole.cast(pa.int64()))
