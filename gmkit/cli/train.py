"""``gmkit train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from gmkit.cli.console import console, emit, err_console, next_command, where_words
from gmkit.cli.options import (
    Config,
    Device,
    DryRun,
    Json,
    Out,
    Precision,
    Quiet,
    Resume,
    Seed,
    Set,
    Strict,
    TimeBudget,
)


def train(
    run: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="With --resume: the run to go on with.")
    ] = None,
    domain: Annotated[
        str, typer.Option("--domain", help="Kind of data: molecules, … (gmkit plugins ls).")
    ] = "",
    model: Annotated[
        str,
        typer.Option(
            "--model", help="Family; two stack: vae+diffusion. [default: vae, or the domain's]"
        ),
    ] = "",
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="PATH|NAME", help="What to learn; default: an example."),
    ] = None,
    column: Annotated[str, typer.Option("--column", help="The column of the record.")] = "",
    condition: Annotated[
        list[str] | None,
        typer.Option(
            "--condition",
            metavar="NAME[,NAME]",
            help="Columns that samples can then be asked for: gmkit sample --where. Repeatable.",
        ),
    ] = None,
    size: Annotated[
        Literal["auto", "tiny", "small", "base"] | None,
        typer.Option("--size", help="Of the networks; default: what suits the domain."),
    ] = None,
    out: Out = None,
    seed: Seed = None,
    time_budget: TimeBudget = None,
    device: Device = None,
    precision: Precision = None,
    config: Config = None,
    settings: Set = None,
    resume: Resume = False,
    strict: Strict = False,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a model on data, or on the domain's embedded example.

    Writes a run folder (weights, codec, configuration, samples, figures, model card) and prints
    how good its samples are. Example: gmkit train --domain molecules --data my.smi --time-budget 5m
    """
    from gmkit.errors import ConfigError
    from gmkit.training.request import check_names, requested

    options: dict[str, Any] = {
        "domain": domain,
        "model": model,
        "column": column,
        "condition": ",".join(condition or ()),
        "size": size,
        "config": config,
        "settings": settings or (),
        "seed": seed,
        "time_budget": time_budget,
        "device": device,
        "precision": precision,
        "strict": strict or None,
    }
    if run is not None and not resume:
        raise ConfigError(
            f"what is {str(run)!r} for?",
            hint=f"To train on it: --data {run}. To go on with a run: --resume {run}.",
        )
    if not resume:
        check_names(requested(data=data, **options))  # before torch takes seconds to load
    if dry_run and resume:
        raise ConfigError(
            "--dry-run shows a new run, and --resume goes on with one",
            hint="Leave one of them out.",
        )
    if dry_run:
        _show_plan(options, data, json=json)
        return
    _train(options, data, _folder(run, out, resume), resume=resume, json=json, quiet=quiet)


def _folder(run: Path | None, out: Path | None, resume: bool) -> Path | None:
    """The run's folder; with a bare ``--resume`` the unfinished run touched last."""
    from gmkit.artifact.manifest import CHECKPOINTS, NAME
    from gmkit.errors import ConfigError

    if run and out and run != out:
        raise ConfigError(
            f"go on with {run} or with {out}?", hint=f"A run stays where it is: --resume {run}"
        )
    if not resume or run or out:
        return run or out
    found = [
        path.parent
        for path in Path("runs").glob(f"*/{CHECKPOINTS}")
        if not (path.parent / NAME).exists()
    ]
    if not found:
        raise ConfigError(
            "no unfinished run under runs/", hint="Name it: gmkit train --resume FOLDER"
        )
    return max(found, key=lambda folder: (folder / CHECKPOINTS).stat().st_mtime)


def _show_plan(options: dict[str, Any], data: str | None, *, json: bool) -> None:
    """The whole configuration and what the data looks like; nothing is written."""
    from rich.syntax import Syntax

    from gmkit.config import write_toml
    from gmkit.data.source import open_source
    from gmkit.learn import plan
    from gmkit.plugins import registry

    resolved = plan(data=data, **options)
    config = resolved.config
    source = open_source(
        config.data.source or None,
        domain=resolved.domain,
        registry=registry(),
        column=config.data.column,
    )
    rows = source.count()
    result = {
        "config": config.model_dump(mode="json"),
        "data": {"name": source.name, "rows": rows, "columns": source.schema.names},
    }
    text = f"# data: {source.name}, {rows if rows is not None else 'unknown number of'} rows\n"
    emit(result, json=json, render=lambda _: Syntax(text + write_toml(config), "toml"))


def _train(
    options: dict[str, Any],
    data: str | None,
    folder: Path | None,
    *,
    resume: bool,
    json: bool,
    quiet: bool,
) -> None:
    """Train with a live bar, then print figures and a few samples."""
    err = err_console(quiet=quiet)
    with err.status("Loading torch"):
        import gmkit.learn
        from gmkit.cli.figures import conditions_text, figures_table
        from gmkit.cli.progress import TerminalObserver

    run = gmkit.learn.train(
        data=data, out=folder, resume=resume, observer=TerminalObserver(err), **options
    )
    evaluation = run.evaluation
    assert evaluation is not None  # training ends with one
    facts = run.manifest.model_dump(mode="json", exclude={"files"})
    if json:
        emit({"run": str(run.folder), **facts}, json=True, render=str)
        return
    out = console()
    if evaluation.figures:
        out.print(figures_table(evaluation, str(run.folder)))
        out.print(run.domain.preview(run.shown(8)))
    else:  # a detector: drawing from it is not what it is for
        out.print(f"{run.folder}: learned from {run.manifest.data.rows:,} records")
    for line in conditions_text(run.codec.conditions.describe()):
        out.print(line)
    for command in run.domain.info.commands:
        next_command(command.format(run=run.folder), quiet=quiet)
    if not run.domain.info.commands:
        asked = where_words([run.codec.conditions.example()])
        next_command(f"gmkit sample {run.folder}{asked} -n 1000 --out samples.parquet", quiet=quiet)
        next_command(f"gmkit evaluate {run.folder}", quiet=quiet)
