"""``gmkit evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gmkit.cli.console import emit, err_console, next_command
from gmkit.cli.options import Device, Json, Quiet, Seed

TABLES = "augmentation"
"""The domain of records in files, where none is named."""


def evaluate(
    run: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="Folder of a finished run.")
    ] = None,
    n: Annotated[int, typer.Option("-n", "--rows", min=1, help="Samples to judge.")] = 1000,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="PATH|NAME", help="The training data, if it has moved."),
    ] = None,
    real: Annotated[
        str | None,
        typer.Option("--real", metavar="PATH", help="Instead of a run: records learned from,"),
    ] = None,
    synthetic: Annotated[
        str | None, typer.Option("--synthetic", metavar="PATH", help="synthetic ones,")
    ] = None,
    holdout: Annotated[
        str | None, typer.Option("--holdout", metavar="PATH", help="and real ones held out.")
    ] = None,
    domain: Annotated[
        str, typer.Option("--domain", help="Kind of the records in files. [default: augmentation]")
    ] = "",
    seed: Seed = None,
    device: Device = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure how good a model's samples are, each figure beside that of a copy of the data.

    Writes evaluation.json into the run. Without a run, of files that anything may have made:
    gmkit evaluate --real train.parquet --synthetic new.parquet --holdout test.parquet
    """
    err = err_console(quiet=quiet)
    if real or synthetic or holdout or run is None:
        _files(run, real, synthetic, holdout, domain or TABLES, seed, json=json, quiet=quiet)
        return
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


def _files(
    run: Path | None,
    real: str | None,
    synthetic: str | None,
    holdout: str | None,
    domain: str,
    seed: int | None,
    *,
    json: bool,
    quiet: bool,
) -> None:
    """Judge records in files by the domain's metrics."""
    from gmkit.errors import ConfigError

    if run is not None or not real or not synthetic:
        raise ConfigError(
            "evaluate judges a run, or synthetic records beside real ones",
            hint="gmkit evaluate RUN, or gmkit evaluate --real FILE --synthetic FILE",
        )
    err = err_console(quiet=quiet)
    with err.status("Loading"):
        from gmkit.cli.figures import figures_table
        from gmkit.cli.progress import TerminalObserver
        from gmkit.metrics.files import evaluate_files

    observer = TerminalObserver(err)
    try:
        result = evaluate_files(domain, real, synthetic, holdout, seed or 0, observer)
    finally:
        observer.close()
    emit(
        {"real": real, "synthetic": synthetic, "holdout": holdout, **result.to_json()},
        json=json,
        render=lambda _: figures_table(result, synthetic),
    )
