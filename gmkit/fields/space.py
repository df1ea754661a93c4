"""A Space: named fields in order, and the fields a model may be conditioned on.

A Space maps every verb over its fields; families call these and nothing below them. That is
what lets one family serve tokens, pixels and mixed columns alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gmkit.codecs import Batch
from gmkit.errors import ArtifactError, DataError, did_you_mean
from gmkit.fields.categorical import Categorical
from gmkit.fields.field import Field, Layout
from gmkit.fields.process import Process

Params = dict[str, Tensor]
"""Field name → distribution parameters (B, *shape, param_dim)."""

FIELD_KINDS: dict[str, type[Field]] = {}
"""Kinds of third parties, filled by the registry when one is loaded."""


@dataclass(frozen=True)
class FieldScores:
    """Scores of records, per field and in total; higher means less likely."""

    fields: dict[str, Tensor]
    """Name → (B,); the parts, a model's own (such as ``latent``) included, sum to ``total``."""
    total: Tensor
    """(B,)"""


@dataclass(frozen=True)
class Space:
    """Ordered fields, and optionally the Space of conditions. Names are unique over both."""

    fields: Mapping[str, Field]
    condition: Space | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for no fields, or a name used twice."""
        if not self.fields:
            raise ValueError("a space needs at least one field")
        object.__setattr__(self, "fields", dict(self.fields))
        if self.condition is not None:
            if self.condition.condition is not None:
                raise ValueError("conditions cannot have conditions")
            twice = set(self.fields) & set(self.condition.fields)
            if twice:
                raise ValueError(f"fields and conditions share the names {sorted(twice)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Field names in order, without conditions."""
        return tuple(self.fields)

    @property
    def layout(self) -> Layout:
        """The layout of the most structured field: it decides the trunk."""
        order: tuple[Layout, ...] = ("graph", "grid2d", "grid1d", "sequence", "flat")
        present = {f.layout for f in self.fields.values()}
        return next(layout for layout in order if layout in present)

    @property
    def elements(self) -> int:
        """Elements of a record, summed over fields: what "per dimension" divides by."""
        return sum(torch.Size(f.shape).numel() for f in self.fields.values())

    def check(self, batch: Batch) -> None:
        """Raise DataError unless ``batch`` has every field, conditions too, each well-formed."""
        for name, kind in self._all().items():
            if name not in batch:
                raise DataError(f"no field {name!r}", hint=did_you_mean(name, batch))
            try:
                kind.check(batch[name])
            except DataError as error:
                raise DataError(error.reason, row=error.row, column=name) from error

    @property
    def bytes_per_record(self) -> int:
        """Memory of a record as tensors of each field's own type, conditions too."""
        return sum(torch.Size(f.shape).numel() * f.dtype.itemsize for f in self._all().values())

    def pick(self, batch: Batch, rows: Tensor | slice, device: torch.device | str) -> Batch:
        """Some records of compactly stored data, as each field's own type."""
        kinds = self._all()
        chosen = {name: batch[name][rows] for name in kinds if name in batch}
        return {
            name: value.to(device=device, dtype=kinds[name].dtype, non_blocking=True)
            for name, value in chosen.items()
        }

    def trim(self, batch: Batch) -> Batch:
        """Cut closed sequences to the longest of the batch, keeping one ``end``.

        Sequences share their positions, so they are cut alike, and not at all when one of them
        cannot end. Conditions stay whole: networks read them as one vector.
        """
        reach = self.reach(batch)
        if reach is None:
            return dict(batch)
        return self.cut(batch, int(reach.max()) if len(reach) else 1)

    def reach(self, batch: Batch) -> Tensor | None:
        """(N,) positions of each record up to its last ``end``; None where none can be cut."""
        reached = []
        for name, kind in self.fields.items():
            if kind.layout == "sequence" and name in batch:
                if not isinstance(kind, Categorical) or kind.end is None:
                    return None
                reached.append(kind.length_of(batch[name]) + 1)
        return torch.stack(reached).amax(0) if reached else None

    def cut(self, batch: Batch, length: int) -> Batch:
        """The first ``length`` positions of the sequences."""
        sequences = {name for name, kind in self.fields.items() if kind.layout == "sequence"}
        return {n: value[:, :length] if n in sequences else value for n, value in batch.items()}

    def lengths(self, batch: Batch) -> Tensor | None:
        """(N,) elements before the end, summed over sequences; None when all are alike."""
        closed = [
            f.length_of(batch[name])
            for name, f in self.fields.items()
            if isinstance(f, Categorical) and f.end is not None
        ]
        return torch.stack(closed).sum(0) if closed else None

    # ------------------------------------------------------------ the verbs, over fields

    def embed(self, batch: Batch) -> dict[str, Tensor]:
        """Name → (B, *shape, embed_dim)."""
        return {name: f.embed(batch[name]) for name, f in self.fields.items()}

    def observed(self, batch: Batch) -> dict[str, Tensor | None]:
        """Name → mask (B, *shape), None where all elements carry information."""
        return {name: f.observed(batch[name]) for name, f in self.fields.items()}

    def hide(self, batch: Batch, share: float, rng: torch.Generator) -> Batch:
        """``batch`` with a random ``share`` of every field's elements made unknown."""

        def hidden(name: str, f: Field) -> Tensor:
            chance = torch.rand(batch[name].shape, generator=rng, device=rng.device)
            return f.hide(batch[name], chance.to(batch[name].device) < share)

        return {**batch, **self._map(hidden)}

    def nll(self, params: Params, batch: Batch) -> dict[str, Tensor]:
        """Name → − log p in nats per record, (B,)."""
        return {
            name: _per_record(f.nll(params[name], batch[name])) for name, f in self.fields.items()
        }

    def sample(self, params: Params, rng: torch.Generator, temperature: float = 1.0) -> Batch:
        """A draw of every field."""
        return self._map(lambda name, f: f.sample(params[name], rng, temperature))

    def narrow(self, params: Params, top_p: float, temperature: float = 1.0) -> Params:
        """Parameters without what is unlikely."""
        return self._map(lambda name, f: f.narrow(params[name], top_p, temperature))

    def relax(
        self, params: Params, rng: torch.Generator, temperature: float = 1.0
    ) -> dict[str, Tensor]:
        """A differentiable draw in embedded space."""
        return self._map(lambda name, f: f.relax(params[name], rng, temperature))

    def settle(self, embedded: Mapping[str, Tensor]) -> Batch:
        """Records that relaxed draws stand for."""
        return self._map(lambda name, f: f.settle(embedded[name]))

    def full(self, batch: Batch) -> Batch:
        """Records at their whole length, conditions untouched."""
        return {**batch, **self._map(lambda name, f: f.full(batch[name]))}

    @property
    def continuous(self) -> bool:
        """Whether all fields are."""
        return all(f.continuous for f in self.fields.values())

    @property
    def log_snr_first(self) -> float:
        """λ at which the bound begins: the highest that a field asks for."""
        return max(f.log_snr_first for f in self.fields.values())

    def prior(self, n: int, rng: torch.Generator, process: Process) -> Batch:
        """``n`` fully noised records."""
        return self._map(lambda name, f: f.prior(n, rng, process))

    def begin(self, noisy: Batch, given: Batch, known: Mapping[str, Tensor]) -> Batch:
        """Noise made ready to take in what is ``known`` of ``given``."""
        return self._map(
            lambda name, f: (
                f.begin(noisy[name], given[name], known[name]) if name in known else noisy[name]
            )
        )

    def corrupt(self, batch: Batch, t: Tensor, rng: torch.Generator, process: Process) -> Batch:
        """Records noised to times ``t``, (B,)."""
        return self._map(lambda name, f: f.corrupt(batch[name], t, rng, process))

    def denoise_loss(
        self, params: Params, batch: Batch, noisy: Batch, t: Tensor, process: Process
    ) -> dict[str, Tensor]:
        """Name → denoising loss per record, (B,)."""
        return self._map(
            lambda name, f: _per_record(
                f.denoise_loss(params[name], batch[name], noisy[name], t, process)
            )
        )

    def clean(self, params: Params, noisy: Batch, t: Tensor, process: Process) -> Params:
        """Answers as estimates of the clean records."""
        return self._map(lambda name, f: f.clean(params[name], noisy[name], t, process))

    def reverse_step(
        self,
        clean: Params,
        noisy: Batch,
        t: Tensor,
        s: Tensor,
        rng: torch.Generator,
        process: Process,
        before: tuple[Params, Tensor] | None = None,
        after: tuple[Params, Batch] | None = None,
    ) -> Batch:
        """Records one step less noisy."""
        return self._map(
            lambda name, f: f.reverse_step(
                clean[name],
                noisy[name],
                t,
                s,
                rng,
                process,
                None if before is None else (before[0][name], before[1]),
                None if after is None else (after[0][name], after[1][name]),
            )
        )

    def slope(self, clean: Params, noisy: Batch, t: Tensor, process: Process) -> Batch:
        """dx/dt of the probability flow; only where all fields are ``continuous``."""
        return self._map(lambda name, f: f.slope(clean[name], noisy[name], t, process))

    def bound(
        self, params: Params, batch: Batch, noisy: Batch, t: Tensor, process: Process
    ) -> dict[str, Tensor]:
        """Name → integrand of the bound per record, (B,)."""
        return self._map(
            lambda name, f: _per_record(f.bound(params[name], batch[name], noisy[name], t, process))
        )

    def bound_ends(self, batch: Batch, rng: torch.Generator, process: Process) -> dict[str, Tensor]:
        """Name → what the ends of the process add to the bound per record, (B,)."""
        return self._map(lambda name, f: f.bound_ends(batch[name], rng, process))

    # ------------------------------------------------------------ storage

    def to_json(self) -> dict[str, Any]:
        """JSON-able description, in order."""
        return {
            "fields": [[name, f.to_json()] for name, f in self.fields.items()],
            "condition": self.condition.to_json() if self.condition else None,
        }

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Space:
        """The inverse of ``to_json``. Raises ArtifactError on facts that make no space."""
        try:
            fields = {str(name): _field(described) for name, described in facts["fields"]}
            if len(fields) < len(facts["fields"]):
                raise ValueError("a field's name is used twice")
            condition = facts.get("condition")
            return cls(fields, cls.from_json(condition) if condition else None)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise ArtifactError(f"not a description of a space: {error!r}") from error

    def _all(self) -> dict[str, Field]:
        """Fields and conditions."""
        return {**self.fields, **(self.condition.fields if self.condition else {})}

    def _map(self, verb: Callable[[str, Field], Tensor]) -> dict[str, Tensor]:
        return {name: verb(name, f) for name, f in self.fields.items()}


def _per_record(value: Tensor) -> Tensor:
    """Sum over all but the first dimension."""
    return value.reshape(len(value), -1).sum(1)


def _field(facts: Mapping[str, Any]) -> Field:
    """A field of any registered kind."""
    kind = str(facts["kind"])
    if kind not in FIELD_KINDS:
        from gmkit.plugins import registry

        known = registry()
        FIELD_KINDS[kind] = known.load(known.get("field", kind))
    return FIELD_KINDS[kind].from_json(dict(facts))
