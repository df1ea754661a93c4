"""``gmkit evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gmkit.cli.console import emit, err_console, next_command
from gmkit.cli.options import Device, Json, Quiet, Seed


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    n: Annotated[int, typer.Option("-n", "--rows", min=1, help="Samples to judge.")] = 1000,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="PATH|NAME", help="The training data, if it has moved."),
    ] = None,
    seed: Seed = None,
    device: Device = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure how good a model's samples are, each figure beside that of a copy of the data.

    Writes evaluation.json into the run.
    """
    err = err_console(quiet=quiet)
    with err.status("Loading"):
        import gmkit
        from gmkit.cli.figures import figures_table
        from gmkit.cli.progress import TerminalObserver

        trained = gmkit.load(run, device=device or "auto")
    observer = TerminalObserver(err)
    try:
        result = trained.evaluate(n, seed=seed, data=data, observer=observer)
    finally:
        observer.close()
    emit(
        {"run": str(run), **result.to_json()},
        json=json,
        render=lambda _: figures_table(result, str(run)),
    )
    next_command(f"gmkit sample {run} -n 1000 --out samples.parquet", quiet=quiet or json)
