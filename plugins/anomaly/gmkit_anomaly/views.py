"""Series over time as people look at them: values with the abnormal rows marked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmkit.codecs.tables.numbers import is_number, plain_column, plain_type, to_numbers
from gmkit_anomaly.judgeable import CHUNK, Judgeable
from gmkit_anomaly.ranges import shown
from gmkit_anomaly.seen import microseconds

SERIES, COLUMNS = 4, 3
"""Most series shown, the most abnormal first, and most columns of each."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """One column of one series, by time."""

    title: str
    note: str
    times: Floats | NDArray[np.datetime64]
    values: Floats
    flagged: NDArray[np.bool_]


def views(judgeable: Judgeable, scores: Floats, flagged: NDArray[np.bool_]) -> list[View]:
    """Of the series with the highest scores; none where rows are no series."""
    if not judgeable.time:
        return []
    source = judgeable.source
    numbers = [
        field.name
        for field in source.schema
        if field.name not in (judgeable.time, judgeable.series)
        and is_number(plain_type(field.type))
        and not pa.types.is_temporal(plain_type(field.type))
    ][:COLUMNS]
    wanted = [n for n in (judgeable.time, judgeable.series) if n]
    batches = (batch.select([*wanted, *numbers]) for batch in source.batches(CHUNK))
    table = pa.Table.from_batches(batches).combine_chunks()
    times = _times(table.column(judgeable.time))
    found = []
    for name, rows in _oddest(table, judgeable.series, scores):
        rows = rows[np.argsort(times[rows], kind="stable")]
        many = int(flagged[rows].sum())
        told = f"{many:,} of {len(rows):,} rows abnormal"
        for number in numbers:
            column = plain_column(table.column(number).combine_chunks().take(pa.array(rows)))
            values, valid = to_numbers(column)
            line = np.where(valid, values.astype(np.float64), np.nan)
            title = f"{number}, {judgeable.series} {name}" if judgeable.series else number
            found.append(View(title, told, times[rows], line, flagged[rows]))
    return found


def _times(column: pa.ChunkedArray) -> NDArray[np.datetime64] | Floats:
    found = microseconds(column)
    if found is not None:
        return found.view("datetime64[us]")
    return to_numbers(plain_column(column.combine_chunks()))[0].astype(np.float64)


def _oddest(table: pa.Table, key: str, scores: Floats) -> list[tuple[str, NDArray[np.int64]]]:
    """(name, rows) of the series with the highest scores."""
    if not key:
        return [("", np.arange(len(table)))]
    encoded = plain_column(table.column(key).combine_chunks())
    encoded = encoded.dictionary_encode(null_encoding="encode")
    codes = np.asarray(encoded.indices)
    highest = np.full(len(encoded.dictionary), -np.inf)
    np.maximum.at(highest, codes, np.where(np.isfinite(scores), scores, -np.inf))
    chosen = np.argsort(-highest, kind="stable")[:SERIES]
    names = [shown(encoded.dictionary[int(code)]) for code in chosen]
    return [(n, np.flatnonzero(codes == code)) for n, code in zip(names, chosen, strict=True)]
