"""``gmkit detect-anomalies``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gmkit.cli.console import emit, err_console
from gmkit.cli.options import Json, Out, Quiet, Seed, Set, TimeBudget

Data = Annotated[
    str | None,
    typer.Argument(metavar="[DATA]", help="Records to judge. Without any: an example."),
]


def detect_anomalies(
    data: Data = None,
    train: Annotated[
        str | None,
        typer.Option("--train", metavar="DATA", help="Known-normal records to learn from."),
    ] = None,
    out: Out = None,
    scorer: Annotated[
        list[str] | None,
        typer.Option("--scorer", metavar="NAME", help="Use this one alone. Repeatable."),
    ] = None,
    fdr: Annotated[
        float | None,
        typer.Option("--fdr", help="Share of the discoveries that may be false, on average."),
    ] = None,
    contamination: Annotated[
        str, typer.Option("--contamination", metavar="SHARE", help="Share to flag, or auto.")
    ] = "auto",
    contributions: Annotated[
        bool, typer.Option("--contributions", help="A column of nats for each of the data's.")
    ] = False,
    scores_only: Annotated[
        bool, typer.Option("--scores-only", help="Leave the data's own columns out.")
    ] = False,
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
    err = err_console(quiet=quiet)
    with err.status("Loading"):
        from gmkit.cli.progress import TerminalObserver
        from gmkit_anomaly.detecting import Request, detect
        from gmkit_anomaly.learning import Plan
    plan = Plan(
        scorers=tuple(scorer or ()),
        contaminated=train is None or train == data,
        seed=seed or 0,
        time_budget=time_budget,
        settings=changed,
    )
    place = out or Path(f"{Path(data or 'example').stem}.scored.parquet")
    share = None if contamination == "auto" else float(contamination)
    if plan.contaminated:
        train = None
    request = Request(
        data, place, train, None, fdr, share, contributions, scores_only, plan
    )
    observer = TerminalObserver(err)
    try:
        result = detect(request, observer)
    finally:
        observer.close()
    emit(
        result.to_json(),
        json=json,
        render=lambda _: f"{result.anomalies:,} of {result.rows:,} rows are abnormal: {result.out}",
    )
