"""A field: a kind of value with a shape, and the verbs that models use on it.

Families never look inside a value. They ask its field to ``embed`` it for a network, for its
``nll`` under a network's parameters, to ``sample`` it, to ``relax`` it for a critic, and to
``corrupt`` and restore it by diffusion. A new kind of value (angle, count, rotation) is one
subclass with these verbs, and then every family can model it.

Shapes: a value of a field is a tensor (B, *shape); a network answers with parameters
(B, *shape, param_dim) and reads embeddings (B, *shape, embed_dim).
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, get_args

import torch
from torch import Tensor

from gmkit.errors import ArtifactError, DataError
from gmkit.fields.process import Process

Layout = Literal["flat", "sequence", "grid1d", "grid2d", "graph"]
LAYOUTS: tuple[str, ...] = get_args(Layout)
Before = tuple[Tensor, Tensor]
"""The clean estimate of the step before, and its times (B,)."""
_RANK = {"sequence": 1, "grid1d": 2, "grid2d": 3}
"""Dimensions of ``shape`` a layout demands: (length,), (channels, time), (channels, h, w)."""


@dataclass(frozen=True, kw_only=True)
class Field(ABC):
    """What a value is: its ``shape`` without the batch, and which elements are neighbours."""

    kind: ClassVar[str]
    continuous: ClassVar[bool] = False
    """Whether values lie in a continuum, in which a probability flow can move."""
    shape: tuple[int, ...] = ()
    layout: Layout = "flat"

    def __post_init__(self) -> None:
        """Raises ValueError for a shape that the layout cannot have, TypeError for one that
        does not hold integers."""
        object.__setattr__(self, "shape", tuple(operator.index(size) for size in self.shape))
        if self.layout not in LAYOUTS:
            raise ValueError(f"layout {self.layout!r} is none of {', '.join(LAYOUTS)}")
        if any(size < 1 for size in self.shape):
            raise ValueError(f"shape {self.shape} has a size below 1")
        rank = _RANK.get(self.layout)
        if rank is not None and len(self.shape) != rank:
            raise ValueError(f"layout {self.layout!r} needs {rank} dimensions, not {self.shape}")

    # ------------------------------------------------------------ what networks see

    @property
    @abstractmethod
    def embed_dim(self) -> int:
        """Channels per element of ``embed``."""

    @property
    @abstractmethod
    def param_dim(self) -> int:
        """Distribution parameters per element that a network gives."""

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """Type of a value."""

    @abstractmethod
    def check(self, value: Tensor) -> None:
        """Raise DataError when ``value`` has the wrong type, shape or range."""

    @abstractmethod
    def embed(self, value: Tensor) -> Tensor:
        """(B, *shape) → (B, *shape, embed_dim), of about unit scale, differentiable where the
        kind of value allows; also takes what ``corrupt`` and ``prior`` return."""

    def observed(self, value: Tensor) -> Tensor | None:
        """Mask (B, *shape) of elements that carry information; None when all do."""
        return None

    def hide(self, value: Tensor, mask: Tensor) -> Tensor:
        """``value`` with the elements of ``mask`` (B, *shape) made unknown: embedded as zeros."""
        return value.masked_fill(mask, 0)

    # ------------------------------------------------------------ likelihood (VAE, scores)

    @abstractmethod
    def nll(self, params: Tensor, value: Tensor) -> Tensor:
        """− log p(value | params) per element in nats, (B, *shape); 0 where not observed."""

    @abstractmethod
    def sample(self, params: Tensor, rng: torch.Generator, temperature: float = 1.0) -> Tensor:
        """Draw a value; ``temperature`` 0 gives the mode."""

    def narrow(self, params: Tensor, top_p: float, temperature: float = 1.0) -> Tensor:
        """``params`` without what is unlikely, where values are counted: only the fewest classes
        that together have the probability ``top_p`` remain."""
        return params

    # ------------------------------------------------------------ adversarial (GAN)

    @abstractmethod
    def relax(self, params: Tensor, rng: torch.Generator, temperature: float = 1.0) -> Tensor:
        """A differentiable draw in embedded space, (B, *shape, embed_dim)."""

    @abstractmethod
    def settle(self, embedded: Tensor) -> Tensor:
        """The value that a relaxed draw stands for."""

    def full(self, value: Tensor) -> Tensor:
        """``value`` at its whole shape, where a batch had it trimmed."""
        return value

    # ------------------------------------------------------------ diffusion

    @abstractmethod
    def prior(self, n: int, rng: torch.Generator, process: Process) -> Tensor:
        """``n`` fully noised values, as ``corrupt`` gives at t = 1."""

    def begin(self, noisy: Tensor, given: Tensor, known: Tensor) -> Tensor:
        """``noisy``, from the prior, made ready to take in what is ``known`` of ``given``."""
        return noisy

    @abstractmethod
    def corrupt(self, value: Tensor, t: Tensor, rng: torch.Generator, process: Process) -> Tensor:
        """Noised value at times ``t`` ∈ [0, 1], shape (B,): 0 is clean, 1 is pure noise."""

    @abstractmethod
    def denoise_loss(
        self, params: Tensor, value: Tensor, noisy: Tensor, t: Tensor, process: Process
    ) -> Tensor:
        """Training loss per element, (B, *shape), of a network that saw ``noisy`` and ``t``."""

    @abstractmethod
    def clean(self, params: Tensor, noisy: Tensor, t: Tensor, process: Process) -> Tensor:
        """A network's answer read as an estimate of the clean value, the same for every objective;
        what the verbs below take."""

    @abstractmethod
    def reverse_step(
        self,
        clean: Tensor,
        noisy: Tensor,
        t: Tensor,
        s: Tensor,
        rng: torch.Generator,
        process: Process,
        before: Before | None = None,
        after: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """A value at the earlier times ``s`` < ``t``, both (B,), given the estimate at ``t``; at
        s = 0 a clean value. Samplers of second order also use the estimate and time of the step
        ``before``, or the estimate ``after`` at a proposed value at ``s``, and that value."""

    def slope(self, clean: Tensor, noisy: Tensor, t: Tensor, process: Process) -> Tensor:
        """dx/dt of the probability flow; only of ``continuous`` fields."""
        raise NotImplementedError

    @abstractmethod
    def bound(
        self, params: Tensor, value: Tensor, noisy: Tensor, t: Tensor, process: Process
    ) -> Tensor:
        """Per element, (B, *shape): what integrates over t from 0 to 1 to the bound of
        − log p(value) in nats, but for ``bound_ends``."""

    @property
    def log_snr_first(self) -> float:
        """λ at which the bound of a continuous value may begin."""
        return 0.0

    def bound_ends(self, value: Tensor, rng: torch.Generator, process: Process) -> Tensor:
        """What the two ends of the process add to that bound, per record (B,)."""
        return torch.zeros(len(value), device=value.device)

    # ------------------------------------------------------------ storage

    def to_json(self) -> dict[str, Any]:
        """JSON-able description; ``Space.from_json`` restores it."""
        return {"kind": self.kind, "shape": list(self.shape), "layout": self.layout}

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Self:
        """The inverse of ``to_json``. Raises ArtifactError on facts that make no field."""
        arguments = {key: value for key, value in facts.items() if key != "kind"}
        try:
            return cls(**arguments)
        except (TypeError, ValueError) as error:
            raise ArtifactError(f"not a {cls.kind} field: {error}") from error

    def _check_shape(self, value: Tensor) -> None:
        if value.dim() == 0:
            raise DataError("a single number, expected a row for each record")
        if tuple(value.shape[1:]) != self.shape:
            raise DataError(f"a value of shape {tuple(value.shape[1:])}, expected {self.shape}")


def expand(t: Tensor, like: Tensor) -> Tensor:
    """(B,) → (B, 1, …) with as many dimensions as ``like``, so that it multiplies per record."""
    return t.reshape(t.shape[0], *([1] * (like.dim() - 1)))
