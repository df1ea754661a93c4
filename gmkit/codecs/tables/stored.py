"""Learned columns ⇄ JSON-able facts and tensors, schemas and values as Arrow's own bytes."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from gmkit.codecs.tables.columns import Arrays, Column, Constant, Identifier, Levels, Template, Text
from gmkit.codecs.tables.number_column import Number
from gmkit.codecs.tables.numbers import Grid, is_number, is_whole, plain_type
from gmkit.codecs.tables.scaled_column import Scaled
from gmkit.errors import ArtifactError

_VALUES = ("value", "values", "rare")
_SPECIAL = ("missing", "nan", "inf", "-inf")


def schema_to_json(schema: pa.Schema) -> str:
    """Text."""
    return base64.b64encode(schema.serialize()).decode("ascii")


def schema_from_json(text: Any) -> pa.Schema:
    """The inverse. Raises ArtifactError."""
    try:
        return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text, validate=True)))
    except (pa.ArrowException, ValueError, TypeError, OSError) as error:
        raise ArtifactError(f"not a schema: {str(error)[:200]}") from error


def column_to_json(column: Column) -> dict[str, Any]:
    """All but its tensors."""
    facts = column.facts()
    for name in _VALUES:
        if name in facts:
            facts[name] = _to_text(facts[name])
    return {"sort": column.sort, "prefix": column.prefix, **facts}


def column_from_json(facts: Any, field: pa.Field, tensors: Mapping[str, Any]) -> Column:
    """The column that ``column_to_json`` described. Raises ArtifactError on what makes no
    sense."""
    try:
        name, kind, prefix = field.name, field.type, str(facts["prefix"])
        values = {n: _from_text(facts[n], plain_type(kind)) for n in _VALUES if n in facts}
        match facts["sort"]:
            case "constant":
                return Constant(name, kind, prefix, _checked(values["values"], 1, 1))
            case "levels":
                counts = tuple(int(count) for count in facts.get("rare_counts", ()))
                rare = values.get("rare")
                if (0 if rare is None else len(rare)) != len(counts) or min(counts, default=1) < 1:
                    raise ValueError("rare values and their counts do not fit")
                known = _checked(values["values"], 0 if facts["missing"] else 1)
                flags = bool(facts["ordered"]), bool(facts["missing"])
                return Levels(name, kind, prefix, known, *flags, rare, counts)
            case "text":
                return Text(name, kind, prefix, values["values"], bool(facts["missing"]))
            case "identifier":
                templates = tuple(
                    Template(tuple(map(_place, places)), int(count))
                    for places, count in facts["templates"]
                )
                return Identifier(name, kind, prefix, int(facts["last"]), templates)
            case "number":
                return _number(field, facts, tensors)
            case "scaled":
                return _scaled(field, facts)
            case sort:
                raise ValueError(f"unknown sort {str(sort)[:40]!r}")
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError, pa.ArrowException) as e:
        raise ArtifactError(f"not a description of column {field.name!r}: {str(e)[:200]}") from e


def _scaled(field: pa.Field, facts: Mapping[str, Any]) -> Scaled:
    kind = plain_type(field.type)
    if not is_number(kind):
        raise ValueError(f"numbers of {kind}")
    grid = Grid(**facts["grid"])
    centre, scale, low, high = (float(facts[n]) for n in ("centre", "scale", "low", "high"))
    if grid.whole != is_whole(kind) or grid.step < 1:
        raise ValueError("its grid makes no sense")
    if not np.isfinite([centre, scale, low, high]).all() or scale <= 0:
        raise ValueError("its scale is no positive number")
    prefix = str(facts["prefix"])
    return Scaled(field.name, field.type, prefix, grid, centre, scale, low, high)


def _number(field: pa.Field, facts: Mapping[str, Any], tensors: Mapping[str, Any]) -> Number:
    kind = plain_type(field.type)
    if not is_number(kind):
        raise ValueError(f"numbers of {kind}")
    prefix, special = str(facts["prefix"]), tuple(facts["special"])
    arrays: Arrays = {
        part: tensors[f"{prefix}/{part}"].double().numpy() for part in ("knots", "places", "atoms")
    }
    if any(array.ndim != 1 or not np.isfinite(array).all() for array in arrays.values()):
        raise ValueError("knots, places and atoms are not finite numbers")
    knots, places = arrays["knots"], arrays["places"]
    ascending = all((np.diff(array) > 0).all() for array in arrays.values())
    inside = not len(places) or (places[0] >= 0 and places[-1] <= 1)
    if len(knots) != len(places) or not ascending or not inside:
        raise ValueError("knots and places are no distribution")
    if any(name not in _SPECIAL for name in special) or not (len(knots) or special):
        raise ValueError("unknown special values, or no values at all")
    grid, bins = Grid(**facts["grid"]), int(facts["bins"])
    if grid.whole != is_whole(kind) or grid.step < 1 or grid.last < 0 or not 0 <= bins <= 1 << 16:
        raise ValueError("its grid or bins make no sense")
    return Number(
        field.name,
        field.type,
        prefix,
        grid,
        knots,
        places,
        arrays["atoms"],
        special,
        bins,
        bool(facts["snap"]),
    )


def _place(text: Any) -> str:
    if not isinstance(text, str) or not text:
        raise ValueError("a template's place without characters")
    return text


def _checked(values: pa.Array, least: int, most: int = 1 << 20) -> pa.Array:
    if not least <= len(values) <= most:
        raise ValueError(f"{len(values)} values")
    return values


def _to_text(values: pa.Array) -> str:
    batch = pa.record_batch([values], names=["values"])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return base64.b64encode(sink.getvalue()).decode("ascii")


def _from_text(text: Any, kind: pa.DataType) -> pa.Array:
    stream = pa.ipc.open_stream(pa.py_buffer(base64.b64decode(text, validate=True)))
    batch = stream.read_next_batch()
    batch.validate(full=True)
    values = batch.column(0)
    if not values.type.equals(kind):
        raise ValueError(f"values of {values.type}, expected {kind}")
    return values
