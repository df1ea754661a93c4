"""The page that ``gmkit --help`` shows.

Typer's own panels import rich.markdown and rich.traceback, with them pygments and markdown-it:
about 60 ms on a quiet machine, and Typer itself as much again. This page looks alike and does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gmkit.cli.commands import ABOUT, COMMANDS, EPILOG, OPTIONS, plugin_commands

if TYPE_CHECKING:
    from rich.panel import Panel


def print_overview() -> None:
    """Print usage, options and commands on stdout."""
    from rich.padding import Padding
    from rich.text import Text

    from gmkit.cli.console import console

    others = [(name, info.summary) for name, info in plugin_commands().items()]
    panels = {
        "Options": list(OPTIONS.items()),
        "Commands": [(name, summary) for name, (_, summary) in COMMANDS.items()],
        "Commands from plugins": others,
    }
    usage = Text.assemble(("Usage: ", "yellow"), ("gmkit [OPTIONS] COMMAND [ARGS]...", "bold"))
    width = max(len(name) for rows in panels.values() for name, _ in rows)
    out = console()
    for line in (usage, Text(ABOUT)):
        out.print(Padding(line, (1, 1, 0, 1)))
    out.print()
    for title, rows in panels.items():
        if rows:
            out.print(_panel(title, rows, width))
    out.print(Padding(Text(EPILOG), (0, 1, 1, 1)))


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
