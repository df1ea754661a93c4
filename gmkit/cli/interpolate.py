"""``gmkit interpolate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gmkit.cli.console import emit, err_console, next_command
from gmkit.cli.options import Device, Json, Out, Quiet


def interpolate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    first: Annotated[str, typer.Argument(metavar="FIRST", help="A record, or a file with it.")],
    last: Annotated[str, typer.Argument(metavar="LAST", help="Another.")],
    steps: Annotated[int, typer.Option("--steps", min=2, help="Records, both ends included.")] = 8,
    out: Out = None,
    device: Device = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what lies between two records, in the latent of a trained model.

    Example: gmkit interpolate runs/molecules-vae "CCO" "c1ccccc1O"
    """
    with err_console(quiet=quiet).status("Loading"):
        import gmkit
        from gmkit.data.sink import write_table

        trained = gmkit.load(run, device=device or "auto")
    found = trained.interpolate(first, last, steps)
    if out is not None:
        write_table(out, found, trained.domain.formats())
        emit(
            {"file": str(out), "rows": found.num_rows},
            json=json,
            render=lambda _: f"{found.num_rows} records in {out}",
        )
        return
    emit(
        {"rows": found.to_pylist()},
        json=json,
        render=lambda _: trained.domain.preview(found.combine_chunks().to_batches()[0]),
    )
    again = f"gmkit interpolate {run} … --steps {2 * steps} --out between.parquet"
    next_command(again, quiet=quiet or json)
