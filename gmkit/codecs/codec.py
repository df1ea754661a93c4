"""The codec contract: Arrow records → fields → Arrow records.

The way of one batch (DESIGN.md §2)::

    RecordBatch ─ prepare ─► RecordBatch + rejects ─ encode ─► Batch ─► family
    RecordBatch ◄──────────────────────────────────── decode ◄─ Batch ◄─ family

``prepare`` is pure, per record and learned from nothing, so it runs in worker processes and its
result is cached by data fingerprint; everything learned from data happens in ``fit``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from gmkit.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import torch
    from pydantic import BaseModel

    from gmkit.codecs.conditions import Conditions
    from gmkit.fields import Space

    Batch = dict[str, torch.Tensor]
    """Field name → tensor whose first dimension counts records."""
else:
    Batch = dict


class Reject(NamedTuple):
    """A record that cannot be used, and why. Written to the reject file as one row."""

    row: int
    """Row in the source, counted from 0."""
    column: str
    value: str
    reason: str


class Prepared(NamedTuple):
    """What ``Codec.prepare`` makes of one RecordBatch."""

    records: pa.RecordBatch
    """The usable records, normalised, possibly with further columns the codec wants cached."""
    rejects: list[Reject]


@dataclass(frozen=True)
class CodecState:
    """All that a fitted codec knows: JSON-able facts and named tensors. Never pickled."""

    facts: dict[str, Any]
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)


class Codec(ABC):
    """Turns records into a Batch and back. ``Config`` holds its ``codec.*`` options."""

    Config: ClassVar[type[BaseModel]]
    splits: ClassVar[bool] = False
    """Whether ``prepare`` may make several records of one, as windows of a document: then
    ``encode`` of raw records gives a row for each of these."""

    varies: ClassVar[bool] = False
    """Whether a record can be written in several ways, see ``vary``."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """``config``: values for ``Config``; pydantic's ValidationError on a wrong one."""
        self.config: Any = self.Config.model_validate(dict(config))

    def prepare(self, records: pa.RecordBatch, first_row: int = 0) -> Prepared:
        """Normalise records and set aside the unusable; keeps order; picklable and pure; what is
        prepared already stays as it is.

        ``first_row``: the source row of the batch's first record, for the rejects.
        """
        return Prepared(records, [])

    @abstractmethod
    def fit(self, batches: Iterable[pa.RecordBatch]) -> Self:
        """Learn from prepared records and return self. Order and batching do not matter."""

    @abstractmethod
    def merge(self, other: Self) -> Self:
        """A codec as if fitted on both parts: fit(a).merge(fit(b)) equals fit(a + b).

        Needs what ``fit`` gathered; a codec restored from its state raises ConfigError.
        """

    def vary(self, records: pa.RecordBatch, rng: np.random.Generator) -> pa.RecordBatch:
        """The same prepared records written another way, drawn at random: as many, for ``encode``.
        One that cannot be stays as it is. Only where ``varies``."""
        return records

    @property
    def conditions(self) -> Conditions:
        """What its records are conditioned on; none by default.

        A codec that has any is composed of them (see ``gmkit.codecs.conditions``): they are made
        of its option ``condition``, its space is joined with theirs, ``encode`` gives their
        tensors too, and ``decode`` their columns where the batch has them.
        """
        from gmkit.codecs.conditions import Conditions

        return Conditions()

    def notes(self) -> list[str]:
        """What a user should know of how the data was read, a sentence each; after ``fit``."""
        return []

    @property
    @abstractmethod
    def space(self) -> Space:
        """The fields that ``encode`` makes. Only after ``fit`` or ``from_state``."""

    @abstractmethod
    def encode(self, records: pa.RecordBatch) -> Batch:
        """Tensors for records (prepared or raw), one row each, independent of their neighbours.

        Raises DataError with row and column for a record that does not fit the space.
        """

    @abstractmethod
    def decode(self, batch: Batch) -> pa.RecordBatch:
        """Records for tensors. Never raises on anything of the space's shapes and ranges."""

    def partial(self, text: str, *, gaps: bool = False) -> tuple[Batch, Batch]:
        """A record of which only a part is known, written as a person would: tensors of one row
        without conditions, and for each field a mask of its elements that are known.

        ``text`` is how the record begins; with ``gaps`` it is a whole record in which each run of
        two underscores or more is unknown. Raises ConfigError for what cannot be a part.
        """
        raise ConfigError(
            "records of this kind cannot be begun by a prompt",
            hint="Leave out --prompt and --infill.",
        )

    @abstractmethod
    def state(self) -> CodecState:
        """What ``from_state`` needs to make an equal codec."""

    @classmethod
    @abstractmethod
    def from_state(cls, state: CodecState) -> Self:
        """The inverse of ``state``. Raises ArtifactError on a state that makes no sense."""
