"""How the command line ends when something goes wrong: one panel, one exit code, no traceback."""

from __future__ import annotations

import errno
import traceback
from typing import Any

import typer

from gmkit.cli.console import emit, err_console
from gmkit.errors import DataError, GmkitError

_SURROUNDINGS = {
    errno.EACCES: "Check who may read and write there.",
    errno.EPERM: "Check who may read and write there.",
    errno.EROFS: "Write to another place with --out.",
    errno.ENOSPC: "Free some space, or write to another place with --out.",
    errno.EDQUOT: "Free some space, or write to another place with --out.",
    errno.EFBIG: "Write to another place with --out.",
}
"""Faults of the machine rather than of gmkit, and what to do about them."""

REPORT = (
    "Please report it: run the same command with --traceback and open an issue with what it "
    "prints and the output of gmkit doctor."
)


def report(error: BaseException, *, json: bool, trace: bool) -> int:
    """Show an error as a panel on stderr (and as JSON on stdout) and return the exit code."""
    facts = describe(error)
    if trace:
        traceback.print_exception(error)
    _panel(facts)
    if json:
        emit({"error": facts}, json=True, render=str)
    return int(facts["exit_code"])


def describe(error: BaseException) -> dict[str, Any]:
    """Type, message, hint, exit code and, for a DataError, file, row and column."""
    if isinstance(error, typer.TyperException):
        return _facts("UsageError", error.format_message(), _usage_hint(error), error.exit_code)
    if isinstance(error, OSError) and error.errno in _SURROUNDINGS:
        place = str(error.filename or "")
        hint = _SURROUNDINGS[error.errno]
        error = DataError(error.strerror or type(error).__name__, file=place, hint=hint)
    if not isinstance(error, GmkitError):
        message = str(error).strip()
        name = type(error).__name__
        return _facts("Bug", f"{name}: {message}" if message else name, REPORT, 1)
    facts = _facts(type(error).__name__, error.message, error.hint, error.exit_code)
    if isinstance(error, DataError):
        facts |= {"file": error.file, "row": error.row, "column": error.column}
    return facts


def _facts(name: str, message: str, hint: str, exit_code: int) -> dict[str, Any]:
    return {"type": name, "message": message, "hint": hint, "exit_code": exit_code}


def _usage_hint(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    return f"See: {context.command_path} --help" if context else ""


_TITLES = {
    "UsageError": "Usage error",
    "ConfigError": "Configuration error",
    "DataError": "Data error",
    "PluginError": "Plugin error",
    "ArtifactError": "Artifact error",
    "TrainingError": "Training stopped",
    "Interrupted": "Interrupted",
    "Bug": "This is a bug in gmkit",
}


def _panel(facts: dict[str, Any]) -> None:
    from rich.panel import Panel
    from rich.text import Text

    # Text, not markup: messages hold brackets, as in gmkit[molecules].
    body = Text(facts["message"], overflow="fold")
    if facts["hint"]:
        body.append(f"\n{facts['hint']}", style="cyan")
    title = _TITLES.get(facts["type"], "Error")
    err_console().print(Panel(body, title=title, title_align="left", border_style="red"))
