"""Every hook on one page.

A plugin is a module named by an entry point of the group ``gmkit.plugins``. It states
``__gmkit_api__ = "1.0"`` and implements any of these hooks with ``@gmkit.hookimpl``. All are
optional. Each is called once, when its answer is first needed, without arguments, and returns
a list of light description records (``gmkit.api``): a hook that imports torch, numpy or the
like slows every command and is reported by ``gmkit plugins check``.

Since API 1.0 unless a hook says otherwise.
"""

from __future__ import annotations

import pluggy

from gmkit.api import (
    CommandInfo,
    DatasetInfo,
    DomainInfo,
    FamilyInfo,
    FieldInfo,
    MetricInfo,
    RecipeInfo,
    ScorerInfo,
    TrunkInfo,
)

hookspec = pluggy.HookspecMarker("gmkit")

# ---------------------------------------------------------------- what can be modelled


@hookspec
def gmkit_register_domains() -> list[DomainInfo]:  # type: ignore[empty-body]
    """Kinds of data. Asked by ``train``, ``sample``, ``evaluate``, ``doctor``."""


@hookspec
def gmkit_register_datasets() -> list[DatasetInfo]:  # type: ignore[empty-body]
    """Data sets, embedded or to be fetched. Asked by ``data`` and by ``train --data NAME``."""


@hookspec
def gmkit_register_fields() -> list[FieldInfo]:  # type: ignore[empty-body]
    """Further kinds of value (circular, count, rotation, …). Asked when a Space is loaded."""


# ---------------------------------------------------------------- how it is modelled


@hookspec
def gmkit_register_families() -> list[FamilyInfo]:  # type: ignore[empty-body]
    """Families of models, usable with every domain. Asked by ``train`` and on loading a run."""


@hookspec
def gmkit_register_trunks() -> list[TrunkInfo]:  # type: ignore[empty-body]
    """Neural shapes for a layout. Asked when a network is built."""


# ---------------------------------------------------------------- how good it is


@hookspec
def gmkit_register_metrics() -> list[MetricInfo]:  # type: ignore[empty-body]
    """Figures about samples. Asked at the end of ``train`` and by ``evaluate``."""


@hookspec
def gmkit_register_scorers() -> list[ScorerInfo]:  # type: ignore[empty-body]
    """Anomaly scores made from a family's capabilities. Asked by ``detect-anomalies``."""


# ---------------------------------------------------------------- how it is used


@hookspec
def gmkit_register_commands() -> list[CommandInfo]:  # type: ignore[empty-body]
    """Further commands. Asked when ``gmkit`` lists its commands or meets an unknown one."""


@hookspec
def gmkit_register_recipes() -> list[RecipeInfo]:  # type: ignore[empty-body]
    """Ready configurations with the bounds they reach."""
