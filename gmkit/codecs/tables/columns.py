"""What was learned of one column, and its way to fields and back.

    Levels      few distinct values, or a category          → one Categorical, in order for numbers
    Number      many distinct numbers, dates, times         → bins and the place within, or a Real
    Constant    one value                                   → no field
    Identifier  unique values                               → no field; new ones by pattern
    Text        free text                                   → no field; one of the data's, or none

A missing value is a class of its own wherever a column has any, and so are NaN and infinities.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gmkit.codecs.tables.numbers import (
    from_numbers,
    is_number,
    plain_column,
    plain_type,
    to_numbers,
    typed_column,
)
from gmkit.data.arrow_arrays import numpy_array
from gmkit.errors import DataError

if TYPE_CHECKING:
    from gmkit.fields import Field

Arrays = dict[str, NDArray[Any]]
"""Field name → (N,), classes as int16 or int32, reals as float32."""
Entropy = NDArray[np.uint64]
"""(N,) random bits a row, for what no field decides."""


@dataclass(frozen=True)
class Column(ABC):
    """``name`` and Arrow type of the column; ``prefix``: what its fields' names begin with."""

    sort: ClassVar[str]
    name: str
    kind: pa.DataType
    prefix: str

    @abstractmethod
    def fields(self) -> dict[str, Field]:
        """Its fields, none where it tells nothing."""

    @abstractmethod
    def encode(self, column: pa.Array) -> Arrays:
        """Values of its fields. Raises DataError with row and column."""

    @abstractmethod
    def decode(self, arrays: Mapping[str, NDArray[Any]], entropy: Entropy) -> pa.Array:
        """A column of its own type; never raises on values of its fields."""

    @abstractmethod
    def describe(self) -> str:
        """For people, in a few words."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """JSON-able; with ``tensors`` what ``stored.column_from`` needs."""

    def tensors(self) -> Arrays:
        """Arrays worth storing as such."""
        return {}

    def checked(self, column: pa.Array) -> pa.Array:
        """Plain values of ``column``. Raises DataError when it is of another type."""
        plain = plain_column(column)
        if not plain.type.equals(plain_type(self.kind)):
            raise DataError(f"is {column.type} where the model knows {self.kind}", column=self.name)
        return plain

    def typed(self, plain: pa.Array) -> pa.Array:
        """As the column's own type."""
        return typed_column(plain, self.kind)


@dataclass(frozen=True)
class Constant(Column):
    """``value``: a column of one row that holds it, missing perhaps."""

    sort: ClassVar[str] = "constant"
    value: pa.Array

    def fields(self) -> dict[str, Field]:
        """None."""
        return {}

    def encode(self, column: pa.Array) -> Arrays:
        """Nothing. Another value raises DataError."""
        return {}

    def decode(self, arrays: Mapping[str, NDArray[Any]], entropy: Entropy) -> pa.Array:
        """The value in every row."""
        return self.typed(self.value.take(pa.array(np.zeros(len(entropy), np.int64))))

    def describe(self) -> str:
        """The value."""
        return f"always {shown(self.value[0].as_py())}"

    def facts(self) -> dict[str, Any]:
        """The value as Arrow bytes."""
        return {"values": self.value}


@dataclass(frozen=True)
class Levels(Column):
    """One of ``values`` (plain, sorted), and further classes where the data has any: ``rare``, one
    of many values that occur seldom, drawn by how often each does, or of none for what was never
    seen; and missing, the last."""

    sort: ClassVar[str] = "levels"
    values: pa.Array
    ordered: bool
    missing: bool
    rare: pa.Array | None = None
    rare_counts: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Classes."""
        return len(self.values) + (self.rare is not None) + self.missing

    def fields(self) -> dict[str, Field]:
        """One Categorical."""
        from gmkit.fields import Categorical

        return {self.prefix: Categorical(size=self.size, ordered=self.ordered)}

    def encode(self, column: pa.Array) -> Arrays:
        """The class (N,)."""
        plain = self.checked(column)
        codes = self._places(plain)
        null = numpy_array(plain.is_null())
        if self.rare is not None:
            codes[(codes < 0) & ~null] = len(self.values)
        if self.missing:
            codes[null] = self.size - 1
        if len(codes) and codes.min() < 0:
            row = int(np.argmin(codes))
            value = plain[row].as_py()
            told = "is missing" if value is None else f"{shown(value)} was not seen in the data"
            raise DataError(told, row=row, column=self.name)
        return {self.prefix: codes}

    def _places(self, plain: pa.Array) -> NDArray[np.int32]:
        """Where each value stands among ``values``; −1 where it does not."""
        if not is_number(plain.type) or not len(self.values):
            found = pc.index_in(plain, value_set=self.values)
            return numpy_array(found, -1).astype(np.int32)
        known, _ = to_numbers(self.values)
        numbers, valid = to_numbers(plain)
        place = np.clip(np.searchsorted(known, numbers), 0, len(known) - 1)
        return np.where(valid & (known[place] == numbers), place, -1).astype(np.int32)

    def decode(self, arrays: Mapping[str, NDArray[Any]], entropy: Entropy) -> pa.Array:
        """The values."""
        codes = np.clip(arrays[self.prefix].astype(np.int64), 0, self.size - 1)
        missing = codes == self.size - 1 if self.missing else np.zeros(len(codes), bool)
        known = self.values
        if self.rare is not None and not self.rare_counts:
            missing |= codes >= len(self.values)  # what was never seen has no value to show
        elif self.rare is not None:
            total = np.cumsum(self.rare_counts)
            place = np.searchsorted(total, entropy % np.uint64(total[-1]), side="right")
            codes = np.where(codes == len(self.values), len(self.values) + place, codes)
            known = pa.concat_arrays([self.values, self.rare])
        return self.typed(known.take(pa.array(codes, mask=missing)))

    def describe(self) -> str:
        """How many values, and whether some are missing."""
        kind = "levels" if self.ordered else "categories"
        count = len(self.values) + (len(self.rare) if self.rare is not None else 0)
        rare = f", {len(self.rare):,} of them rare" if self.rare else ""
        return f"{count:,} {kind}{rare}{_missing(self.missing)}"

    def facts(self) -> dict[str, Any]:
        """Values as Arrow bytes."""
        facts: dict[str, Any] = {"ordered": self.ordered, "missing": self.missing}
        facts["values"] = self.values
        if self.rare is not None:
            facts["rare"], facts["rare_counts"] = self.rare, list(self.rare_counts)
        return facts


@dataclass(frozen=True)
class Text(Column):
    """Free text, of which nothing is learned: decoded as one of ``values``, or not at all."""

    sort: ClassVar[str] = "text"
    values: pa.Array
    """Texts to draw from; empty to leave them out."""
    missing: bool

    def fields(self) -> dict[str, Field]:
        """Whether it is missing, where some are."""
        from gmkit.fields import Categorical

        return {self.prefix: Categorical(size=2)} if self.missing else {}

    def encode(self, column: pa.Array) -> Arrays:
        """1 where missing."""
        null = numpy_array(self.checked(column).is_null())
        return {self.prefix: null.astype(np.int32)} if self.missing else {}

    def decode(self, arrays: Mapping[str, NDArray[Any]], entropy: Entropy) -> pa.Array:
        """One of the data's texts."""
        count = len(entropy)
        mask = arrays[self.prefix] == 1 if self.missing else np.zeros(count, bool)
        if not len(self.values):
            kind = plain_type(self.kind)
            blank = pa.nulls(count, kind) if self.missing else pa.array([""] * count).cast(kind)
            return self.typed(blank)
        rows = (entropy % np.uint64(len(self.values))).astype(np.int64)
        return self.typed(self.values.take(pa.array(rows, mask=mask)))

    def describe(self) -> str:
        """What becomes of it."""
        what = "drawn from the data's" if len(self.values) else "left out"
        return f"free text, {what}{_missing(self.missing)}"

    def facts(self) -> dict[str, Any]:
        """Values as Arrow bytes."""
        return {"values": self.values, "missing": self.missing}


_WHOLE = 1 << 62


@dataclass(frozen=True)
class Template:
    """The shape of some identifiers: the characters seen at each place."""

    places: tuple[str, ...]
    count: int = 1

    @property
    def capacity(self) -> int:
        """How many different texts it can make."""
        total = 1
        for place in self.places:
            total *= len(place)
        return total

    def texts(self, numbers: NDArray[Any]) -> list[str]:
        """The text of each number (N,), of whatever size, a different one for each below the
        capacity: its digits, each in the base of its place."""
        digits = np.empty((len(numbers), len(self.places)), np.uint32)
        base, begin = 1, len(self.places)
        for at in reversed(range(len(self.places))):
            base *= len(self.places[at])
            if at and base * len(self.places[at - 1]) < _WHOLE:
                continue
            rest = (numbers % base).astype(np.int64)  # so many places as an int64 holds at once
            numbers = numbers // base
            for place in reversed(range(at, begin)):
                letters = np.array([ord(letter) for letter in self.places[place]], np.uint32)
                rest, digit = np.divmod(rest, len(letters))
                digits[:, place] = letters[digit]
            base, begin = 1, at
        width = 4 * len(self.places)
        whole = digits.tobytes().decode("utf-32-le", "surrogatepass") if width else ""
        step = len(self.places)
        return [whole[n * step : (n + 1) * step] for n in range(len(digits))]


@dataclass(frozen=True)
class Identifier(Column):
    """Unique values. Whole numbers go on after the last; texts follow the data's patterns."""

    sort: ClassVar[str] = "identifier"
    last: int = 0
    templates: tuple[Template, ...] = field(default=())

    def fields(self) -> dict[str, Field]:
        """None."""
        return {}

    def encode(self, column: pa.Array) -> Arrays:
        """Nothing."""
        return {}

    def decode(self, arrays: Mapping[str, NDArray[Any]], entropy: Entropy) -> pa.Array:
        """Different from each other within these rows."""
        return self.numbered(np.arange(1, len(entropy) + 1, dtype=np.int64), entropy)

    def numbered(self, numbers: NDArray[np.int64], entropy: Entropy) -> pa.Array:
        """The identifiers of row ``numbers``, counted from 1, no two alike: where the pattern
        has no more room, with a further number behind it."""
        if not self.templates:
            valid = np.ones(len(numbers), bool)
            room = np.iinfo(np.int64).max - self.last
            whole = np.where(numbers <= room, self.last + np.minimum(numbers, room), numbers)
            return self.typed(from_numbers(whole, valid, plain_type(self.kind)))
        template = max(self.templates, key=lambda t: (t.count, t.places))
        capacity, stride = template.capacity, _stride(template.capacity)
        # beyond what an int64 holds, Python's own whole numbers
        kind = np.int64 if capacity * capacity < _WHOLE else object
        counted = numbers.astype(kind) - 1  # objects know no divmod
        rounds = counted // capacity
        texts = template.texts(counted % capacity * stride % capacity)
        if rounds.any():
            ends = [str(more) if more else "" for more in rounds.tolist()]
            texts = [text + end for text, end in zip(texts, ends, strict=True)]
        return self.typed(pa.array(texts, plain_type(self.kind)))

    def describe(self) -> str:
        """What becomes of it."""
        if not self.templates:
            return "identifier, new ones count on"
        return "identifier, new ones by pattern"

    def facts(self) -> dict[str, Any]:
        """Last number or templates."""
        places = [[list(t.places), t.count] for t in self.templates]
        return {"last": self.last, "templates": places}


def _stride(capacity: int) -> int:
    """A step that visits every number below ``capacity``, in no order that shows."""
    import math

    stride = int(capacity * 0.6180339887498949) | 1
    while math.gcd(stride, capacity) > 1:
        stride += 2
    return max(stride, 1)


def shown(value: Any) -> str:
    """A value in a message."""
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"


def _missing(some: bool) -> str:
    return ", some missing" if some else ""
