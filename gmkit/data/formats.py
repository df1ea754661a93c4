"""File formats: how records are read from and written to one file, by the ending of its name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import pyarrow as pa

from gmkit.data.arrow_ipc import ArrowFile
from gmkit.data.delimited import Delimited
from gmkit.data.json_lines import JsonLines
from gmkit.data.parquet import Parquet


class Writer(Protocol):
    """A file being written. Made by ``Format.open_writer``, driven by ``gmkit.data.sink.Sink``."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Append records of the schema given to ``open_writer``."""

    def close(self) -> None:
        """Complete the file. Called once, also after a failed ``write``."""


class Format(Protocol):
    """One file format. A domain adds its own (``".smi"``) through ``Domain.formats``.

    Raises DataError, naming the file and where in it, for whatever it cannot read or write; OSError
    may pass from a writer (the Sink tells it). Memory must not grow with the number of rows.
    """

    def schema(self, path: Path) -> pa.Schema:
        """Names and types of the columns."""
        ...

    def read(
        self, path: Path, columns: Sequence[str] | None, batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        """The records in order, at most ``batch_rows`` a batch; ``columns`` None means all."""
        ...

    def count(self, path: Path) -> int | None:
        """Number of rows where it costs no more than ``schema`` did, else None."""
        ...

    def open_writer(self, path: Path, schema: pa.Schema) -> Writer:
        """Start writing to exactly ``path`` (a temporary name, whatever its ending)."""
        ...


@runtime_checkable
class Accompanied(Protocol):
    """A Format whose files need others beside them, as images their labels."""

    def companions(self, path: Path) -> tuple[Path, ...]:
        """The other files that ``read`` uses: their content, too, is the data's."""
        ...


class FolderFormat(Protocol):
    """How a domain reads a folder of many small files as one source of records, each file a
    record (images sorted into classes). Given by ``Domain.folder``."""

    def files(self, folder: Path) -> tuple[Path, ...]:
        """The files inside, sub-folders included, in the order of reading; () where there are
        none of the domain's. Raises DataError for an arrangement that cannot be understood."""
        ...

    def schema(self, folder: Path, files: tuple[Path, ...]) -> pa.Schema:
        """Names and types of the columns."""
        ...

    def read(
        self, folder: Path, files: tuple[Path, ...], batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        """A record for each of ``files`` in order, at most ``batch_rows`` a batch."""
        ...


CORE_FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        ".parquet": Parquet(),
        ".pq": Parquet(),
        ".csv": Delimited(),
        ".csv.gz": Delimited(gzip=True),
        ".tsv": Delimited("\t"),
        ".tsv.gz": Delimited("\t", gzip=True),
        ".jsonl": JsonLines(),
        ".jsonl.gz": JsonLines(gzip=True),
        ".ndjson": JsonLines(),
        ".ndjson.gz": JsonLines(gzip=True),
        ".arrow": ArrowFile(),
        ".feather": ArrowFile(),
    }
)
"""Formats of every domain, by ending in lower case."""


def ending(path: Path, known: Iterable[str]) -> str | None:
    """The longest of ``known`` with which the file's name ends, in any case; None when none."""
    name = path.name.lower()
    fits = [end for end in known if name.endswith(end) and len(name) > len(end)]
    return max(fits, key=len, default=None)


def listed(endings: Iterable[str]) -> str:
    """Endings for a message: ``.csv, .parquet``."""
    return ", ".join(sorted(endings))
