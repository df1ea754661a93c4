"""Judging a file that grows, or standard input, line by line.

Each line becomes a JSON object on standard output: its values, score, p-value, verdict, reasons. A
line that cannot be read is told on standard error and does not end anything.
"""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc

from gmkit.codecs.tables import TableCodec
from gmkit.codecs.tables.numbers import plain_type
from gmkit.errors import ConfigError, DataError
from gmkit_anomaly.alignment import check_columns
from gmkit_anomaly.flagging import rule_of
from gmkit_anomaly.learning import Learned
from gmkit_anomaly.quick import Quick
from gmkit_anomaly.reasons import told

PAUSE = 0.2
"""Seconds until a file is looked at again."""
STDIN = "-"
_EMPTY = ("", "NA", "N/A", "null", "NULL", "nan", "NaN")


class Follower:
    """Judges one line after the other."""

    def __init__(
        self, learned: Learned | Quick, *, alpha: float, contamination: float | None
    ) -> None:
        """``alpha``: p-value up to which a record is abnormal, where no share is given. Raises
        ConfigError for what is no table."""
        if not isinstance(learned.codec, TableCodec):
            raise ConfigError("--follow reads tables: CSV or JSON lines")
        self._learned = learned
        self._schema = learned.codec.schema
        self._alpha = alpha
        self._rule = None
        if contamination is not None:
            self._rule = rule_of(learned.among, None, fdr=None, contamination=contamination)

    @property
    def columns(self) -> list[str]:
        """What was learned."""
        return list(self._schema.names)

    def judged(self, values: dict[str, Any]) -> dict[str, Any]:
        """A record with what is said of it. Raises DataError for a value of another type, or where
        no column is one that was learned."""
        if not any(name in values for name in self._schema.names):
            some = ", ".join(self._schema.names[:5])
            raise DataError(f"has none of the columns that were learned: {some}")
        record = self._record(values)
        found = self._learned.scores(self._learned.encode(record), columns=False)
        if self._rule is None:
            flagged = bool(found.p_value[0] <= self._alpha)
        else:
            flagged = bool(self._rule.flagged(found.score, found.p_value)[0])
        reasons = told(self._learned.reasons(record)[0]) if flagged else None
        return {
            **values,
            **_plain(record, values),
            "anomaly_score": float(found.score[0]),
            "p_value": float(found.p_value[0]),
            "is_anomaly": flagged,
            "reasons": reasons,
        }

    def _record(self, values: dict[str, Any]) -> pa.RecordBatch:
        columns = [_column(field, values.get(field.name)) for field in self._schema]
        return pa.RecordBatch.from_arrays(columns, names=self._schema.names)


def _plain(record: pa.RecordBatch, values: dict[str, Any]) -> dict[str, Any]:
    """Numbers and truth values that were written as text, as such."""
    found = {}
    for field in record.schema:
        kind, value = field.type, values.get(field.name)
        plain = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
        if plain and isinstance(value, str):
            found[field.name] = record.column(field.name)[0].as_py()
    return found


def _column(field: pa.Field, value: Any) -> pa.Array:
    """One value as a column of the learned type."""
    kind = plain_type(field.type)
    if value is None:
        return pa.nulls(1, kind)
    try:
        if isinstance(value, str) and not pa.types.is_string(kind):
            if value.strip() in _EMPTY and not pa.types.is_large_string(kind):
                return pa.nulls(1, kind)
            return _parsed(value.strip(), kind)
        if isinstance(value, (dict, list)):
            raise pa.ArrowInvalid("nested")
        return pa.array([value]).cast(kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as fault:
        told = str(value) if len(str(value)) <= 40 else f"{str(value)[:39]}…"
        raise DataError(f"{told!r} cannot be read as {kind}", column=field.name) from fault


def _parsed(text: str, kind: pa.DataType) -> pa.Array:
    """As the CSV reader would."""
    quoted = '"' + text.replace('"', '""') + '"'
    table = pc.read_csv(
        pa.py_buffer(f"x\n{quoted}\n".encode()),
        convert_options=pc.ConvertOptions(column_types={"x": kind}),
    )
    return table.column("x").chunk(0)


def lines(path: str, *, stop: Callable[[], bool] = lambda: False) -> Iterator[tuple[int, str]]:
    """(number from 1, line) of a growing file, for ever; of ``-`` standard input, to its end. A
    line counts once its end is written. Raises DataError where it cannot be read."""
    if path == STDIN:
        yield from enumerate((line.rstrip("\r\n") for line in sys.stdin), 1)
        return
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as stream:
            yield from enumerate(_grown(stream, stop), 1)
    except (OSError, UnicodeDecodeError) as fault:
        raise DataError(
            f"cannot be read: {fault}", file=path, hint="What is to be followed must be there."
        ) from fault


def _grown(stream: IO[str], stop: Callable[[], bool]) -> Iterator[str]:
    rest = ""
    while True:
        piece = stream.readline()
        rest += piece
        if rest.endswith("\n"):
            yield rest.rstrip("\r\n")
            rest = ""
        elif not piece:
            if stop():
                return
            time.sleep(PAUSE)


def records(
    found: Iterator[tuple[int, str]], wanted: Sequence[str] = ()
) -> Iterator[tuple[int, dict[str, Any] | DataError]]:
    """Lines as values by name: JSON objects where the first line is one, else CSV by its header; a
    line that is neither as the error that says so. Raises DataError for a header that lacks a
    column of ``wanted``."""
    header: list[str] | None = None
    as_json: bool | None = None
    for number, line in found:
        if not line.strip():
            continue
        if as_json is None:
            as_json = line.lstrip().startswith("{")
            if not as_json:
                header = next(csv.reader([line]))
                check_columns(wanted, pa.schema([(n, pa.string()) for n in header]), "the header")
                continue
        try:
            yield number, _json(line) if as_json else _csv(line, header or [])
        except DataError as error:
            yield number, error


def _json(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as fault:
        raise DataError(f"is no JSON object: {fault}") from fault
    if not isinstance(value, dict):
        raise DataError("is no JSON object")
    return value


def _csv(line: str, header: list[str]) -> dict[str, Any]:
    try:
        cells = next(csv.reader([line], strict=True))
    except csv.Error as fault:
        raise DataError(f"is no line of CSV: {fault}") from fault
    if len(cells) != len(header):
        raise DataError(f"has {len(cells)} values, the first line names {len(header)} columns")
    return {n: None if cell in _EMPTY else cell for n, cell in zip(header, cells, strict=True)}


def written(found: dict[str, Any]) -> str:
    """A line of JSON; what JSON cannot say becomes null."""
    clean = {
        key: None if isinstance(value, float) and not np.isfinite(value) else value
        for key, value in found.items()
    }
    return json.dumps(clean, ensure_ascii=False, default=str)
