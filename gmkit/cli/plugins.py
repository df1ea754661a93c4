"""``gmkit plugins ls|check``: what is installed, what it offers, and what is wrong with it."""

from __future__ import annotations

import json as json_
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from gmkit.api import MetricInfo
from gmkit.cli.console import emit
from gmkit.cli.options import Json
from gmkit.errors import PluginError
from gmkit.stacks import HOW

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gmkit.plugins import PluginState, Registry

app = typer.Typer(no_args_is_help=True, add_completion=False, help="List and check plugins.")

HEAVY = ("torch", "numpy", "pyarrow", "rdkit", "sklearn", "scipy", "pandas", "jax", "tensorflow")
"""Modules that describing a plugin must not import, since every command pays for them."""

PROBE_SECONDS = 60
_PROBE = """
import json, sys
from gmkit.plugins import registry
registry().plugins()
print(json.dumps([name for name in sys.argv[1:] if name in sys.modules]))
"""


@app.command()
def ls(json: Json = False) -> None:
    """List every plugin: version, API, what it provides, and why it is not there."""
    from gmkit.plugins import registry

    emit({"plugins": [asdict(p) for p in registry().plugins()]}, json=json, render=_table)


@app.command()
def check(json: Json = False) -> None:
    """Import everything that plugins offer; exit 4 if anything is broken."""
    from gmkit.plugins import KINDS, registry

    known = registry()
    states = known.plugins()
    loaders = [fault for kind in KINDS for fault in _loader_faults(known, kind)]
    faults = [fault for state in states for fault in _plugin_faults(state)] + loaders
    provided = sum(len(names) for state in states for names in state.provides.values())
    result = {"ok": not faults, "plugins": len(states), "provided": provided, "faults": faults}
    emit(result, json=json, render=_verdict)
    if faults:
        raise typer.Exit(PluginError.exit_code)


def _plugin_faults(state: PluginState) -> list[dict[str, str]]:
    """What is wrong with a plugin before anything it offers is imported."""
    if state.state == "disabled" and not state.api and "GMKIT_" in state.reason:
        return []  # left out on the user's wish
    if state.state != "ok":
        return [{"plugin": state.name, "what": state.state, "reason": state.reason}]
    if reason := _weight(state.name):
        return [{"plugin": state.name, "what": "import", "reason": reason}]
    return []


def _weight(plugin: str) -> str:
    """What importing one plugin and asking its hooks drags in, seen in a process of its own."""
    environment = {
        **os.environ,
        "GMKIT_PLUGINS": plugin,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    command = [sys.executable, "-c", _PROBE, *HEAVY]
    try:
        run = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=PROBE_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"takes over {PROBE_SECONDS} s to import"
    if run.returncode != 0:
        last = run.stderr.strip().splitlines()[-1:] or [f"exit code {run.returncode}"]
        return f"fails in a process of its own: {last[0]}"
    heavy = json_.loads(run.stdout.splitlines()[-1])
    return f"describing it imports {', '.join(heavy)}, which slows every command" if heavy else ""


def _loader_faults(known: Registry, kind: str) -> list[dict[str, str]]:
    """The things of a kind that cannot be imported."""
    faults = []
    for name, info in known.offers(kind).items():
        if getattr(info, "loader", None) is None:
            continue
        try:
            known.domain(name) if kind == "domain" else known.load(info)
        except PluginError as error:
            if isinstance(info, MetricInfo) and info.extra and _is_import(error):
                continue  # an optional library that is not installed
            what = f"{kind} {name}"
            faults.append({"plugin": known.owner(info), "what": what, "reason": error.message})
    return faults


def _is_import(error: PluginError) -> bool:
    return isinstance(error.__cause__, ImportError)


def _table(result: Mapping[str, Any]) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table("Plugin", "Version", "API", "Provides", "State", box=None, pad_edge=False)
    colours = {"ok": "green", "disabled": "yellow", "failed": "red"}
    for plugin in result["plugins"]:
        provides = "\n".join(f"{k}: {', '.join(v)}" for k, v in plugin["provides"].items())
        state = Text(plugin["state"], style=colours[plugin["state"]])
        if plugin["reason"]:
            state.append(f": {plugin['reason']}", style="default")
        name = Text(plugin["name"], style="bold")
        table.add_row(name, Text(plugin["version"]), plugin["api"], Text(provides), state)
    return Group(table, Text(HOW, style="dim"))


def _verdict(result: Mapping[str, Any]) -> str:
    if result["ok"]:
        return f"All well (plugins: {result['plugins']}, things provided: {result['provided']})"
    return "\n".join(f"{f['plugin']}: {f['what']}: {f['reason']}" for f in result["faults"])
