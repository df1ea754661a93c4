"""Time series: each row beside what the rows before it in time were like.

For each number x of a row: x itself, its mean and spread over the window of W rows before it, how
far x lies from that mean in these spreads, and how far from the row just before. A detector of rows
then sees what is unusual for its time. The first W rows have no whole window before them: they
share the first there is, or they would all be unusual for having seen so little.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gmkit.codecs.tables.numbers import is_number, plain_column, to_numbers
from gmkit.errors import DataError

MEAN, SPREAD, CHANGE, STEP = "mean before", "spread before", "change", "step"
Floats = NDArray[np.float64]


def time_column(schema: pa.Schema) -> str:
    """The first column of timestamps or dates. Raises DataError for none."""
    for field in schema:
        if pa.types.is_timestamp(field.type) or pa.types.is_date(field.type):
            return str(field.name)
    raise DataError(
        "--window needs a column of timestamps or dates, and there is none",
        hint=f"Columns: {', '.join(schema.names[:12])}. Write times as 2024-01-31T12:00:00.",
    )


def windowed(table: pa.Table, size: int) -> pa.Table:
    """The table with four columns more for each number, rows in their own order. Raises DataError
    without timestamps."""
    name = time_column(table.schema)
    times = plain_column(table.column(name).combine_chunks())
    if times.null_count:
        row = int(np.flatnonzero(np.asarray(times.is_null()))[0])
        raise DataError("is missing: rows cannot be put in order", row=row, column=name)
    order = np.asarray(pc.sort_indices(times)).astype(np.int64)
    for field in table.schema:
        if field.name == name or not is_number(field.type) or pa.types.is_temporal(field.type):
            continue
        values, valid = to_numbers(plain_column(table.column(field.name).combine_chunks()))
        numbers = np.where(valid, values.astype(np.float64), np.nan)
        numbers[~np.isfinite(numbers)] = np.nan
        numbers = numbers[order]
        mean, spread = _before(numbers, size)
        change = (numbers - mean) / np.maximum(spread, 1e-12 + 1e-9 * np.abs(mean))
        step = np.diff(numbers, prepend=numbers[:1])
        step[:1] = step[1:2] if len(step) > 1 else 0.0
        for word, found in ((MEAN, mean), (SPREAD, spread), (CHANGE, change), (STEP, step)):
            back = np.empty_like(found)
            back[order] = found
            column = pa.array(back, mask=np.isnan(back))
            table = table.append_column(f"{field.name} {word}", column)
    return table.drop_columns([name])


def _before(values: Floats, size: int) -> tuple[Floats, Floats]:
    """Mean and spread of the known values among the ``size`` before each, of the first ``size``
    among these; NaN of fewer than two."""
    known = ~np.isnan(values)
    middle = float(values[known].mean()) if known.any() else 0.0
    filled = np.where(known, values - middle, 0.0)  # squares of large numbers would lose the rest
    ends = np.maximum(np.arange(len(values)), min(size, len(values)))
    starts = ends - min(size, len(values))

    def total(parts: Floats) -> Floats:
        sums = np.concatenate([[0.0], np.cumsum(parts)])
        return np.asarray(sums[ends] - sums[starts])

    count = total(known.astype(np.float64))
    enough = count >= 2
    many = np.maximum(count, 1)
    mean = total(filled) / many
    spread = np.sqrt(np.maximum(total(filled**2) / many - mean**2, 0))
    return np.where(enough, mean + middle, np.nan), np.where(enough, spread, np.nan)
