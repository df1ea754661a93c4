"""The tables codec: rows of plain columns ⇄ one or two flat fields a column.

What a column is comes from its values (``inference``), how it is encoded stands in ``columns`` and
``number_column``. What comes back has the schema of the data: names, order, types, nullability and
metadata.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from gmkit.codecs.codec import Batch, Codec, CodecState
from gmkit.codecs.tables.columns import Arrays, Column, Entropy
from gmkit.codecs.tables.inference import Sketch, TableConfig, learned, new_sketch, unknown_columns
from gmkit.codecs.tables.numbers import plain_column
from gmkit.codecs.tables.sketches import mixed
from gmkit.codecs.tables.stored import (
    column_from_json,
    column_to_json,
    schema_from_json,
    schema_to_json,
)
from gmkit.errors import ArtifactError, ConfigError, DataError

if TYPE_CHECKING:
    from gmkit.fields import Space

NOTHING = "rows"
"""The one field of a table whose columns tell nothing."""


class TableCodec(Codec):
    """Columns of a table as Categorical and Real fields."""

    Config = TableConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._schema: pa.Schema | None = None
        self._seen: dict[str, Sketch] | None = None
        self._columns: dict[str, Column] | None = None

    # ------------------------------------------------------------ learning

    def fit(self, batches: Iterable[pa.RecordBatch]) -> Self:
        """Gather the distinct values of every column. Raises DataError for nested columns, two of
        one name, or none."""
        self._schema = self._seen = self._columns = None
        for batch in batches:
            if self._schema is None:
                self._schema, self._seen = batch.schema, _sketches(batch.schema)
                unknown_columns(self.config, batch.schema.names)
            assert self._seen is not None
            for name, sketch in self._seen.items():
                sketch.add(plain_column(batch.column(name)))
        if self._schema is None:
            raise DataError("there is no row to learn from")
        return self

    def merge(self, other: Self) -> Self:
        """The codec of both parts. Raises ConfigError when one is not fresh from ``fit`` or they
        differ in options or columns."""
        if self._seen is None or other._seen is None:
            raise ConfigError("only codecs fresh from fit can be merged")
        assert self._schema is not None and other._schema is not None
        if self.config != other.config or not self._schema.equals(other._schema):
            raise ConfigError("only codecs of the same options and columns can be merged")
        merged = type(self)(self.config.model_dump())
        merged._schema = self._schema
        merged._seen = {n: s.merge(other._seen[n]) for n, s in self._seen.items()}  # type: ignore[arg-type]
        return merged

    @property
    def schema(self) -> pa.Schema:
        """Of the data, and of what ``decode`` gives. Raises ConfigError before ``fit``."""
        if self._schema is None:
            raise ConfigError("the codec is not fitted")
        return self._schema

    @property
    def rows(self) -> int:
        """How many were fitted on. Raises ConfigError for a codec restored from its state."""
        if not self._seen:
            raise ConfigError("only a codec fresh from fit knows how many rows there were")
        return next(iter(self._seen.values())).rows

    @property
    def columns(self) -> dict[str, Column]:
        """Name → what was learned of it, in order."""
        if self._columns is None:
            schema = self.schema
            assert self._seen is not None
            prefixes = _prefixes(schema.names)
            self._columns = {
                f.name: learned(f.name, f.type, prefixes[f.name], self._seen[f.name], self.config)
                for f in schema
            }
        return self._columns

    # ------------------------------------------------------------ tensors

    @property
    def space(self) -> Space:
        """Fields of all columns, in order."""
        from gmkit.fields import Categorical, Field, Space

        fields: dict[str, Field] = {}
        for column in self.columns.values():
            fields |= column.fields()
        return Space(fields or {NOTHING: Categorical(size=1)})

    def encode(self, records: pa.RecordBatch) -> Batch:
        """Classes int32, reals float32. Raises DataError for a value that does not fit."""
        import torch

        return {name: torch.from_numpy(array) for name, array in self.arrays(records).items()}

    def arrays(self, records: pa.RecordBatch) -> Arrays:
        """What ``encode`` gives, without torch."""
        place = {name: number for number, name in enumerate(records.schema.names)}
        missing = [name for name in self.columns if name not in place]
        if missing:
            raise DataError(f"the rows have no column {missing[0]!r}", column=missing[0])
        arrays: Arrays = {}
        for name, column in self.columns.items():
            arrays |= column.encode(records.column(place[name]))
        return arrays or {NOTHING: np.zeros(len(records), np.int32)}

    def decode(self, batch: Batch) -> pa.RecordBatch:
        """Rows of the data's schema. What no field decides (a rare value, a text) is drawn by a
        hash of the row and its place."""
        arrays = {name: batch[name].cpu().numpy() for name in self.space.names}
        entropy = _entropy(arrays)
        found = [
            column.decode(arrays, mixed(entropy + np.uint64(number)))
            for number, column in enumerate(self.columns.values())
        ]
        return pa.RecordBatch.from_arrays(found, schema=self.schema)

    def describe(self) -> dict[str, str]:
        """For people: column → what it was taken for."""
        return {name: column.describe() for name, column in self.columns.items()}

    # ------------------------------------------------------------ storage

    def state(self) -> CodecState:
        """Schema and columns as facts, distributions as tensors."""
        import torch

        columns = self.columns.values()
        facts = {
            "config": self.config.model_dump(mode="json"),
            "schema": schema_to_json(self.schema),
            "columns": [column_to_json(column) for column in columns],
        }
        tensors = {
            f"{column.prefix}/{part}": torch.from_numpy(np.ascontiguousarray(array))
            for column in columns
            for part, array in column.tensors().items()
        }
        return CodecState(facts, tensors)

    @classmethod
    def from_state(cls, state: CodecState) -> Self:
        """The inverse of ``state``. Raises ArtifactError."""
        try:
            codec = cls(state.facts["config"])
            facts = list(state.facts["columns"])
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"not the state of a tables codec: {str(error)[:200]}") from error
        schema = schema_from_json(state.facts.get("schema"))
        if len(facts) != len(schema):
            raise ArtifactError(f"{len(facts)} columns described, {len(schema)} in the schema")
        codec._schema = schema
        codec._columns = {
            field.name: column_from_json(described, field, state.tensors)
            for field, described in zip(schema, facts, strict=True)
        }
        prefixes = [column.prefix for column in codec._columns.values()]
        if len(codec._columns) < len(schema) or len(set(prefixes)) < len(prefixes):
            raise ArtifactError("a column is described twice")
        return codec


def _sketches(schema: pa.Schema) -> dict[str, Sketch]:
    if not len(schema):
        raise DataError("has no columns")
    sketches: dict[str, Sketch] = {}
    for field in schema:
        if field.name in sketches:
            raise DataError("two columns have this name", column=field.name)
        sketches[field.name] = new_sketch(field.name, field.type)
    return sketches


def _prefixes(names: Iterable[str]) -> dict[str, str]:
    """Column → what its fields' names begin with: no two columns can come to the same field."""
    names = list(names)
    taken: set[str] = set()
    prefixes = {}
    for number, name in enumerate(names):
        prefix = name or f"column {number + 1}"
        while any(f"{prefix}{ending}" in taken for ending in ("", ".kind", ".within")) or (
            prefix != name and prefix in names
        ):
            prefix += "_"
        taken |= {f"{prefix}{ending}" for ending in ("", ".kind", ".within")}
        prefixes[name] = prefix
    return prefixes


def _entropy(arrays: dict[str, Any]) -> Entropy:
    """A hash of each row and its place."""
    count = len(next(iter(arrays.values())))
    total = np.arange(count, dtype=np.uint64)
    for values in arrays.values():
        bits = values.astype(np.float64) if values.dtype.kind == "f" else values.astype(np.int64)
        total = mixed(total ^ np.ascontiguousarray(bits).view(np.uint64))
    return total
