"""What rows shall be: ``age>60,sex=F``, as masks over batches of rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gmkit.codecs.tables.numbers import plain_type
from gmkit.codecs.where import parse_items
from gmkit.errors import ConfigError, DataError, did_you_mean
from gmkit_augmentation.whole import plain_whole

Mask = NDArray[np.bool_]
_COMPARE = {
    "=": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    ">": pc.greater,
    "<=": pc.less_equal,
    ">=": pc.greater_equal,
}
_MISSING = ("null", "missing")
_OFFSET = re.compile(r"\d[ T]\d.*(Z|[+-]\d\d(:?\d\d)?)$")
"""The end of a time that says how far its zone is from Greenwich."""


@dataclass(frozen=True)
class Condition:
    """A column compared with a value, or with another column. ``value`` None: whether missing."""

    text: str
    column: str
    operator: str
    value: pa.Scalar | None = None
    other: str = ""

    def mask(self, rows: pa.RecordBatch | pa.Table) -> Mask:
        """Which rows meet it (N,). What is missing meets no comparison."""
        left = plain_whole(rows, self.column)
        if self.value is None and not self.other:
            null = np.asarray(left.is_null())
            return null if self.operator == "=" else ~null
        right = plain_whole(rows, self.other) if self.other else self.value
        return np.asarray(_COMPARE[self.operator](left, right).fill_null(False))


def parse_conditions(
    texts: Sequence[str], schema: pa.Schema, option: str, *, columns: bool = False
) -> list[Condition]:
    """Conditions of the option's texts. ``columns``: a value may name a column, too.

    Raises DataError for an unknown column, ConfigError for a value that its type cannot hold."""
    found = []
    for text in texts:
        for item in parse_items(text, option):
            if item.name not in schema.names:
                raise DataError(
                    f"{option} names a column that the table does not have",
                    column=item.name,
                    hint=did_you_mean(item.name, schema.names),
                )
            if columns and item.value in schema.names:
                found.append(Condition(item.text, item.name, item.operator, other=item.value))
                continue
            missing = item.value.lower() in _MISSING and item.operator in ("=", "!=")
            value = None if missing else _scalar(item.value, schema.field(item.name), option)
            found.append(Condition(item.text, item.name, item.operator, value))
    return found


def equals(name: str, value: pa.Scalar) -> Condition:
    """The column has this value; a missing one: it is missing."""
    return Condition(f"{name}={value}", name, "=", value if value.is_valid else None)


def all_of(conditions: Sequence[Condition], rows: pa.RecordBatch | pa.Table) -> Mask:
    """Rows that meet every one, (N,)."""
    mask = np.ones(rows.num_rows, bool)
    for condition in conditions:
        mask &= condition.mask(rows)
    return mask


def _scalar(text: str, field: pa.Field, option: str) -> pa.Scalar:
    """The value that a text means in a column of this type."""
    kind = plain_type(field.type)
    if pa.types.is_boolean(kind):
        text = {"1": "true", "0": "false", "yes": "true", "no": "false"}.get(text.lower(), text)
    try:
        if pa.types.is_decimal(kind) or pa.types.is_integer(kind):
            return pa.scalar(float(text)).cast(kind) if "." in text else pa.scalar(text).cast(kind)
        if pa.types.is_timestamp(kind) and kind.tz and not _OFFSET.search(text):
            local = pa.scalar(text).cast(pa.timestamp(kind.unit))  # a time of the column's zone
            return pc.assume_timezone(local, kind.tz, ambiguous="earliest", nonexistent="earliest")
        return pa.scalar(text).cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise ConfigError(
            f"{option}: {text!r} is no value of the column {field.name!r}, which is {field.type}",
            hint="Write dates as 2024-12-31, numbers with a point.",
        ) from error
