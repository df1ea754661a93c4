"""``gmkit reconstruct``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gmkit.cli.console import emit, err_console, next_command
from gmkit.cli.options import Device, Json, Out, Quiet

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import RenderableType

    from gmkit.domain import Domain


def reconstruct(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    data: Annotated[
        str | None,
        typer.Argument(metavar="[DATA]", help="Records; default: some held out of training."),
    ] = None,
    n: Annotated[int, typer.Option("-n", "--rows", min=1, help="How many at most.")] = 10,
    out: Out = None,
    device: Device = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Send records through the latent of a trained model and back, without noise.

    How much of a record the latent holds: what comes back is shown below what went in.
    """
    with err_console(quiet=quiet).status("Loading"):
        import gmkit
        from gmkit.data.sink import write_table
        from gmkit.errors import ConfigError

        trained = gmkit.load(run, device=device or "auto")
    if "reconstruct" not in trained.family.capabilities:
        raise ConfigError(
            f"{trained.config.model} has no latent to go through and back",
            hint="Train one that has: --model vae, or a stack that begins with it.",
        )
    given = trained.dataset().table("test") if data is None else trained.records(data)
    before = trained.rewritten(given.slice(0, n))
    after = trained.reconstruct(given.slice(0, n))
    same = sum(a == b for a, b in zip(before.to_pylist(), after.to_pylist(), strict=True))
    told = f"{same} of {before.num_rows} came back unchanged"
    if out is not None:
        write_table(out, after, trained.domain.formats())
        told = f"{after.num_rows} records in {out}; {told}"
    facts = {"rows": before.num_rows, "unchanged": same}
    if out is None:
        facts |= {"before": before.to_pylist(), "after": after.to_pylist()}
    emit(facts, json=json, render=lambda _: _both(trained.domain, before, after, told))
    next_command(f"gmkit evaluate {run}", quiet=quiet or json)


def _both(domain: Domain, before: pa.Table, after: pa.Table, told: str) -> RenderableType:
    """Previews of what went in and of what came back."""
    from rich.console import Group

    shown = [domain.preview(t.combine_chunks().to_batches()[0]) for t in (before, after)]
    return Group("Went in:", shown[0], "Came back:", shown[1], told)
