"""Columns of many different numbers, dates or times ⇄ fields.

The values that occur in more than a hundredth of the rows and far oftener than others, missing
ones, NaN and infinities are classes of their own. The rest is known by its empirical distribution
F, piecewise linear through values of the data (Φ is the normal distribution's):

    bins   class: the b-th of B equally frequent bins;   within: Φ⁻¹(B F(x) − b)
    real   value: Φ⁻¹(F(x)), beside a class where there are any: 0 for a plain value

Both ways back end at F⁻¹, so nothing leaves the range of the data, and all falls on its grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmkit.codecs.tables.columns import Arrays, Column, Entropy
from gmkit.codecs.tables.numbers import Grid, Values, from_numbers, plain_type, to_numbers
from gmkit.errors import DataError

if TYPE_CHECKING:
    from gmkit.fields import Field

FARTHEST = 6.0
"""Standard deviations at which a place in the distribution ends."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Number(Column):
    """``knots``: distinct values (M,) as working numbers, ascending; ``places``: F at them.

    ``atoms``: working numbers, ascending. ``special``: those of ``missing``, ``nan``, ``inf`` and
    ``-inf`` that occur, in this order. ``bins``: 0 for one real value. ``snap``: only knots are
    values.
    """

    sort: ClassVar[str] = "number"
    grid: Grid
    knots: Floats
    places: Floats
    atoms: Floats
    special: tuple[str, ...]
    bins: int
    snap: bool

    # ------------------------------------------------------------ classes

    @property
    def plain(self) -> int:
        """Classes that hold plain values."""
        return (self.bins or 1) if len(self.knots) else 0

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        """Class → number among bins, then atoms: with bins, classes are in the order of their
        middles, so that networks and trees see what is near what."""
        if not self.bins or not len(self.knots):
            return np.arange(self.plain + len(self.atoms))
        middles = self._inverse((np.arange(self.bins) + 0.5) / self.bins)
        return np.argsort(np.concatenate([middles, self.atoms]), kind="stable")

    @cached_property
    def _rank(self) -> NDArray[np.int64]:
        """The inverse of ``_order``."""
        return np.argsort(self._order)

    @property
    def size(self) -> int:
        """Classes in all."""
        return self.plain + len(self.atoms) + len(self.special)

    @property
    def _class_field(self) -> str:
        return self.prefix if self.bins else f"{self.prefix}.kind"

    @property
    def _real_field(self) -> str:
        return f"{self.prefix}.within" if self.bins else self.prefix

    def fields(self) -> dict[str, Field]:
        """The class, where there are several, and the real part."""
        from gmkit.fields import Categorical, Real

        found: dict[str, Field] = {}
        if self.bins or self.size > 1:
            ordered = bool(self.bins) and not self.special
            found[self._class_field] = Categorical(size=self.size, ordered=ordered)
        if len(self.knots):
            found[self._real_field] = Real()
        return found

    # ------------------------------------------------------------ values

    def encode(self, column: pa.Array) -> Arrays:
        """Class and real part. Raises DataError for a missing or infinite value where the data
        had none."""
        values, valid = to_numbers(self.checked(column))
        numbers, codes = self._classes(values, valid)
        rest = codes < 0
        arrays: Arrays = {}
        place = np.full(len(codes), 0.5)
        if len(self.knots):
            whole = ~np.isin(codes, self._specials())
            place[whole] = np.interp(numbers[whole], self.knots, self.places)
            if self.bins:
                bin_ = np.clip((place * self.bins).astype(np.int64), 0, self.bins - 1)
                codes[rest] = self._rank[bin_[rest]]
                place = np.where(rest, place * self.bins - bin_, 0.5)
            arrays[self._real_field] = _quantile(place).astype(np.float32)
        if not self.bins or not len(self.knots):
            codes[rest] = 0
        if self._class_field in self.fields():
            arrays[self._class_field] = codes.astype(np.int32)
        return {name: arrays[name] for name in self.fields()}

    def _classes(self, values: Values, valid: NDArray[np.bool_]) -> tuple[Floats, NDArray[Any]]:
        """Working numbers, and classes of atoms and specials; −1 for plain values."""
        codes = np.full(len(values), -1, np.int64)
        finite = valid & np.isfinite(values)
        numbers = np.zeros(len(values))
        numbers[finite] = self.grid.to_floats(values[finite])
        if len(self.atoms):
            at = np.clip(np.searchsorted(self.atoms, numbers), 0, len(self.atoms) - 1)
            hit = finite & (self.atoms[at] == numbers)
            codes[hit] = self._rank[self.plain + at[hit]]
        for row in np.flatnonzero(~finite).tolist() if not self.special else ():
            raise DataError(
                f"{self._odd(values, valid, row)} where none was", row=row, column=self.name
            )
        if self.special:
            odd = np.flatnonzero(~finite)
            names = np.array([self._odd(values, valid, row) for row in odd.tolist()], dtype=object)
            for number, name in enumerate(self.special):
                codes[odd[names == name]] = self.plain + len(self.atoms) + number
            lost = odd[codes[odd] < 0]
            if len(lost):
                row = int(lost[0])
                raise DataError(
                    f"{self._odd(values, valid, row)} where none was", row=row, column=self.name
                )
        if not len(self.knots) and (codes < 0).any():
            row = int(np.argmin(codes))
            raise DataError("a value that was not seen in the data", row=row, column=self.name)
        return numbers, codes

    @staticmethod
    def _odd(values: Values, valid: NDArray[np.bool_], row: int) -> str:
        return str(float(values[row])) if valid[row] else "missing"

    def _specials(self) -> NDArray[np.int64]:
        return np.arange(self.size - len(self.special), self.size)

    def decode(self, arrays: Mapping[str, NDArray[Any]], entropy: Entropy) -> pa.Array:
        """Values of the column's type."""
        count = len(entropy)
        codes = np.zeros(count, np.int64)
        if self._class_field in arrays:
            codes = np.clip(arrays[self._class_field].astype(np.int64), 0, self.size - 1)
        common = self.plain + len(self.atoms)
        number = self._order[np.minimum(codes, common - 1)] if common else codes
        numbers = np.zeros(count)
        if len(self.knots):
            place = _normal(arrays[self._real_field].astype(np.float64))
            if self.bins:
                place = (np.minimum(number, self.bins - 1) + place) / self.bins
            numbers = self._inverse(place)
        if len(self.atoms):
            atom = np.clip(number - self.plain, 0, len(self.atoms) - 1)
            numbers = np.where(number >= self.plain, self.atoms[atom], numbers)
        values = self.grid.from_floats(numbers)
        valid = np.ones(count, bool)
        for place_, name in enumerate(self.special):
            here = codes == common + place_
            if name == "missing":
                valid &= ~here
            else:
                values = np.where(here, float(name), values)
        return self.typed(from_numbers(values, valid, plain_type(self.kind)))

    def _inverse(self, place: Floats) -> Floats:
        """F⁻¹, (N,)."""
        if not self.snap:
            return np.asarray(np.interp(place, self.places, self.knots))
        edges = (self.places[1:] + self.places[:-1]) / 2
        return np.asarray(self.knots[np.searchsorted(edges, place)])

    # ------------------------------------------------------------ words and storage

    def describe(self) -> str:
        """Range, rounding and what is apart."""
        low, high = self._bounds()
        atoms = f", {len(self.atoms)} repeated value(s)" if len(self.atoms) else ""
        special = "".join(f", some {name}" for name in self.special)
        return f"number, {low} to {high}{atoms}{special}"

    def _bounds(self) -> tuple[str, str]:
        numbers = np.concatenate([self.knots, self.atoms])
        ends = np.array([numbers.min(), numbers.max()])
        column = from_numbers(self.grid.from_floats(ends), np.ones(2, bool), plain_type(self.kind))
        try:
            low, high = column.to_pylist()
        except (ValueError, OverflowError):  # a date that Python cannot hold
            low, high = (str(value) for value in column)
        if isinstance(low, float):
            return f"{low:.6g}", f"{high:.6g}"
        return str(low), str(high)

    def facts(self) -> dict[str, Any]:
        """All but the arrays."""
        grid = vars(self.grid)
        return {"grid": grid, "special": list(self.special), "bins": self.bins, "snap": self.snap}

    def tensors(self) -> Arrays:
        """Knots, places, atoms."""
        return {"knots": self.knots, "places": self.places, "atoms": self.atoms}


def _quantile(place: Floats) -> Floats:
    """Φ⁻¹, within ±``FARTHEST``."""
    import torch

    found = torch.special.ndtri(torch.from_numpy(np.clip(place, 0, 1)))
    return np.asarray(found.clamp(-FARTHEST, FARTHEST))


def _normal(value: Floats) -> Floats:
    """Φ, of NaN a half."""
    import torch

    known = np.nan_to_num(value, nan=0.0, posinf=FARTHEST, neginf=-FARTHEST)
    return np.asarray(torch.special.ndtr(torch.from_numpy(known)))
