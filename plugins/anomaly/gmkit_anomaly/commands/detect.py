"""``gmkit detect-anomalies``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gmkit.cli.console import emit, err_console, next_command
from gmkit.cli.options import Json, Out, Quiet, Seed, Set, Strict, TimeBudget
from gmkit.errors import ConfigError, DataError

SHOWN = 10
"""Records of the table; the report has more."""
Data = Annotated[
    str | None,
    typer.Argument(metavar="[DATA]", help="Records to judge. Without any: an example."),
]
Share = Annotated[
    str,
    typer.Option("--contamination", metavar="SHARE", help="Share of records to flag, or auto."),
]


def detect_anomalies(
    data: Data = None,
    train: Annotated[
        str | None,
        typer.Option("--train", metavar="DATA", help="Known-normal records to learn from."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option("--run", metavar="RUN", help="A trained run in place of learning."),
    ] = None,
    out: Out = None,
    scorer: Annotated[
        list[str] | None,
        typer.Option("--scorer", metavar="NAME", help="Use this one alone. Repeatable."),
    ] = None,
    fdr: Annotated[
        float | None,
        typer.Option("--fdr", metavar="RATE", help="Share of the flagged that may be normal."),
    ] = None,
    contamination: Share = "auto",
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", metavar="COLUMN", help="Not to be looked at. Repeatable."),
    ] = None,
    contributions: Annotated[
        bool, typer.Option("--contributions", help="Add a column of nats for each of the data's.")
    ] = False,
    scores_only: Annotated[
        bool, typer.Option("--scores-only", help="Leave the data's own columns out.")
    ] = False,
    window: Annotated[
        int | None,
        typer.Option("--window", min=2, help="Time series: judge each row by so many before it."),
    ] = None,
    group_key: Annotated[
        str,
        typer.Option(
            "--group-key", metavar="COLUMN", help="With --window: what tells series apart: sensor."
        ),
    ] = "",
    time: Annotated[
        str,
        typer.Option(
            "--time",
            metavar="COLUMN",
            help="With --window: the order of rows; default: the first of times.",
        ),
    ] = "",
    follow: Annotated[
        bool,
        typer.Option("--follow", help="Judge lines as they come: a growing file, or - for stdin."),
    ] = False,
    domain: Annotated[str, typer.Option("--domain", help="Kind of records.")] = "anomaly",
    column: Annotated[
        str, typer.Option("--column", help="The column of the record, of kinds that have one.")
    ] = "",
    model: Annotated[
        str | None,
        typer.Option("--model", help="Family that learns what is usual; default: detector."),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option("--keep", metavar="RUN", help="Keep what was learned as a run."),
    ] = None,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Write an HTML report beside the result.")
    ] = True,
    strict: Strict = False,
    seed: Seed = None,
    time_budget: TimeBudget = None,
    settings: Set = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score every record by how abnormal it is, and say why.

    The result has the data's columns, and anomaly_score, p_value, is_anomaly and reasons. Example:
    gmkit detect-anomalies data.parquet
    """
    from gmkit.config import parse_settings

    changed = parse_settings(settings or ())
    share = _share(contamination)
    if fdr is not None and not 0 < fdr < 1:
        raise ConfigError(f"--fdr {fdr:g} is no rate between 0 and 1", hint="For example: 0.05")
    if fdr is not None and share is not None:
        raise ConfigError("--fdr and --contamination both say what is flagged", hint="Take one.")
    if run is not None and (train is not None or keep is not None):
        raise ConfigError(
            "--run has learned already; --train and --keep are for learning",
            hint="Leave them out, or leave --run out.",
        )
    if data == "-" and not follow:
        raise ConfigError(
            "standard input is read line by line", hint="Add --follow, or write it to a file first."
        )
    if window is None and (group_key or time):
        raise ConfigError(
            f"{'--group-key' if group_key else '--time'} says how rows make time series",
            hint="Add --window 64: how many rows before it a row is judged by.",
        )
    err = err_console(quiet=quiet)
    with err.status("Loading"):
        from gmkit.cli.progress import TerminalObserver
        from gmkit.domain import example
        from gmkit_anomaly.detecting import Request, detect
        from gmkit_anomaly.plan import MODEL, Plan
        from gmkit_anomaly.report import write_report
        from gmkit_anomaly.scorers import serving_model
        from gmkit_anomaly.windows import Windows
    same = train is not None and data is not None and train == data
    train = None if same else train
    plan = Plan(
        domain=domain,
        model=model or (serving_model(scorer or (), MODEL) if run is None else MODEL),
        scorers=tuple(scorer or ()),
        contaminated=train is None and run is None,
        seed=seed or 0,
        time_budget=time_budget,
        settings=changed,
        strict=strict,
    )
    place = out or default_out(data)
    request = Request(
        data,
        place,
        train=train,
        run=run,
        fdr=fdr,
        contamination=share,
        contributions=contributions,
        scores_only=scores_only,
        ignore=tuple(ignore or ()),
        keep=keep,
        column=column,
        windows=None if window is None else Windows(window, group_key, time),
        strict=strict,
        report=report,
        plan=plan,
    )
    observer = TerminalObserver(err)
    if follow:
        _follow(request, observer, err)
        return
    if data is None:
        what = ", ".join(filter(None, [f"the example of domain {domain!r}", example(domain)]))
        observer.note(f"No data was given: this is {what}.")
    try:
        result = detect(request, observer)
        page = write_report(request, result) if report else None
    finally:
        observer.close()
    emit(
        {**result.to_json(), "report": page and str(page)},
        json=json,
        render=lambda _: told(result, page),
    )
    _advise(keep, page, quiet=quiet or json)


def _follow(request: Any, observer: Any, err: Any) -> None:
    """Learn, then a line of JSON for each line that comes, until Ctrl-C or the end of stdin."""
    from gmkit_anomaly.detecting import learned_apart
    from gmkit_anomaly.following import Follower, lines, records, written

    if request.data is None or (request.train is None and request.run is None):
        raise ConfigError(
            "--follow needs what to follow, and known records to learn from",
            hint="For example: gmkit detect-anomalies new.csv --follow --train normal.parquet, "
            "or a trained --run RUN; - reads standard input.",
        )
    if request.windows is not None:
        raise ConfigError("--follow judges lines by themselves", hint="Leave --window out.")
    learned = learned_apart(request, observer)
    observer.close()
    try:
        alpha = 0.01 if request.fdr is None else request.fdr
        follower = Follower(learned, alpha=alpha, contamination=request.contamination)
        for number, record in records(lines(request.data), follower.columns):
            try:
                if isinstance(record, Exception):
                    raise record
                print(written(follower.judged(record)), flush=True)
            except DataError as error:
                err.print(f"line {number}: {error.message}", style="yellow", markup=False)
    except (KeyboardInterrupt, BrokenPipeError):
        return
    finally:
        learned.close()


def _share(text: str) -> float | None:
    """None for auto."""
    if text == "auto":
        return None
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 < share <= 0.5:
        raise ConfigError(
            f"--contamination {text!r} is neither auto nor a share up to 0.5",
            hint="For example: --contamination 0.02",
        )
    return share


def told(result: Any, page: Path | None) -> Any:
    """The most abnormal records as a table, and what was done."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    names = list(result.top[0].names) if result.top else []
    table = Table()
    for title in ("Row", *names, "Score", "p", ""):
        left = title in names or not title
        table.add_column(title, justify="left" if left else "right", max_width=24)
    if result.explained:
        table.add_column("Why", ratio=1)
    for top in result.top[:SHOWN]:
        mark = Text("abnormal", style="red") if top.flagged else Text("")
        figures = Text(f"{top.row:,}"), *map(Text, top.names.values()), Text(f"{top.score:.2f}")
        why = [_why(top.reasons)] if result.explained else []
        table.add_row(*figures, Text(f"{top.p_value:.2g}"), mark, *why)
    unsure = [unsure_text(result)] if result.unsure else []
    lines = [
        f"{result.anomalies:,} of {result.rows:,} records are abnormal. Rule: {result.rule}.",
        *unsure,
        f"All records with scores and reasons: {result.out}",
    ]
    if page is not None:
        lines.append(f"Report: {page}")
    return Group(table, *map(Text, lines))


def unsure_text(result: Any) -> str:
    """What to do where no record is certain enough."""
    return (
        f"At this rate none is certain enough: the lowest p-value is {result.top[0].p_value:.2g}, "
        f"of {result.rows:,} records. The highest hundredth all the same: --contamination 0.01"
    )


def _why(reasons: Any) -> Any:
    """A line for each column: what was found, and dimly what was expected."""
    from rich.text import Text

    lines = Text("\n").join(
        Text.assemble(reason.found, (f"  {reason.awaited}" if reason.awaited else "", "dim"))
        for reason in reasons
    )
    return lines or Text("-")


def _advise(keep: Path | None, page: Path | None, *, quiet: bool) -> None:
    if keep is not None:
        next_command(f"gmkit detect-anomalies NEW.parquet --run {keep}", quiet=quiet)
    elif page is not None:
        next_command(f"open {page}", quiet=quiet)


def default_out(data: str | None) -> Path:
    """``data.parquet`` → ``data.scored.parquet``, beside it; for what is no table of plain columns,
    or a data set's name, a parquet file here."""
    from gmkit.data.formats import CORE_FORMATS

    if data is None:
        return Path("example.scored.parquet")
    place = Path(data)
    place = place if place.name and place.name != ".." else place.resolve()
    endings = "".join(place.suffixes[-2:]) if place.suffix == ".gz" else place.suffix
    stem = place.name.removesuffix(endings) or "data"
    if not place.exists():
        return Path(f"{stem}.scored.parquet")
    kept = endings if endings in CORE_FORMATS and place.is_file() else ".parquet"
    return place.with_name(f"{stem}.scored{kept}")
