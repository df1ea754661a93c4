"""``gmkit data ls|get``: the data sets that plugins describe, and fetching one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gmkit.api import DatasetInfo
from gmkit.cli.console import emit, err_console, next_command
from gmkit.cli.options import Json, Quiet
from gmkit.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import RenderableType

app = typer.Typer(no_args_is_help=True, add_completion=False, help="List and fetch data sets.")


@app.command()
def ls(
    domain: Annotated[
        str | None, typer.Option("--domain", metavar="NAME", help="Only those of one domain.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the data sets: embedded, ready in the cache, or to fetch."""
    from gmkit.plugins import registry

    if domain is not None:
        domain = registry().get("domain", domain).name
    rows = [
        _row(name, info)
        for name, info in registry().datasets().items()
        if domain in (None, info.domain)
    ]
    emit({"datasets": rows}, json=json, render=_table)
    absent = next((row["name"] for row in rows if row["where"] == "to fetch"), None)
    if absent and not json:
        next_command(f"gmkit data get {absent}", quiet=quiet)


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="A name that gmkit data ls shows.")],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch a data set into the cache, checked by its SHA-256, and print its path."""
    from gmkit.plugins import registry

    info = registry().get("dataset", name)
    assert isinstance(info, DatasetInfo)
    path = None if info.loader else _fetch(info, quiet=quiet or json)
    result = {"name": name, "domain": info.domain, "path": path, "where": _where(info)}
    emit(result, json=json, render=_place)
    if not json:
        chosen = "" if info.default else f" --data {name}"
        next_command(f"gmkit train --domain {info.domain}{chosen}", quiet=quiet)


def _fetch(info: DatasetInfo, *, quiet: bool) -> Path:
    """Download with a progress bar on stderr; at once when the cache holds the file."""
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    from gmkit.data.download import fetch

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err_console(quiet=quiet)) as bar:
        task = bar.add_task(info.name, total=info.size)
        return fetch(
            info, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )


def _where(info: DatasetInfo) -> str:
    from gmkit.data.download import cached

    if info.loader:
        return "embedded"
    try:
        return "ready" if cached(info) else "to fetch"
    except ConfigError:  # one data set described wrongly must not hide the others
        return "unusable"


def _row(name: str, info: DatasetInfo) -> dict[str, Any]:
    return {
        "name": name,
        "domain": info.domain,
        "rows": info.rows,
        "size": info.size,
        "licence": info.licence,
        "where": _where(info),
        "default": info.default,
        "summary": info.summary,
        "citation": info.citation,
    }


def _table(result: Mapping[str, Any]) -> RenderableType:
    from rich.filesize import decimal
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for title in ("Name", "Domain", "Rows", "Size", "Licence", "Where", "What"):
        table.add_column(title, justify="right" if title in ("Rows", "Size") else "left")
    for row in result["datasets"]:
        where = row["where"] + (" (default)" if row["default"] else "")
        rows = f"{row['rows']:,}" if row["rows"] else ""
        size = decimal(row["size"]) if row["size"] else ""
        cells = (row["name"], row["domain"], rows, size, row["licence"], where, row["summary"])
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _place(result: Mapping[str, Any]) -> str:
    if result["path"] is None:
        return f"{result['name']} is embedded: there is nothing to fetch"
    return str(result["path"])
