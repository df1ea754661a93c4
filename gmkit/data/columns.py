"""Which of the user's columns is the domain's main one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from gmkit.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from gmkit.domain import Domain


@dataclass(frozen=True)
class MainColumn:
    """The column ``found``, which takes the name ``wanted``; a text becomes plain ``string``.

    Another column that has the name already is kept as ``<name>.original``.
    """

    found: str
    wanted: str

    def rename(self, schema: pa.Schema) -> pa.Schema:
        """The schema after ``apply``."""
        taken = set(schema.names)
        fields = []
        for field in schema:
            if field.name == self.found:
                kind = pa.string() if is_text(field.type) else field.type
                field = field.with_name(self.wanted).with_type(kind)
            elif field.name == self.wanted:
                spare = f"{self.wanted}.original"
                while spare in taken:
                    spare += "_"
                field = field.with_name(spare)
            fields.append(field)
        return pa.schema(fields, schema.metadata)

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with its columns renamed."""
        schema = self.rename(batch.schema)
        if schema.equals(batch.schema, check_metadata=True):
            return batch
        columns = [
            column if column.type.equals(field.type) else column.cast(field.type)
            for column, field in zip(batch.columns, schema, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, schema=schema)


def choose_column(
    schema: pa.Schema, domain: Domain | None, column: str, place: str
) -> MainColumn | None:
    """``column`` if given, else the domain's own name, an alias in any case, the only text column.

    None where the domain has no main column. Raises DataError listing the columns there are.
    """
    if column and column not in schema.names:
        raise DataError(
            f"has no column {column!r}; it has {shown(schema)}",
            file=place,
            hint=did_you_mean(column, schema.names),
        )
    wanted = domain.column if domain else ""
    if domain is None or not wanted:
        return None
    found = column or _by_name(schema.names, wanted, domain.aliases) or _only_text(schema)
    if found is None:
        near = did_you_mean(wanted, schema.names)
        near = near if near.startswith("Did") else ""
        raise DataError(
            f"has no column {wanted!r}, nor one known to mean it; it has {shown(schema)}",
            file=place,
            hint=" ".join(filter(None, [near, "Name the one to use: --column NAME."])),
        )
    return MainColumn(found, wanted)


def is_text(kind: pa.DataType) -> bool:
    """Whether values are text, dictionary-encoded or not."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def shown(schema: pa.Schema) -> str:
    """Column names for a message, the first dozen, each cut at 40 characters."""
    names = [repr(name if len(name) <= 40 else name[:39] + "…") for name in schema.names[:12]]
    more = len(schema.names) - len(names)
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def _by_name(names: list[str], wanted: str, aliases: tuple[str, ...]) -> str | None:
    if wanted in names:
        return wanted
    for alias in (wanted, *aliases):
        for name in names:
            if name.strip().lower() == alias.lower():
                return name
    return None


def _only_text(schema: pa.Schema) -> str | None:
    texts = [field.name for field in schema if is_text(field.type)]
    return texts[0] if len(texts) == 1 else None
