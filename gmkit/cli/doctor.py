"""``gmkit doctor``: is everything here that gmkit needs, and does it work?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from gmkit.cli.console import emit, err_console
from gmkit.cli.options import Json, Quiet
from gmkit.errors import PluginError

if TYPE_CHECKING:
    from rich.console import RenderableType


def doctor(json: Json = False, quiet: Quiet = False) -> None:
    """Check this installation and machine; exit 4 if something needed does not work."""
    from gmkit.cli.checks import all_checks

    checks = []
    with err_console(quiet=quiet or json).status("Looking around …") as status:
        for check in all_checks():
            checks.append(check)
            status.update(f"Looked at {check.name} …")
    ok = all(check.status != "fail" for check in checks)
    emit({"ok": ok, "checks": [asdict(check) for check in checks]}, json=json, render=_table)
    if not ok:
        raise typer.Exit(PluginError.exit_code)


def _table(result: Mapping[str, Any]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    colours = {"ok": "green", "warn": "yellow", "fail": "red"}
    table = Table(box=None, show_header=False, pad_edge=False)
    for check in result["checks"]:
        found = Text(check["found"], overflow="fold")
        if check["advice"]:
            found.append(f"\n{check['advice']}", style="cyan")
        status = Text(check["status"], style=colours[check["status"]])
        table.add_row(status, Text(check["name"], style="bold"), found)
    return table
