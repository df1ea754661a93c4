"""What a search leaves in its folder."""

from __future__ import annotations

import time
from pathlib import Path

import pyarrow as pa
from pyarrow import csv

from gmkit.artifact.files import write_bytes_atomic, write_text_atomic
from gmkit.data.sink import write_table
from gmkit.design.archive import Archive
from gmkit.design.curve import curve_svg
from gmkit.domain import Domain
from gmkit.errors import DataError

__all__ = ["CALLS", "RANKED", "read_calls", "write_calls", "write_results"]

CALLS, RANKED, BEST = "calls.csv", "designed.csv", "best.csv"
"""All in the order of the calls; all, the best first; the best, each beside the nearest known."""
KEPT, DRAWN = 100, 30
"""Records compared with the known ones, and put into the picture."""


def write_calls(folder: Path, archive: Archive, *, every: float = 0.0) -> None:
    """What was scored so far; with ``every`` only if that was last done so many seconds ago."""
    path = folder / CALLS
    recent = every and path.exists() and time.time() - path.stat().st_mtime < every
    if len(archive) and not recent:
        write_table(path, _plain(archive.table()), {})


def read_calls(folder: Path, column: str) -> pa.Table:
    """What an earlier search scored, ``column`` as text. Raises DataError for a folder without."""
    path = folder / CALLS
    if not path.is_file():
        raise DataError(
            f"{folder} holds no {CALLS} of an earlier search",
            hint="Give --resume the folder that gmkit design wrote.",
        )
    try:
        return csv.read_csv(
            path, convert_options=csv.ConvertOptions(column_types={column: pa.string()})
        )
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: {error}", hint="It is not as gmkit wrote it.") from error


def write_results(folder: Path, archive: Archive, domain: Domain, known: pa.Table) -> pa.Table:
    """Ranked records, the best with the nearest of ``known``, their picture, and the curve of the
    best scores; returns the best."""
    ranked = _plain(archive.ranked())
    write_table(folder / RANKED, ranked, {})
    best = ranked.slice(0, KEPT)
    drawing = domain.draw(_batch(best.slice(0, DRAWN)))
    if drawing is not None:
        ending = "png" if drawing.startswith(b"\x89PNG") else "svg"
        write_bytes_atomic(folder / f"best.{ending}", drawing)
    write_text_atomic(folder / "curve.svg", curve_svg(archive.curve(), "Best fitness"))
    near = domain.nearest(_batch(best), _batch(known))
    if near is not None:
        for name in near.schema.names:
            best = best.append_column(name, near.column(name))
        write_table(folder / BEST, best, {})
    return best


def _plain(table: pa.Table) -> pa.Table:
    """Without the columns that only a codec reads, whose names begin with gmkit:."""
    return table.select([name for name in table.schema.names if not name.startswith("gmkit:")])


def _batch(table: pa.Table) -> pa.RecordBatch:
    return table.combine_chunks().to_batches()[0]
