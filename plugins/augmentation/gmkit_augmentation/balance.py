"""How many rows of which class make a table balanced: ``label``, ``label=1``, ``label=1:0.3``."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from gmkit.codecs.tables.numbers import plain_column
from gmkit.errors import ConfigError, DataError, did_you_mean
from gmkit_augmentation.conditions import Condition, equals, parse_conditions
from gmkit_augmentation.drawing import Wish

MOST_CLASSES = 100


def balance_column(text: str, schema: pa.Schema) -> str:
    """The column that is to be balanced. Raises DataError where there is none such."""
    name = text if text in schema.names else text.rpartition("=")[0].strip() or text
    if name not in schema.names:
        raise DataError(
            "--balance names a column that the table does not have",
            column=name,
            hint=did_you_mean(name, schema.names),
        )
    return name


def balancing(
    text: str, batches: Iterable[pa.RecordBatch], schema: pa.Schema, rows: int | None
) -> list[Wish]:
    """Rows to add. ``rows``: as many of the one class, whatever its share.

    Raises ConfigError for a share that cannot be, or a column of too many values."""
    name = balance_column(text, schema)
    counts = _counts(name, batches)
    if text == name:
        return _level(name, counts, rows)
    value, _, share = text.partition("=")[2].rpartition(":")
    if not value:
        value, share = share, "0.5"
    quoted = value.replace('"', '""')
    condition = parse_conditions([f'"{name}"="{quoted}"'], schema, "--balance")[0]
    wanted = _share(share, text)
    have = sum(n for v, n in counts.items() if _same(v, condition))
    others = sum(counts.values()) - have
    need = max(0, math.ceil(wanted / (1 - wanted) * others) - have)
    return [Wish(need if rows is None else rows, (condition,))]


def _level(name: str, counts: dict[pa.Scalar, int], rows: int | None) -> list[Wish]:
    """Every class as large as the largest."""
    if len(counts) > MOST_CLASSES:
        raise ConfigError(
            f"--balance {name}: {len(counts):,} different values are no classes",
            hint=f"Name a column of at most {MOST_CLASSES}, or one value: --balance {name}=VALUE.",
        )
    if rows is not None:
        raise ConfigError(
            "--rows and --balance with all classes contradict each other",
            hint=f"Leave --rows out, or name one class: --balance {name}=VALUE --rows {rows}.",
        )
    most = max(counts.values())
    return [Wish(most - n, (equals(name, value),)) for value, n in counts.items() if n < most]


def _counts(name: str, batches: Iterable[pa.RecordBatch]) -> dict[pa.Scalar, int]:
    counts: dict[pa.Scalar, int] = {}
    for batch in batches:
        for entry in pc.value_counts(plain_column(batch.column(name))):
            value = entry["values"]
            counts[value] = counts.get(value, 0) + entry["counts"].as_py()
            if len(counts) > 100_000:
                raise ConfigError(f"--balance {name}: far too many different values for classes")
    return counts


def _same(value: pa.Scalar, condition: Condition) -> bool:
    wanted = condition.value
    return not value.is_valid if wanted is None else bool(value.is_valid and value.equals(wanted))


def _share(text: str, whole: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 < share < 1:
        raise ConfigError(
            f"--balance {whole!r}: {text!r} is no share between 0 and 1",
            hint='For example: --balance "label=1:0.5"',
        )
    return share
