"""New records brought to the columns that were learned."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from gmkit.codecs import Codec
from gmkit.codecs.tables import TableCodec
from gmkit.codecs.tables.inference import learnable
from gmkit.codecs.tables.numbers import plain_column, plain_type
from gmkit.errors import DataError, did_you_mean
from gmkit_anomaly.windows import window_learned


class Alignment:
    """From the schema of new data to that of what was learned. Whole-row tables only: other
    domains read their main column themselves."""

    def __init__(self, codec: Codec, schema: pa.Schema, name: str) -> None:
        """Raises DataError for a column that is not there. ``name``: of the data, for messages."""
        self._wanted = codec.schema if isinstance(codec, TableCodec) else None
        self._name = name
        self.notes: list[str] = []
        if self._wanted is None:
            return
        check_columns(self._wanted.names, schema, name)
        known = set(self._wanted.names)
        extra = [n for n in schema.names if n not in known]
        nested = [n for n in extra if not learnable(schema.field(n).type)]
        if nested:
            self.notes.append(f"Not looked at, for it holds nested values: {_listed(nested)}.")
        extra = [n for n in extra if n not in nested]
        if extra:
            self.notes.append(f"Not looked at, for it was not learned: {_listed(extra)}.")
        for field in self._wanted:
            found = schema.field(field.name).type
            if not plain_type(found).equals(plain_type(field.type)):
                self.notes.append(
                    f"Column {field.name!r} is {found} here, {field.type} where it was learned."
                )

    def __call__(self, records: pa.RecordBatch, first_row: int = 0) -> pa.RecordBatch:
        """The columns that were learned, of their types. Raises DataError for a value that is of
        another."""
        if self._wanted is None:
            return records
        columns = []
        for field in self._wanted:
            plain = plain_column(records.column(field.name))
            wanted = plain_type(field.type)
            if not plain.type.equals(wanted):
                plain = self._cast(plain, wanted, field.name, first_row)
            columns.append(plain)
        names = self._wanted.names
        return pa.RecordBatch.from_arrays(columns, names=names)

    def _cast(self, plain: pa.Array, wanted: pa.DataType, name: str, first_row: int) -> pa.Array:
        try:
            return plain.cast(wanted)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as fault:
            row = None
            for place in range(len(plain)):
                try:
                    plain.slice(place, 1).cast(wanted)
                except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                    row = first_row + place
                    break
            raise DataError(
                f"is {plain.type} and cannot be read as {wanted}, which was learned: "
                f"{str(fault)[:120]}",
                file=self._name,
                row=row,
                column=name,
            ) from fault


def check_columns(wanted: Sequence[str], schema: pa.Schema, name: str) -> None:
    """Raises DataError where a column to be learned from is not there in the data ``name``."""
    there = set(schema.names)
    missing = [n for n in wanted if n not in there]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        size, given = window_learned(wanted), window_learned(schema.names)
        if size is not None and size != given:
            raise DataError(
                f"was to be judged without the window of {size} rows that was learned with"
                if given is None
                else f"was to be judged with windows of {given} rows; {size} were learned with",
                file=name,
                hint=f"Add --window {size}, and --group-key if that was given then.",
            )
        raise DataError(
            f"has no such column{more}, which was learned from",
            file=name,
            column=missing[0],
            hint=did_you_mean(missing[0], schema.names) or "Give data with the same columns.",
        )


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")
