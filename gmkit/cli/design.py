"""``gmkit design``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gmkit.cli.console import emit, err_console, next_command
from gmkit.cli.options import Device, Json, Out, Quiet, Seed, TimeBudget

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import RenderableType

    from gmkit.cli.progress import TerminalObserver
    from gmkit.design.archive import Archive
    from gmkit.design.search import SearchConfig
    from gmkit.domain import Domain
    from gmkit.objectives.change import Scaffold
    from gmkit.objectives.desirability import Goal
    from gmkit.objectives.objective import Objective, Scorer, Term
    from gmkit.run import Run

SHOWN = 10
"""Records shown."""

SAVED = 10.0
"""Seconds between writings of what was scored, so that little is lost to a kill."""

Repeated = list[str] | None


def design(
    domain: Annotated[str, typer.Option("--domain", help="Kind of data, without --start.")] = "",
    start: Annotated[
        Path | None,
        typer.Option("--start", metavar="RUN", help="A trained model; default: one is trained."),
    ] = None,
    maximise: Annotated[
        Repeated, typer.Option("--maximise", metavar="MEASURE", help="Such as qed. Repeatable.")
    ] = None,
    minimise: Annotated[Repeated, typer.Option("--minimise", metavar="MEASURE")] = None,
    target: Annotated[
        Repeated, typer.Option("--target", metavar="MEASURE=NUMBER", help="Such as logp=2.5.")
    ] = None,
    require: Annotated[
        Repeated, typer.Option("--require", metavar="MEASURE", help="Such as contains:c1ccncc1.")
    ] = None,
    forbid: Annotated[Repeated, typer.Option("--forbid", metavar="MEASURE")] = None,
    scaffold: Annotated[
        str,
        typer.Option(
            "--scaffold",
            metavar="TEXT",
            help='What every record must hold, open at its stars: "c1ccc(*)cc1".',
        ),
    ] = "",
    objective: Annotated[
        Path | None,
        typer.Option(
            "--objective", metavar="FILE", exists=True, dir_okay=False, help="Terms as TOML."
        ),
    ] = None,
    oracle: Annotated[
        str,
        typer.Option(
            "--oracle",
            metavar="COMMAND",
            help="Your own scoring: reads a record a line, writes a number a line, more is better.",
        ),
    ] = "",
    oracle_timeout: Annotated[
        float, typer.Option("--oracle-timeout", min=0.1, help="Seconds for a batch.")
    ] = 60.0,
    budget: Annotated[int, typer.Option("--budget", min=1, help="Calls of the objective.")] = 1000,
    batch: Annotated[int, typer.Option("--batch", min=0, help="Records a call; 0: chosen.")] = 0,
    seeds: Annotated[
        str | None,
        typer.Option("--seeds", metavar="PATH", help="Begin here; default: training records."),
    ] = None,
    penalties: Annotated[
        bool,
        typer.Option("--penalties/--no-penalties", help="What the domain asks of any record."),
    ] = True,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            metavar="FOLDER",
            help="Go on in this folder: what was scored there is not asked for again.",
        ),
    ] = None,
    out: Out = None,
    seed: Seed = None,
    time_budget: TimeBudget = None,
    device: Device = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Search for records that an objective likes, with a trained model to propose them.

    Writes a folder: designed.csv (all, the best first), a picture of the best, and the curve of
    the best scores over the calls. Example: gmkit design --domain molecules --maximise qed
    """
    from gmkit.errors import ConfigError
    from gmkit.objectives.objective import parse_term, read_objective

    goals: tuple[tuple[Goal, Repeated], ...] = (
        ("maximise", maximise),
        ("minimise", minimise),
        ("target", target),
        ("require", require),
        ("forbid", forbid),
    )
    terms = [parse_term(text, goal) for goal, texts in goals for text in texts or ()]
    terms += read_objective(objective) if objective else []
    if oracle and any(term.goal not in ("require", "forbid") for term in terms):
        raise ConfigError(
            "an oracle is the whole objective", hint="Beside it only --require and --forbid go."
        )
    if not terms and not oracle:
        raise ConfigError(
            "nothing is asked for",
            hint="For example: --maximise qed, or --oracle 'python score.py'",
        )
    err = err_console(quiet=quiet)
    with err.status("Loading"):
        import gmkit
        from gmkit.cli.progress import TerminalObserver
        from gmkit.design.archive import Archive
        from gmkit.design.results import RANKED, read_calls, write_results
        from gmkit.design.search import SearchConfig

        if resume is not None and start is None and (resume / "model").is_dir():
            start = resume / "model"
        run = None if start is None else gmkit.load(start, device=device or "auto")
    kind = _domain(run, domain)
    scorer, beside = _scorers(kind, terms, oracle, oracle_timeout, penalties)
    held = kind.scaffold(scaffold) if scaffold else None
    earlier = None if resume is None else read_calls(resume, kind.column)
    folder = _new_folder(out) if resume is None else resume
    observer = TerminalObserver(err)
    try:
        if run is None:
            observer.note("No model to start from was given (--start RUN): one is trained first.")
            place = folder / "model"
            run = gmkit.train(domain=domain, out=place, device=device, observer=observer)
        config = SearchConfig(budget=budget, batch=batch, seed=seed or 0, seconds=time_budget)
        archive = Archive(run.domain.column)
        if earlier is not None:
            archive.restore(run.codec, earlier)
            observer.note(f"{len(archive):,} calls were made before; they count.")
        _searched(run, archive, scorer, beside, seeds, held, config, folder, observer)
    finally:
        observer.close()
    best = write_results(folder, archive, run.domain, run.dataset().table("train"))
    curve = archive.curve()
    facts = {
        "folder": str(folder),
        "calls": len(archive),
        "best": float(curve[-1, 0]),
        "top10": float(curve[-1, 1]),
        "top10_area": float(curve[:, 1].mean()),
        "rows": best.slice(0, SHOWN).to_pylist(),
    }
    emit(facts, json=json, render=lambda _: _report(facts, best))
    again = f"gmkit design --start {run.folder} --seeds {folder / RANKED}"
    next_command(again + " … --budget 10000", quiet=quiet or json)


def _domain(run: Run | None, name: str) -> Domain:
    """The kind of record. Raises ConfigError where none is named, or another than the run's."""
    from gmkit.errors import ConfigError
    from gmkit.plugins import registry
    from gmkit.training.request import check_names

    if run is None:
        check_names({"domain": name})
        return registry().domain(name)
    if name and run.config.domain != name:
        raise ConfigError(f"{run.folder} is a model of {run.config.domain}, not of {name}")
    return run.domain


def _new_folder(out: Path | None) -> Path:
    """An empty folder for the results. Raises ConfigError for one that holds something."""
    from gmkit.training.session import new_folder

    return new_folder(out, "design")


def _scorers(
    domain: Domain, terms: list[Term], oracle: str, timeout: float, penalties: bool
) -> tuple[Scorer, Objective | None]:
    """What scores, and what weighs beside it."""
    from gmkit.objectives.objective import Objective
    from gmkit.objectives.oracle import CommandOracle

    measures = domain.measures()
    beside = [*domain.penalties()] if penalties else []
    if oracle:
        beside = [*terms, *beside]
        scorer: Scorer = CommandOracle(oracle, domain.column, timeout=timeout)
    else:
        scorer = Objective(terms, measures)
    return scorer, Objective(beside, measures) if beside else None


def _searched(
    run: Run,
    archive: Archive,
    scorer: Scorer,
    beside: Objective | None,
    seeds: str | None,
    scaffold: Scaffold | None,
    config: SearchConfig,
    folder: Path,
    observer: TerminalObserver,
) -> None:
    """Fill the archive; what was scored so far is in the folder, whatever happens."""
    from gmkit.design.results import write_calls
    from gmkit.errors import GmkitError

    observer.stage(f"Designing, {config.budget:,} calls")
    try:
        found = run.design(
            archive, scorer, penalties=beside, seeds=seeds, scaffold=scaffold, config=config
        )
        for calls in found:
            observer.advance(calls, config.budget)
            write_calls(folder, archive, every=SAVED)
    except GmkitError:
        if len(archive):
            told = f"{len(archive):,} calls are kept in {folder}: go on with --resume {folder}."
            observer.note(told)
        raise
    finally:
        write_calls(folder, archive)


def _report(facts: Mapping[str, Any], best: pa.Table) -> RenderableType:
    """The best as a table."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"{facts['folder']}: the best after {facts['calls']:,} calls")
    for name in best.schema.names:
        table.add_column(name)
    for row in best.slice(0, SHOWN).to_pylist():
        cells = (f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values())
        table.add_row(*(Text(cell) for cell in cells))
    told = (
        f"best {facts['best']:.3f}, mean of the ten best {facts['top10']:.3f}; "
        f"area under its curve {facts['top10_area']:.3f}"
    )
    return Group(table, told)
