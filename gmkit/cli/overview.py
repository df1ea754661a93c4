"""The page that ``gmkit --help`` shows.

Typer's own panels import rich.markdown and rich.traceback, with them pygments and markdown-it:
about 60 ms on a quiet machine, a third of the whole start. This page looks alike and does not.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.panel import Panel
    from typer._click import Context
    from typer.core import TyperGroup


def print_overview(group: TyperGroup, context: Context) -> None:
    """Print usage, options and commands of a group on stdout."""
    from rich.padding import Padding
    from rich.text import Text

    from gmkit.cli.console import console

    options = [record for p in group.get_params(context) if (record := p.get_help_record(context))]
    panels: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None and not command.hidden:
            panel = getattr(command, "rich_help_panel", None) or "Commands"
            panels[panel].append((name, command.help or ""))
    usage = Text.assemble(("Usage: ", "yellow"), (" ".join(_usage(group, context)), "bold"))
    width = max(len(name) for rows in [options, *panels.values()] for name, _ in rows)
    page = [usage, Text(group.help or "")]
    out = console()
    for line in page:
        out.print(Padding(line, (1, 1, 0, 1)))
    out.print()
    for title, rows in {"Options": options, **panels}.items():
        out.print(_panel(title, rows, width))
    out.print(Padding(Text(group.epilog or ""), (0, 1, 1, 1)))


def _usage(group: TyperGroup, context: Context) -> list[str]:
    return [context.command_path, *group.collect_usage_pieces(context)]


def _panel(title: str, rows: list[tuple[str, str]], width: int) -> Panel:
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, expand=True, pad_edge=False)
    table.add_column(style="bold cyan", no_wrap=True, width=width)
    table.add_column(ratio=1)
    for name, text in rows:
        table.add_row(Text(name), Text(text))
    return Panel(table, title=title, title_align="left", border_style="dim")
