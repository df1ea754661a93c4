"""The Typer application behind ``gmkit``: its global options and its table of commands."""

from __future__ import annotations

from typing import Annotated, ClassVar

import typer

from gmkit.cli import commands
from gmkit.cli.lazy import LazyGroup


class Commands(LazyGroup):
    """All first-party commands, and plugins'."""

    table: ClassVar = commands.COMMANDS


app = typer.Typer(
    name="gmkit",
    cls=Commands,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=commands.ABOUT,
    epilog=commands.EPILOG,
)


def _version(wanted: bool) -> None:
    if wanted:
        from gmkit import __version__

        print(f"gmkit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help=commands.VERSION),
    ] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help=commands.TRACEBACK)] = False,
) -> None:
    """``traceback`` is here for the help only: ``main`` takes it from anywhere in the line."""
