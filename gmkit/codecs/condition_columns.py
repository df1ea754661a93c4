"""One column that a model is conditioned on, as it was learned: a number or a choice."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gmkit.codecs.moments import LARGEST
from gmkit.errors import ArtifactError, ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

    from gmkit.fields import Field

Numbers = NDArray[Any]
CHOICES = 1000
"""Most different values of a column of text, each of which networks see as a channel."""
FAR = 0.1
"""Share of the range outside of which a number is told to be outside."""
_FARTHEST = 1e6
"""Standard deviations from the mean beyond which a number means nothing to a network."""
_SHOWN = 8
_TYPES = frozenset(
    ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
    + ["halffloat", "float", "double", "string", "large_string"]
    + (["string_view"] if hasattr(pa, "string_view") else [])
)
"""Arrow types that a condition may have, beside dictionaries of these and decimals."""


class Value(NamedTuple):
    """A value asked for, as its field has it, and what the user should know of it."""

    number: float | int
    note: str = ""


@dataclass(frozen=True)
class Number:
    """A number, standardised. ``kind``: the Arrow type of the column."""

    sort: ClassVar[str] = "number"
    name: str
    kind: pa.DataType
    mean: float
    scale: float
    low: float
    high: float

    @property
    def field(self) -> Field:
        """A single real number."""
        from gmkit.fields import Real

        return Real()

    def encode(self, column: pa.Array) -> Numbers:
        """Standardised float32 (N,). Raises DataError."""
        values = numbers(column, self.name)
        standard = (values - self.mean) / self.scale
        wrong = np.flatnonzero(~(np.abs(standard) <= _FARTHEST))  # NaN is no less wrong
        if len(wrong):
            row = int(wrong[0])
            told = f"{values[row]:g} is too far from anything the model has seen"
            missing = not usable_numbers(values)[row]
            reason = unusable(column[row].as_py()) if missing else told
            raise DataError(reason, row=row, column=self.name)
        return standard.astype(np.float32)

    def decode(self, value: Tensor) -> pa.Array:
        """Numbers of the column's own type, rounded to what float32 could tell apart."""
        found = self.mean + self.scale * np.nan_to_num(value.cpu().double().numpy())
        with np.errstate(over="ignore", invalid="ignore"):
            rounded = np.round(found, 5 - math.floor(math.log10(self.scale)))
        found = np.where(np.isfinite(rounded), rounded, found)
        fitted = _floats if pa.types.is_floating(self.kind) else _integers
        return pa.array(fitted(found, self.kind.to_pandas_dtype()), self.kind)

    def parse(self, text: str) -> Value:
        """The number that ``text`` says. Raises ConfigError."""
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        standard = (number - self.mean) / self.scale
        if not math.isfinite(number):
            raise ConfigError(
                f"{self.name}={text!r} is no number",
                hint=f"{self.name} is {self.describe()}: for example {self.name}={self.example()}",
            )
        if abs(standard) > _FARTHEST:
            raise ConfigError(
                f"{self.name}={text} is too far from anything the model has seen",
                hint=f"{self.name} is {self.describe()}.",
            )
        margin = FAR * (self.high - self.low)
        outside = not self.low - margin <= number <= self.high + margin
        note = f"{self.name}={text} is far outside what the model has seen: {self.describe()}"
        return Value(standard, note if outside else "")

    def describe(self) -> str:
        """For people: the range."""
        return f"a number from {self.low:.4g} to {self.high:.4g}"

    def example(self) -> str:
        """A value worth asking for, as text."""
        return f"{self.mean:.3g}" if pa.types.is_floating(self.kind) else f"{self.mean:.0f}"

    def to_json(self) -> dict[str, Any]:
        """The inverse of ``column_from_json``."""
        facts = {"mean": self.mean, "scale": self.scale, "low": self.low, "high": self.high}
        return {"sort": self.sort, "name": self.name, "type": _type_to_json(self.kind), **facts}


@dataclass(frozen=True)
class Choice:
    """One of the known ``values``, sorted. ``kind``: the Arrow type of the column."""

    sort: ClassVar[str] = "choice"
    name: str
    kind: pa.DataType
    values: tuple[Any, ...]

    @property
    def field(self) -> Field:
        """A single category."""
        from gmkit.fields import Categorical

        return Categorical(size=len(self.values))

    @property
    def _known(self) -> pa.Array:
        return pa.array(self.values, plain(self.kind))

    def encode(self, column: pa.Array) -> Numbers:
        """Classes (N,), int16. Raises DataError for a missing or an unknown value."""
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        try:
            found = pc.index_in(column.cast(plain(self.kind)), value_set=self._known)
        except pa.ArrowInvalid as error:
            raise DataError(
                f"holds what is none of its values: {error}", column=self.name
            ) from None
        if found.null_count:
            row = found.is_null().index(True).as_py()
            value = column[row].as_py()
            raise DataError(
                unusable(value) if value is None else f"{value!r} was not seen in training",
                row=row,
                column=self.name,
                hint=f"{self.name} is {self.describe()}.",
            )
        return np.asarray(found, dtype=np.int16)

    def decode(self, value: Tensor) -> pa.Array:
        """Values of the column's own type."""
        chosen = value.cpu().long().clamp(0, len(self.values) - 1).numpy()
        if not pa.types.is_dictionary(self.kind):
            return self._known.take(pa.array(chosen))
        return pa.DictionaryArray.from_arrays(
            pa.array(chosen, self.kind.index_type), self._known, ordered=self.kind.ordered
        )

    def parse(self, text: str) -> Value:
        """The class of the value that ``text`` says. Raises ConfigError."""
        shown = {_text(value): number for number, value in enumerate(self.values)}
        number = shown.get(text, shown.get(text.strip()))
        kind = plain(self.kind)
        if number is None and pa.types.is_integer(kind):
            number = shown.get(_without_point(text))
        if number is None and pa.types.is_boolean(kind):
            number = shown.get({"1": "true", "0": "false"}.get(text, text.strip().lower()))
        if number is None:
            near = did_you_mean(text, shown)
            raise ConfigError(
                f"{self.name}={text!r} is not known: it is {self.describe()}",
                hint=near if near.startswith("Did") else f"Ask for {self.name}={self.example()}",
            )
        return Value(number)

    def describe(self) -> str:
        """For people: the values, the first few."""
        shown = ", ".join(_text(value) for value in self.values[:_SHOWN])
        more = len(self.values) - _SHOWN
        return f"one of {shown}" + (f" and {more:,} more" if more > 0 else "")

    def example(self) -> str:
        """A value worth asking for, as text."""
        return _text(self.values[-1])

    def to_json(self) -> dict[str, Any]:
        """The inverse of ``column_from_json``."""
        facts = {"sort": self.sort, "name": self.name, "type": _type_to_json(self.kind)}
        return {**facts, "values": list(self.values)}


Column = Number | Choice


# ------------------------------------------------------------ Arrow


def plain(kind: pa.DataType) -> pa.DataType:
    """The type of the values themselves."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def numbers(column: pa.Array, name: str = "") -> Numbers:
    """float64 (N,); missing ones as NaN. Raises DataError for a column of anything else."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        return np.asarray(column.cast(pa.float64(), safe=False))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"holds what is no number: {error}", column=name) from error


def usable_numbers(values: Numbers) -> Numbers:
    """Mask (N,)."""
    return np.abs(values) <= LARGEST


def unusable(value: Any) -> str:
    """Why a value cannot be a condition."""
    return "missing value of a condition" if value is None else f"{value!r} is not a finite number"


def stored_type(kind: pa.DataType) -> pa.DataType | None:
    """The type in which a column comes back: its own, decimals as double; None for what cannot
    be a condition."""
    if pa.types.is_decimal(kind):
        return pa.float64()
    if pa.types.is_dictionary(kind):
        inner = stored_type(kind.value_type)
        if inner is None or inner != kind.value_type:
            return inner
        return kind
    return kind if str(kind) in _TYPES else None


def roomy(kind: pa.DataType, values: int) -> pa.DataType:
    """``kind`` with room for so many values: a column's batches may each have had a dictionary of
    their own, and together they need a wider one."""
    if not pa.types.is_dictionary(kind):
        return kind
    if values - 1 <= np.iinfo(kind.index_type.to_pandas_dtype()).max:
        return kind
    return pa.dictionary(pa.int32(), kind.value_type, kind.ordered)


def _floats(values: Numbers, kind: type[np.floating[Any]]) -> Numbers:
    limits = np.finfo(kind)
    return np.clip(values, limits.min, limits.max).astype(kind)


def _integers(values: Numbers, kind: type[np.integer[Any]]) -> Numbers:
    limits = np.iinfo(kind)
    greatest = np.nextafter(float(limits.max) + 1, 0)  # of int64 a double cannot hold the last
    return np.clip(np.rint(values), float(limits.min), greatest).astype(kind)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _without_point(text: str) -> str:
    """``"7.0"`` → ``"7"``."""
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else text


# ------------------------------------------------------------ storage


def _type_to_json(kind: pa.DataType) -> dict[str, Any]:
    if not pa.types.is_dictionary(kind):
        return {"name": str(kind)}
    return {
        "name": str(kind.value_type),
        "index": str(kind.index_type),
        "ordered": bool(kind.ordered),
    }


def _type_from_json(facts: Any) -> pa.DataType:
    for name in (facts["name"], facts.get("index", "int8")):
        if not isinstance(name, str) or name not in _TYPES:
            raise ValueError(f"unknown type {str(name)[:40]!r}")
    kind = pa.type_for_alias(facts["name"])
    if "index" not in facts:
        return kind
    return pa.dictionary(pa.type_for_alias(facts["index"]), kind, bool(facts["ordered"]))


def column_from_json(facts: Any) -> Column:
    """The column that ``to_json`` described. Raises ArtifactError on what makes no sense."""
    try:
        if not isinstance(facts["name"], str) or not facts["name"]:
            raise ValueError("a condition without a name")
        kind = _type_from_json(facts["type"])
        if facts["sort"] == Number.sort:
            return _number(facts["name"], kind, facts)
        if facts["sort"] == Choice.sort:
            return _choice(facts["name"], kind, facts)
        raise ValueError(f"unknown sort {str(facts['sort'])[:40]!r}")
    except (KeyError, TypeError, ValueError, OverflowError, pa.ArrowException) as error:
        raise ArtifactError(f"not a description of a condition: {str(error)[:200]}") from error


def _number(name: str, kind: pa.DataType, facts: Mapping[str, Any]) -> Number:
    values = [facts[key] for key in ("mean", "scale", "low", "high")]
    if not all(isinstance(v, float) and abs(v) <= 2 * LARGEST for v in values):
        raise ValueError(f"{name!r}: mean, scale, low and high are not finite numbers")
    mean, scale, low, high = values
    numeric = pa.types.is_floating(kind) or pa.types.is_integer(kind)
    if not (numeric and scale >= 1e-300 and low <= high):
        raise ValueError(f"{name!r}: no numbers of {kind} from {low} to {high}, scale {scale}")
    return Number(name, kind, mean, scale, low, high)


def _choice(name: str, kind: pa.DataType, facts: Mapping[str, Any]) -> Choice:
    values = facts["values"]
    inner = plain(kind)
    if pa.types.is_floating(inner):
        raise ValueError(f"{name!r}: choices of {kind}")
    expected = bool if pa.types.is_boolean(inner) else int if pa.types.is_integer(inner) else str
    if not (isinstance(values, list) and 1 <= len(values) <= CHOICES):
        raise ValueError(f"{name!r}: not 1 to {CHOICES} values")
    if not all(type(value) is expected for value in values) or values != sorted(set(values)):
        raise ValueError(f"{name!r}: values are not sorted, different and all of {kind}")
    pa.array(values, inner)  # within its range
    if kind != roomy(kind, len(values)):
        raise ValueError(f"{name!r}: {len(values)} values do not fit {kind}")
    return Choice(name, kind, tuple(values))
