"""By what people know a row: its series, its time, its identifier, not its place in the file."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gmkit.codecs.tables.numbers import plain_column, plain_type
from gmkit_anomaly.ranges import shown
from gmkit_anomaly.windows import times_of

_NAMED = re.compile(
    r"(^|[_\W])(id|ids|uuid|guid|key|identifier|name|no|nr|number|code|ref)$|^id|Id$|ID$",
    re.IGNORECASE,
)
FEW = 20
"""Rows of which fewer do not show that a column is unique."""
LONG = 48
"""Characters from which on a text is no name."""


class Names:
    """The columns that name a row, chosen by a look at the first rows."""

    def __init__(
        self, first: pa.RecordBatch, *, series: str = "", time: str = "", main: str = ""
    ) -> None:
        """``series``, ``time``: columns that are known to be such; ``main``: the column that is
        the record, of domains that have one."""
        schema = first.schema
        self.time = time or next(iter(times_of(schema)), "")
        """The column of times; nothing where there is none."""
        known = [name for name in (series, self.time) if name]
        if main:
            others = [n for n in schema.names if n not in (*known, main)]
            kind = plain_type(schema.field(main).type)
            texts = [main] if pa.types.is_string(kind) or pa.types.is_large_string(kind) else []
            self.columns = [*known, *_identifier(first, others), *texts]
        else:
            self.columns = [
                *known,
                *_identifier(first, [n for n in schema.names if n not in known]),
            ]

    def select(self, records: pa.RecordBatch) -> pa.RecordBatch:
        """These columns."""
        return records.select(self.columns)


def named(records: pa.RecordBatch | None, row: int) -> dict[str, str]:
    """A row's names, as people read them."""
    if records is None:
        return {}
    pairs = zip(records.schema.names, records.columns, strict=True)
    return {name: _shown(column[row]) for name, column in pairs}


def _shown(value: pa.Scalar) -> str:
    if isinstance(value, pa.TimestampScalar) and value.is_valid:
        text = str(value.cast(pa.timestamp("s", value.type.tz), safe=False))
        return text.removesuffix(" 00:00:00")
    return shown(value)


def _identifier(first: pa.RecordBatch, names: Sequence[str]) -> list[str]:
    """One column, or none: of values that do not repeat, else of those named like identifiers."""
    found = []
    for name in names:
        column = plain_column(first.column(name))
        text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        whole = pa.types.is_integer(column.type)
        if not (text or whole) or column.null_count or not len(column):
            continue
        if text and (pc.max(pc.utf8_length(column)).as_py() or 0) > LONG:
            continue
        unique = len(column) >= FEW and pc.count_distinct(column).as_py() == len(column)
        like = bool(_NAMED.search(name))
        if unique and (text or like or _counts_on(np.asarray(column))):
            return [name]
        if like and (text or whole) and pc.count_distinct(column).as_py() > len(column) // 50:
            found.append(name)
    return found[:1]


def _counts_on(values: NDArray[np.int64]) -> bool:
    """Whether distinct whole numbers are row numbers."""
    return int(values.max()) - int(values.min()) + 1 == len(values)
