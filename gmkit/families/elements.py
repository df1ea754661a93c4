"""Records as rows of single elements: what families see that take one element after another.

The elements of all fields stand side by side, classes as numbers. ``Elementwise`` is the base
of families that learn such a matrix in one step and complete rows of it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gmkit.codecs import Batch
from gmkit.errors import ArtifactError, ConfigError
from gmkit.families.family import Family, FamilyConfig, Step
from gmkit.fields import Categorical, Field, Space
from gmkit.trunks import TrunkConfig

Matrix = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Variable:
    """One element of a field. ``kind``: ``class`` (no order), ``ordered`` or ``real``; ``size``:
    classes."""

    field: str
    element: int
    kind: Literal["class", "ordered", "real"]
    size: int = 0


def variables(fields: Mapping[str, Field], names: Iterable[str] = ()) -> list[Variable]:
    """The elements of the fields, those of ``names`` first."""
    order = dict.fromkeys([*names, *fields])
    return [variable for name in order for variable in _of_field(name, fields[name])]


def _of_field(name: str, field: Field) -> list[Variable]:
    count = torch.Size(field.shape).numel()
    if isinstance(field, Categorical):
        kind: Literal["class", "ordered"] = "ordered" if field.ordered else "class"
        return [Variable(name, i, kind, field.size) for i in range(count)]
    return [Variable(name, i, "real") for i in range(count)]


def element(value: Tensor, variable: Variable) -> Tensor:
    """One element of every record, (B,); of a shortened sequence that it does not reach, the
    last: its end."""
    flat = value.reshape(len(value), -1)
    return flat[:, min(variable.element, flat.shape[1] - 1)]


def as_batch(space: Space, found: Sequence[Variable], values: Sequence[Tensor]) -> Batch:
    """Values (B,) of the elements as values of the space's fields."""
    parts: dict[str, dict[int, Tensor]] = {}
    for variable, value in zip(found, values, strict=True):
        parts.setdefault(variable.field, {})[variable.element] = value
    batch: Batch = {}
    for name, field in space.fields.items():
        stacked = torch.stack([value for _, value in sorted(parts[name].items())], 1)
        shaped = stacked.reshape(len(stacked), *field.shape).to(field.dtype)
        batch[name] = field.close(shaped) if isinstance(field, Categorical) else shaped
    return batch


def kept(drawn: Tensor, given: Tensor | None, mask: Tensor | None) -> Tensor:
    """``drawn`` with the known elements put back, which closing a sequence may have overwritten."""
    if given is None or mask is None:
        return drawn
    if drawn.shape == mask.shape:
        return torch.where(mask.to(drawn.device), given.to(drawn), drawn)
    copy = drawn.clone()
    part = copy[:, : mask.shape[1]]
    copy[:, : mask.shape[1]] = torch.where(mask.to(drawn.device), given.to(drawn), part)
    return copy


SETTLERS = 256
"""Classes that an element may have which settles another."""
_SELDOM = 64


def settled(
    column: NDArray[Any], others: Mapping[int, tuple[NDArray[np.int64], int]]
) -> tuple[int, float, NDArray[np.bool_]] | None:
    """Whether a real element (N,) has one value wherever a class element is of certain classes, and
    hardly elsewhere: as codecs write 0 where a number is missing, or a repeated one that is a
    class. ``others``: number → classes (N,), how many there are. Returns the number of the best,
    the value, and which classes (size,)."""
    values, counts = np.unique(column, return_counts=True)
    if len(values) < 2 or counts.max() * _SELDOM < len(column):
        return None
    value = values[counts.argmax()]
    here, least, found = column == value, len(column), None
    for number, (codes, size) in others.items():
        every = np.bincount(codes, minlength=size)
        always = (np.bincount(codes[here], minlength=size) == every) & (every > 0)
        rest = int((here & ~always[codes]).sum())
        if rest < least and rest * _SELDOM <= every[~always].sum():
            least, found = rest, (number, float(value), always)
    return found


class Elementwise(Family):
    """A family that learns all elements at once, in one step without gradients."""

    capabilities: ClassVar[frozenset[str]] = frozenset({"complete"})
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "training": {"ema": 0.0, "evaluate_every": 0}
    }
    most: ClassVar[int] = 16_384
    """Elements that a record may have."""
    parts: ClassVar[Mapping[str, torch.dtype]] = {}
    """Buffers that learning sizes."""

    def __init__(self, space: Space, config: FamilyConfig, trunk: TrunkConfig) -> None:
        """Raises ConfigError for records of too many elements."""
        super().__init__(space, config, trunk)
        given = space.condition.fields if space.condition else {}
        self.variables = [*variables(given), *variables(space.fields)]
        self.conditions = len(self.variables) - space.elements
        """Elements of conditions, which stand first."""
        if len(self.variables) > self.most:
            raise ConfigError(
                f"{type(self).__name__} learns records of up to {self.most:,} elements, and these "
                f"have {len(self.variables):,}",
                hint="Take --model vae or diffusion.",
            )
        self.values = nn.Parameter(torch.empty(0, 0), requires_grad=False)
        for name, kind in self.parts.items():
            self.register_buffer(name, torch.empty(0, dtype=kind))

    def player_parameters(self, player: str) -> list[nn.Parameter]:
        """None: no gradient moves it."""
        return []

    @property
    def learned(self) -> float:
        """All or nothing."""
        return float(self.values.numel() > 0)

    def make_room(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """For what the stored model holds."""
        if shapes.keys() != {"values", *self.parts}:
            raise ArtifactError(f"the stored model is no {type(self).__name__}")
        device = self.values.device
        self.values = nn.Parameter(torch.zeros(shapes["values"], device=device), False)
        for name, kind in self.parts.items():
            setattr(self, name, torch.zeros(shapes[name], dtype=kind, device=device))

    @torch.no_grad()
    def learn(self, data: Batch, step: Step) -> dict[str, Tensor]:
        """From all records at once."""
        matrix = self._matrix(data)
        if not len(matrix):
            raise ConfigError("there is no record to learn from")
        seed = int(torch.randint(2**31, (), generator=step.rng, device=step.rng.device))
        self.fit(matrix, np.random.default_rng(seed))
        some = {name: value[:256] for name, value in data.items()}
        return {"loss": self.losses(some, step)["loss"]}

    @torch.no_grad()
    def losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """About − log p in nats per record; for looking at, not for gradients."""
        return {"loss": torch.tensor(float(self.surprise(self._matrix(batch)).mean()))}

    @torch.no_grad()
    def sample(
        self, n: int, condition: Batch | None, rng: torch.Generator, temperature: float = 1.0
    ) -> Batch:
        """Records given their conditions."""
        return self._completed(n, condition or {}, {}, rng, temperature)

    @torch.no_grad()
    def complete(
        self,
        batch: Batch,
        known: Mapping[str, Tensor],
        rng: torch.Generator,
        temperature: float = 1.0,
    ) -> Batch:
        """Keeps what is known, the rest drawn given that."""
        rows = len(next(iter(batch.values())))
        drawn = self._completed(rows, batch, known, rng, temperature)
        return {n: kept(value, batch.get(n), known.get(n)) for n, value in drawn.items()}

    def _completed(
        self,
        rows: int,
        batch: Batch,
        known: Mapping[str, Tensor],
        rng: torch.Generator,
        temperature: float,
    ) -> Batch:
        values = np.zeros((rows, len(self.variables)), np.float32)
        mask = np.zeros(values.shape, bool)
        for place, variable in enumerate(self.variables):
            here = known.get(variable.field)
            if place < self.conditions:
                mask[:, place] = True
            elif here is not None:
                mask[:, place] = element(here, variable).cpu().numpy()
            if place < self.conditions or here is not None:
                values[:, place] = element(batch[variable.field], variable).cpu().float().numpy()
        seed = int(torch.randint(2**62, (), generator=rng, device=rng.device))
        draws = np.random.default_rng(seed)
        if self.learned:
            drawn = np.where(mask, values, self.draw(values, mask, draws, temperature))
        else:
            drawn = np.where(mask, values, self._unlearned(rows, draws))
        return self._as_batch(drawn)

    def _as_batch(self, rows: NDArray[Any]) -> Batch:
        """Rows (B, V) as values of the fields, without conditions."""
        device = self.values.device
        columns = torch.from_numpy(rows[:, self.conditions :].astype(np.float32)).to(device)
        return as_batch(self.space, self.variables[self.conditions :], columns.unbind(1))

    def _unlearned(self, rows: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Uniform classes, standard normal reals."""
        columns = [
            rng.normal(size=rows) if v.kind == "real" else rng.integers(v.size, size=rows)
            for v in self.variables
        ]
        return np.stack(columns, axis=1).astype(np.float64)

    def _matrix(self, batch: Batch) -> Matrix:
        columns = [element(batch[v.field], v).cpu().float().numpy() for v in self.variables]
        return np.stack(columns, axis=1)

    @abstractmethod
    def fit(self, matrix: Matrix, rng: np.random.Generator) -> None:
        """Learn rows (N, V) and fill ``values`` and ``parts``."""

    @abstractmethod
    def draw(
        self, values: Matrix, known: Mask, rng: np.random.Generator, temperature: float
    ) -> NDArray[Any]:
        """Rows (B, V) given the known ones of ``values``; what stands there is put back later."""

    @abstractmethod
    def surprise(self, matrix: Matrix) -> NDArray[np.float64]:
        """About − log p of rows, (B,); of a model that has not learned, that of uniform classes
        and standard normal reals (``plain_surprise``)."""


def plain_surprise(found: Sequence[Variable], matrix: Matrix) -> NDArray[np.float64]:
    """− log p of uniform classes and standard normal reals, (B,)."""
    total = np.zeros(len(matrix))
    for variable, column in zip(found, matrix.T, strict=True):
        if variable.kind == "real":
            total += 0.5 * column.astype(np.float64) ** 2 + 0.5 * np.log(2 * np.pi)
        else:
            total += np.log(variable.size)
    return total
