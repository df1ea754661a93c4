"""``gmkit impute``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gmkit.cli.console import emit, err_console
from gmkit.cli.options import Json, Out, Quiet, Seed, Set, TimeBudget
from gmkit_augmentation.commands.augment import Columns, Data, Model, default_out


def impute(
    data: Data,
    draws: Annotated[
        int, typer.Option("--draws", min=1, max=1000, help="Tables to make, one under the other.")
    ] = 1,
    out: Out = None,
    columns: Columns = None,
    model: Model = "",
    seed: Seed = None,
    time_budget: TimeBudget = None,
    settings: Set = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fill in the missing values of a table with values that fit the rest of the row.

    Several draws differ as far as the values are uncertain; they are told apart by a column
    _gmkit_draw. Example: gmkit impute data.parquet --draws 5
    """
    from gmkit.config import parse_settings

    changed = parse_settings(settings or ())
    err = err_console(quiet=quiet)
    with err.status("Loading"):
        from gmkit.cli.progress import TerminalObserver
        from gmkit_augmentation.columns_file import read_kinds
        from gmkit_augmentation.imputing import ImputeRequest
        from gmkit_augmentation.imputing import impute as run
        from gmkit_augmentation.learning import MODEL, Plan
    plan = Plan(
        model=model or MODEL,
        kinds=read_kinds(columns) if columns else {},
        seed=seed or 0,
        time_budget=time_budget,
        settings=changed,
    )
    request = ImputeRequest(data, out or default_out(Path(data), "imputed"), draws, plan)
    observer = TerminalObserver(err)
    try:
        result = run(request, observer)
    finally:
        observer.close()
    filled = ", ".join(f"{count:,} in {name}" for name, count in result.filled.items())
    left = "".join(
        f"\n{count:,} left in {name}: it has no value at all" for name, count in result.left.items()
    )
    times = f", {result.draws} times" if result.draws > 1 else ""
    told = f"{result.rows:,} rows{times} in {result.out}; filled in: {filled or 'nothing'}{left}"
    emit(result.to_json(), json=json, render=lambda _: told)
