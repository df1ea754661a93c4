"""``gmkit augment``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gmkit.cli.console import emit, err_console, next_command
from gmkit.cli.options import DryRun, Json, Out, Quiet, Seed, Set, TimeBudget


def augment(
    data: Annotated[str, typer.Argument(metavar="DATA", help="Table: .parquet, .csv, .jsonl, …")],
    rows: Annotated[
        int | None,
        typer.Option("-n", "--rows", min=0, help="New rows. [default: as many as there are]"),
    ] = None,
    out: Out = None,
    only_synthetic: Annotated[
        bool, typer.Option("--only-synthetic", help="Leave the original rows out.")
    ] = False,
    target: Annotated[
        str, typer.Option("--target", metavar="COLUMN", help="What will be predicted of the rows.")
    ] = "",
    model: Annotated[
        str, typer.Option("--model", help="Family of model (gmkit plugins ls). [default: trees]")
    ] = "",
    seed: Seed = None,
    time_budget: TimeBudget = None,
    settings: Set = None,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Learn a table and write it with as many new rows like its own.

    The result has the table's columns and types, and a column _gmkit_origin. Example:
    gmkit augment data.parquet
    """
    from gmkit.config import parse_settings

    err = err_console(quiet=quiet)
    with err.status("Loading"):
        from gmkit.cli.progress import TerminalObserver
        from gmkit_augmentation.augmenting import Request
        from gmkit_augmentation.augmenting import augment as run
        from gmkit_augmentation.learning import MODEL, Plan
    plan = Plan(
        model=model or MODEL,
        target=target,
        seed=seed or 0,
        time_budget=time_budget,
        settings=parse_settings(settings or ()),
    )
    place = out or default_out(Path(data))
    request = Request(data, place, rows, only_synthetic, plan)
    observer = TerminalObserver(err)
    try:
        result = run(request, observer)
    finally:
        observer.close()
    told = f"{result.original:,} original and {result.synthetic:,} synthetic rows in {result.out}"
    emit(result.to_json(), json=json, render=lambda _: told)


def default_out(data: Path) -> Path:
    """``data.parquet`` → ``data.augmented.parquet``, beside it."""
    endings = "".join(data.suffixes[-2:]) if data.suffix == ".gz" else data.suffix
    stem = data.name.removesuffix(endings)
    return data.with_name(f"{stem}.augmented{endings or '.parquet'}")
