"""Finding plugins among the installed distributions, gating them and wording their faults."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Literal

from gmkit.api import API, Info
from gmkit.entry_points import EntryPoint, entry_points
from gmkit.errors import PluginError

GROUP = "gmkit.plugins"
CORE = "core"
FIRST_PARTY = ("images", "audio", "text", "molecules", "augmentation", "anomaly")
"""Domains of this project, each the extra ``gmkit[name]`` and the distribution ``gmkit-name``."""

State = Literal["ok", "disabled", "failed"]


@dataclass(eq=False)
class Plugin:
    """An entry point and what has become of it."""

    entry: EntryPoint
    distribution: str
    version: str
    module: object = None
    """What the entry point names, once it is imported, accepted and registered."""
    api: str = ""
    state: State = "ok"
    reason: str = ""
    infos: dict[str, list[Info]] = field(default_factory=dict)
    """Kind → records, for every kind already asked for."""

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def origin(self) -> str:
        """``"gmkit-molecules 0.3.0"``"""
        return f"{self.distribution} {self.version}".strip()

    @property
    def names(self) -> set[str]:
        """What it may be called by in the environment variables and in guesses."""
        return {self.name, normal(self.distribution)}

    def drop(self, state: State, reason: str, cause: BaseException | None = None) -> None:
        """Set the plugin aside; raises PluginError when ``GMKIT_STRICT_PLUGINS`` is set."""
        self.state, self.reason = state, reason
        if os.environ.get("GMKIT_STRICT_PLUGINS", "") not in ("", "0"):
            message = f"plugin {self.name!r} ({self.origin}) {state}: {reason}"
            raise PluginError(message, hint="GMKIT_STRICT_PLUGINS is set.") from cause


def discover() -> list[Plugin]:
    """Every plugin there is, not yet imported: the core, first-party ones, then the others."""
    found: dict[tuple[str, str], Plugin] = {}
    for entry, distribution, version in entry_points(GROUP):
        plugin = Plugin(entry, distribution, version)
        # The first on sys.path is the one that imports, as in importlib.metadata.
        found.setdefault((normal(plugin.distribution), plugin.name), plugin)
    if ("gmkit", CORE) not in found:  # a checkout on sys.path, not installed
        entry = EntryPoint(CORE, "gmkit.builtin")
        found["gmkit", CORE] = Plugin(entry, "gmkit", "")
    ours = ["gmkit", *(f"gmkit-{name}" for name in FIRST_PARTY)]
    rank = {name: position for position, name in enumerate(ours)}
    return [found[key] for key in sorted(found, key=lambda k: (rank.get(k[0], len(rank)), k))]


def left_out(plugin: Plugin) -> str:
    """Why the environment leaves this plugin out; empty when it does not. The core stays."""
    if plugin.name == CORE and plugin.distribution == "gmkit":
        return ""
    if plugin.names & _listed("GMKIT_DISABLE_PLUGINS"):
        return "GMKIT_DISABLE_PLUGINS names it"
    if "GMKIT_PLUGINS" in os.environ and not plugin.names & _listed("GMKIT_PLUGINS"):
        return "GMKIT_PLUGINS does not name it"
    return ""


def _listed(variable: str) -> set[str]:
    return {name.strip() for name in os.environ.get(variable, "").split(",")} - {""}


def api_fault(stated: object, plugin: Plugin) -> str:
    """Why a plugin's stated API version is not ours; empty when it fits."""
    ours = f"{API[0]}.{API[1]}"
    if stated is None:
        return f'states no __gmkit_api__; expected __gmkit_api__ = "{ours}" in {plugin.entry.value}'
    match = re.fullmatch(r"(\d+)\.(\d+)", stated) if isinstance(stated, str) else None
    if match is None:
        return f'__gmkit_api__ is {stated!r}; expected text such as "{ours}"'
    version = int(match[1]), int(match[2])
    if version[0] == API[0] and version[1] <= API[1]:
        return ""
    words = f"written for plugin API {stated}; this gmkit speaks {ours}"
    if version < API:
        return f"{words}; upgrade {plugin.distribution}"
    return f"{words}; upgrade gmkit or install {plugin.distribution}<{plugin.version}"


def explain(error: BaseException, distribution: str = "", extra: str = "") -> str:
    """One line about an error; for a failed import with the pip command that mends it.

    ``distribution``: where the failing import was asked for; ``extra``: the optional extra of it
    that brings the missing library.
    """
    line = next(iter(str(error).strip().splitlines()), "")
    if not isinstance(error, ImportError):
        return f"{type(error).__name__}: {line}" if line else type(error).__name__
    return f"{line} – {pip_command(distribution, extra)}" if distribution else line


def pip_command(distribution: str, extra: str = "") -> str:
    """The command that installs a plugin's distribution whole."""
    name = normal(distribution)
    domain = name.removeprefix("gmkit-")
    if extra:
        return f"pip install {name}[{extra}]"
    if domain in FIRST_PARTY:
        return f"pip install gmkit[{domain}]"
    return f"pip install --upgrade {name}"


def normal(distribution: str) -> str:
    """A distribution's name as package indices compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
