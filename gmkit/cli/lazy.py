"""The ``gmkit`` group: it knows its commands by a table and imports one only when it is called."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from gmkit.cli.commands import plugin_commands
from gmkit.errors import did_you_mean

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter


class LazyGroup(TyperGroup):
    """Lists commands as stubs made of the table; ``resolve_command`` imports the real one."""

    table: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """Command → ("package.module:function or Typer app", one-line help)."""

    def list_commands(self, ctx: Context) -> list[str]:
        return [*self.table, *plugin_commands()]

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        """A stub that can be listed, not run."""
        if cmd_name in self.table:
            return TyperCommand(cmd_name, help=self.table[cmd_name][1])
        info = plugin_commands().get(cmd_name)
        if info is None:
            return None
        return TyperCommand(cmd_name, help=info.summary, rich_help_panel="Commands from plugins")

    def format_help(self, ctx: Context, formatter: HelpFormatter) -> None:
        from gmkit.cli.overview import print_overview

        print_overview()

    def resolve_command(
        self, ctx: Context, args: list[str]
    ) -> tuple[str | None, Command | None, list[str]]:
        name, *rest = args
        if name in self.table:  # without asking the plugins: what they cost, they cost others
            module, _, attribute = self.table[name][0].partition(":")
            return name, as_command(name, getattr(import_module(module), attribute)), rest
        info = plugin_commands().get(name)
        if info is None:
            ctx.fail(f"No such command {name!r}. {did_you_mean(name, self.list_commands(ctx))}")
        from gmkit.plugins import registry

        return name, as_command(name, registry().load(info)), rest


def as_command(name: str, target: Any) -> Command:
    """A command from a function with Typer annotations or from a Typer app (a group)."""
    app = target
    if not isinstance(target, typer.Typer):
        app = typer.Typer(add_completion=False)
        app.command(name=name)(target)
    command = typer.main.get_command(app)
    command.name = name
    return command
