"""``gmkit augment``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gmkit.cli.console import emit, err_console, next_command
from gmkit.cli.options import DryRun, Json, Out, Quiet, Seed, Set, TimeBudget

Data = Annotated[str, typer.Argument(metavar="DATA", help="Table: .parquet, .csv, .jsonl, …")]
Model = Annotated[
    str, typer.Option("--model", help="Family of model (gmkit plugins ls). [default: trees]")
]
Columns = Annotated[
    Path | None,
    typer.Option(
        "--columns", metavar="FILE", exists=True, dir_okay=False, help="columns.toml: what each is."
    ),
]
Constraint = Annotated[
    list[str] | None,
    typer.Option(
        "--constraint",
        metavar="RULE",
        help='Must hold: "start<=end", "unique(a,b)", "fixed(a,b)", "total=net+tax".',
    ),
]


def augment(
    data: Data,
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
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where", metavar="CONDITIONS", help='What new rows shall be: "age>60,sex=F".'
        ),
    ] = None,
    balance: Annotated[
        str,
        typer.Option(
            "--balance",
            metavar="COLUMN",
            help='Classes to make equally many, or one value and its share: "label=1:0.3".',
        ),
    ] = "",
    group_key: Annotated[
        str,
        typer.Option(
            "--group-key", metavar="COLUMN", help="Rows that share it belong together: customer."
        ),
    ] = "",
    constraint: Constraint = None,
    no_harm: Annotated[
        bool,
        typer.Option("--no-harm", help="Add rows only if they help to predict --target; pick how."),
    ] = False,
    dp_epsilon: Annotated[
        float | None,
        typer.Option(
            "--dp-epsilon", min=0.01, help="Differentially private training (gmkit[dp]): say 3."
        ),
    ] = None,
    columns: Columns = None,
    model: Model = "",
    seed: Seed = None,
    time_budget: TimeBudget = None,
    settings: Set = None,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Write an HTML report beside the result.")
    ] = True,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Learn a table and write it with as many new rows like its own.

    The result has the table's columns and types, and a column _gmkit_origin. Example:
    gmkit augment data.parquet
    """
    from gmkit.config import parse_settings

    changed = parse_settings(settings or ())
    err = err_console(quiet=quiet)
    with err.status("Loading"):
        from gmkit.cli.progress import TerminalObserver
        from gmkit_augmentation.augmenting import Request
        from gmkit_augmentation.augmenting import augment as run
        from gmkit_augmentation.columns_file import read_constraints, read_kinds
        from gmkit_augmentation.learning import MODEL, PRIVATE_MODEL, Plan
    plan = Plan(
        model=model or (MODEL if dp_epsilon is None else PRIVATE_MODEL),
        target=target,
        kinds=read_kinds(columns) if columns else {},
        seed=seed or 0,
        time_budget=time_budget,
        settings=changed,
        epsilon=dp_epsilon,
    )
    request = Request(
        data,
        out or default_out(Path(data), "augmented"),
        rows,
        only_synthetic,
        tuple(where or ()),
        balance,
        (*(constraint or ()), *(read_constraints(columns) if columns else ())),
        no_harm,
        report and not dry_run,
        bool(model),
        group_key,
        plan,
    )
    observer = TerminalObserver(err)
    try:
        if dry_run:
            show_columns(request, observer, json=json)
            return
        figures: dict[str, Any] = {}
        result = run(request, observer, _reporter(request, figures, observer) if report else None)
    finally:
        observer.close()
    emit(
        {**result.to_json(), **figures},
        json=json,
        render=lambda _: _told(result, figures),
    )
    if figures:
        next_command(f"open {figures['report']}", quiet=quiet or json)


def _reporter(request: Any, figures: dict[str, Any], observer: Any) -> Any:
    """What writes the report and fills in ``figures``."""

    def write(work: Any) -> None:
        from gmkit_augmentation.report import write_report

        figures.update(write_report(request, work, observer))

    return write


def _told(result: Any, figures: dict[str, Any]) -> str:
    """The outcome in a few lines."""
    from gmkit_augmentation.augmenting import privacy_sentence

    lines = [
        f"{result.original:,} original and {result.synthetic:,} synthetic rows in {result.out}"
    ]
    lines += [result.gate.sentence()] if result.gate else []
    lines += [f"Kept in every new row: {', '.join(result.rules)}"] if result.rules else []
    if result.privacy:
        lines.append(privacy_sentence(result.privacy))
    guard = result.guard
    if guard["copies_left"]:
        lines.append(
            f"{guard['copies_left']:,} new rows equal a single row of the data: no others came."
        )
    if guard["breaches_left"]:
        lines.append(f"{guard['breaches_left']:,} new rows break a rule or condition.")
    lines += [f"{entry['title']}: {entry['text']}" for entry in figures.get("sentences", ())]
    return "\n".join(lines)


def show_columns(request: Any, observer: Any, *, json: bool) -> None:
    """What the columns are taken for, and the dependencies found."""
    from gmkit.data.sampling import sampled_rows
    from gmkit.data.source import open_source
    from gmkit_augmentation.augmenting import check
    from gmkit_augmentation.columns_file import kinds_toml
    from gmkit_augmentation.domain import TablesDomain
    from gmkit_augmentation.learning import inferred
    from gmkit_augmentation.rules import found_rules
    from gmkit_augmentation.views import Workable

    source = Workable(open_source(request.data, domain=TablesDomain()))
    check(request, source)
    observer.stage(f"Reading {source.name}")
    rows = sampled_rows(source, request.plan.rows, request.plan.seed, observer)
    codec, rules = inferred(rows, request.plan), found_rules(rows)
    sorts = {"levels": "category"}
    kinds = {name: sorts.get(c.sort, c.sort) for name, c in codec.columns.items()}
    types = {field.name: str(field.type) for field in source.stored}
    result = {
        "rows": source.count(),
        "columns": {
            name: {"type": types[name], "kind": kinds[name], "told": told}
            for name, told in codec.describe().items()
        },
        "rules": rules.names(),
        "out": str(request.out),
    }

    def table(_: Any) -> Any:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        shown = Table("Column", "Type", "Taken for", box=None)
        for name, facts in codec.describe().items():
            shown.add_row(Text(name), Text(types[name]), Text(facts))
        lines = [Text(f"Kept: {rule}") for rule in rules.names()]
        overridden = Text(
            "\nTo change what a column is: --columns columns.toml, with lines of\n"
            + kinds_toml({n: kinds[n] for n in list(kinds)[:3]}),
            style="dim",
        )
        return Group(shown, *lines, overridden)

    emit(result, json=json, render=table)


def default_out(data: Path, word: str) -> Path:
    """``data.parquet`` → ``data.augmented.parquet``, beside it; for a data set's name, here."""
    endings = "".join(data.suffixes[-2:]) if data.suffix == ".gz" else data.suffix
    stem = data.name.removesuffix(endings)
    return data.with_name(f"{stem}.{word}{endings or '.parquet'}")
