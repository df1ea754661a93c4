"""What a plugin imports: description records, the hook marker and the API version.

This module needs only the standard library and pluggy, so that a plugin can describe itself
without importing torch, numpy or any other heavy package. Every record names its implementation
by a ``loader`` string, ``"package.module:Name"``, which gmkit resolves only when it is used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pluggy

__all__ = [
    "API",
    "CommandInfo",
    "DataFile",
    "DatasetInfo",
    "DomainInfo",
    "FamilyInfo",
    "FieldInfo",
    "Info",
    "MetricInfo",
    "RecipeInfo",
    "ScorerInfo",
    "TrunkInfo",
    "hookimpl",
]

API: tuple[int, int] = (1, 0)
"""Version of the plugin interface. A plugin states the one it was written for as
``__gmkit_api__ = "1.0"``: the same major and a minor no greater than ours will load."""

hookimpl = pluggy.HookimplMarker("gmkit")

_NAME = re.compile(r"[a-z0-9]+([-_][a-z0-9]+)*")
_LOADER = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
SUMMARY_LENGTH = 72


@dataclass(frozen=True, kw_only=True)
class Info:
    """A named thing that a plugin offers. Raises ValueError when it is ill-formed."""

    name: str
    """Lower case, words joined by hyphens: ``"time-series"``."""
    summary: str = ""
    """One line, at most 72 characters, for tables and ``--help``."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"name {self.name!r} is not lower-case words joined by hyphens")
        if len(self.summary) > SUMMARY_LENGTH:
            raise ValueError(f"summary of {self.name!r} is over {SUMMARY_LENGTH} characters")
        loader = getattr(self, "loader", None)
        if loader is not None and not _LOADER.fullmatch(loader):
            raise ValueError(f"loader {loader!r} of {self.name!r} is not 'package.module:Name'")


@dataclass(frozen=True, kw_only=True)
class DomainInfo(Info):
    """A kind of data: how its records become fields, and how good samples are recognised."""

    loader: str
    """A subclass of ``gmkit.domain.Domain``."""
    extensions: tuple[str, ...] = ()
    """File name endings that belong to this domain beyond the core's tables: ``(".smi",)``."""
    requires: tuple[str, ...] = ()
    """Import names that must be present, for ``gmkit doctor``: ``("rdkit",)``."""
    model: str = ""
    """The family that is trained where none is named; empty: the core's usual one."""
    commands: tuple[str, ...] = ()
    """What to type with a trained run, ``{run}`` standing for its folder, where that is not to
    draw from it: ``("gmkit detect-anomalies NEW.parquet --run {run}",)``."""


@dataclass(frozen=True, kw_only=True)
class FamilyInfo(Info):
    """A family of generative models."""

    loader: str
    """A subclass of ``gmkit.families.family.Family``."""
    capabilities: frozenset[str] = frozenset()
    """What it can do beyond ``sample``: any of log_prob, reconstruct, encode, complete, critic,
    denoise_error, judge."""
    preset: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """``family.*`` options that this name stands for; what users set is stronger."""


@dataclass(frozen=True, kw_only=True)
class FieldInfo(Info):
    """A kind of value; ``name`` is the ``kind`` under which spaces are stored."""

    loader: str
    """A subclass of ``gmkit.fields.Field``."""


@dataclass(frozen=True, kw_only=True)
class TrunkInfo(Info):
    """A neural shape; ``name`` is the layout it serves (flat, sequence, grid1d, grid2d, graph)."""

    loader: str
    """A subclass of ``gmkit.trunks.Trunk``."""


@dataclass(frozen=True, kw_only=True)
class ScorerInfo(Info):
    """A way to say how abnormal a record is under a model."""

    loader: str
    needs: frozenset[str] = frozenset()
    """Capabilities the family must have."""


@dataclass(frozen=True, kw_only=True)
class MetricInfo(Info):
    """A figure, or several, computed from real and synthetic records."""

    loader: str
    """A callable ``(real, synthetic, holdout) -> dict[str, float]``; see ``gmkit.metrics``."""
    domain: str = ""
    """The domain it belongs to; empty for every domain."""
    direction: Literal["higher", "lower", "match"] = "higher"
    """What is better; ``match`` means as near as possible to the floor (a copy of the data)."""
    quick: bool = False
    """Cheap enough for the summary at the end of ``gmkit train``."""
    extra: str = ""
    """The optional extra that brings its library, for the message when it is missing."""


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """A further file of a data set, fetched into the same folder. Raises ValueError when it is
    not pinned."""

    url: str
    sha256: str
    size: int
    file: str = ""
    """File name; the end of ``url`` by default."""
    content_sha256: str = ""
    """As in ``DatasetInfo``."""

    def __post_init__(self) -> None:
        if not (re.fullmatch(r"[0-9a-f]{64}", self.sha256) and self.size > 0):
            raise ValueError(f"{self.url} needs its sha256 and size")


@dataclass(frozen=True, kw_only=True)
class DatasetInfo(Info):
    """A data set: embedded in an installed package (``loader``) or fetched (``url``)."""

    domain: str
    licence: str
    loader: str | None = None
    """A callable returning the path of an embedded file, or an ``Iterator[RecordBatch]``."""
    url: str = ""
    sha256: str = ""
    size: int = 0
    """Bytes of the download; a longer one is refused."""
    file: str = ""
    """File name in the cache; the end of ``url`` by default."""
    content_sha256: str = ""
    """SHA-256 of what a ``.gz`` holds, where known: a copy laid ready may be packed otherwise."""
    beside: tuple[DataFile, ...] = ()
    """Further files that the reader of the first finds beside it, as labels beside images."""
    column: str = ""
    """The column that holds the record, where the reader cannot know."""
    rows: int = 0
    default: bool = False
    """What ``gmkit train --domain …`` trains on without ``--data``."""
    citation: str = ""
    extra: dict[str, Any] = field(default_factory=dict, hash=False)
    """Facts for the domain's own reader (for example the split of a combined file)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.loader is None) == (not self.url):
            raise ValueError(f"data set {self.name!r} needs either a loader or a url")
        if self.url and not (re.fullmatch(r"[0-9a-f]{64}", self.sha256) and self.size > 0):
            raise ValueError(f"data set {self.name!r} with a url needs its sha256 and size")


@dataclass(frozen=True, kw_only=True)
class CommandInfo(Info):
    """A further ``gmkit`` command, imported only when called."""

    loader: str
    """A function that Typer can turn into a command."""


@dataclass(frozen=True, kw_only=True)
class RecipeInfo(Info):
    """A ready configuration with the metric bounds it must reach."""

    path: str
    expects: dict[str, float] = field(default_factory=dict, hash=False)
