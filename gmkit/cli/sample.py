"""``gmkit sample``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gmkit.cli.console import emit, err_console, next_command, where_words
from gmkit.cli.options import Device, Json, Out, Quiet, Seed

SHOWN, WRITTEN = 20, 1000
"""Records drawn when none says how many: to look at, and into a file."""
SUGGESTED = 8
"""Of how many to keep the best, as is told to those who ask for what can be measured."""


def sample(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    n: Annotated[
        int | None,
        typer.Option("-n", "--rows", min=1, help="How many. [default: 1000; 20 without --out]"),
    ] = None,
    out: Out = None,
    seed: Seed = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            "--temperature", min=0.0, help="Below 1: safer, less diverse. Default: the run's."
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            metavar="NAME=VALUE",
            help='What the records shall be, of a model with conditions: "label=7,qed=0.9".',
        ),
    ] = None,
    best_of: Annotated[
        int,
        typer.Option(
            "--best-of",
            min=1,
            metavar="N",
            help="Draw N for each and keep the nearest to --where, as the domain measures it.",
        ),
    ] = 1,
    prompt: Annotated[
        str | None,
        typer.Option("--prompt", metavar="TEXT", help="How the records begin."),
    ] = None,
    infill: Annotated[
        str | None,
        typer.Option(
            "--infill", metavar="TEXT", help="A record with gaps ____ that are to be filled."
        ),
    ] = None,
    windows: Annotated[
        int,
        typer.Option("--windows", min=1, help="Texts so many windows long, each after the last."),
    ] = 1,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change an option of drawing this once, say steps=20. Repeatable.",
        ),
    ] = None,
    device: Device = None,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Do not check the run's hashes first.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw new records from a trained model.

    Without --out the first few are shown. The ending of --out decides the format: .parquet, .csv,
    .jsonl, and those of the domain (.smi, .sdf for molecules).
    """
    from gmkit.codecs.where import wanted
    from gmkit.config import parse_settings

    asked, changed = wanted(where), parse_settings(settings or ())  # before torch takes seconds
    err = err_console(quiet=quiet)
    with err.status("Loading"):
        import gmkit
        from gmkit.cli.progress import TerminalObserver

        trained = gmkit.load(run, verify=not no_verify, device=device or "auto")
    observer = TerminalObserver(err)
    options: dict[str, Any] = {
        "where": asked,
        "settings": changed,
        "seed": seed,
        "temperature": temperature,
        "prompt": prompt,
        "infill": infill,
        "windows": windows,
        "best_of": best_of,
        "observer": observer,
    }
    if out is None:
        shown = trained.sample(n or SHOWN, **options)
        emit(
            {"rows": shown.to_pylist()},
            json=json,
            render=lambda _: trained.domain.preview(shown.combine_chunks().to_batches()[0]),
        )
        from gmkit.nearest import measurable

        again = where_words(where or ())
        if best_of > 1 or measurable(asked, trained.domain.measures()):
            again += f" --best-of {max(best_of, SUGGESTED)}"
        next_command(
            f"gmkit sample {run}{again} -n 1000 --out samples.parquet", quiet=quiet or json
        )
        return
    n = n or WRITTEN
    observer.stage(f"Drawing {n:,}")
    try:
        written = trained.write_samples(out, n, **options)
    finally:
        observer.close()
    left_out = n - written
    note = f" ({left_out:,} could not be written in this format)" if left_out else ""
    emit(
        {"file": str(out), "rows": written, "left_out": left_out},
        json=json,
        render=lambda _: f"{written:,} records in {out}{note}",
    )
    next_command(f"gmkit evaluate {run}", quiet=quiet or json)
