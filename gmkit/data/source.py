"""The one way records are read: files, folders, data sets and tables in memory, all as batches.

``open_source`` finds out what was meant, checks it and says what is wrong with it; ``Source`` reads
it, as often as asked, in memory that does not grow with the number of rows.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from gmkit.data.columns import MainColumn, choose_column
from gmkit.data.formats import CORE_FORMATS, Accompanied, FolderFormat, Format, ending
from gmkit.data.places import Found, Registry, find, find_all, no_format
from gmkit.errors import ConfigError, DataError

if TYPE_CHECKING:
    from gmkit.api import DatasetInfo
    from gmkit.domain import Domain

BATCH_BYTES = 64 << 20
"""Batches are joined up to about this size."""
Batches = Callable[[int], Iterator[pa.RecordBatch]]
"""At most so many rows a batch → the records from the start."""


class Source:
    """Records in a fixed order. Made by ``open_source``; may be read any number of times."""

    def __init__(
        self,
        name: str,
        schema: pa.Schema,
        read: Batches,
        *,
        files: tuple[Path, ...] = (),
        count: int | None = None,
        main: MainColumn | None = None,
        folder: Path | None = None,
    ) -> None:
        """``schema`` and ``read`` are as stored; ``main`` renames the domain's main column.
        ``folder``: where the places of the files in it tell something of the records."""
        self.name = name
        """What it is called in messages and model cards."""
        self.files = files
        """The files read, in order; empty for tables in memory and generated data sets."""
        self.schema = main.rename(schema) if main else schema
        """Columns as ``batches`` gives them."""
        self._read = read
        self._main = main
        self._count = count
        self._folder = folder

    def batches(self, rows: int = 8192) -> Iterator[pa.RecordBatch]:
        """All records, ``rows`` in each batch but the last, however they are stored; fewer of
        records so large that they would take over ``BATCH_BYTES``.

        Raises DataError where the data turn out damaged.
        """
        batches = _rebatched(self._read(rows), rows)
        return map(self._main.apply, batches) if self._main else batches

    def stored_name(self, column: str) -> str:
        """What a column of ``batches`` is called where it is stored."""
        return self._main.found if self._main and column == self._main.wanted else column

    def count(self) -> int | None:
        """Number of records where it is known without reading them, else None."""
        return self._count

    def fingerprint(self) -> str:
        """SHA-256 in hexadecimal over the content: of the files, else of the records.

        Neither the place nor the name of a file matters, only its ending, which says how it reads,
        and the sub-folder where that is a part of the record.
        """
        total = hashlib.sha256()
        for file in self.files:
            try:
                with file.open("rb") as stream:
                    content = hashlib.file_digest(stream, "sha256").hexdigest()
            except OSError as fault:
                raise DataError(f"cannot be read: {fault.strerror}", file=str(file)) from fault
            place = file.parent.relative_to(self._folder).as_posix() if self._folder else ""
            total.update(f"{place}{''.join(file.suffixes[-2:]).lower()} {content}\n".encode())
        if not self.files:
            # pandas writes its version into the metadata: the same records under another one.
            total.update(self.schema.remove_metadata().serialize())
            for batch in self.batches(65_536):
                total.update(batch.serialize())
        return total.hexdigest()


def open_source(
    data: Any, *, domain: Domain | None, registry: Registry | None = None, column: str = ""
) -> Source:
    """The records that ``data`` means, checked as far as that costs one look at each file.

    ``data``: a path to a file or to a folder of files (read in the order of their names), a list of
    ``Path``, the name of a data set, None (the domain's default data set), or in memory a pyarrow
    Table or RecordBatch, anything with ``__arrow_c_stream__`` (pandas, polars), or a list of
    strings for the domain's main column. An existing path wins over a data set of that name.
    ``column``: the one to take for the domain's main column, which is then renamed to it.
    ``registry``: of data sets and domains; None for what is installed.

    Raises DataError saying what is missing, empty, unknown or damaged, and what would do;
    ConfigError for a ``column`` where the domain has none.
    """
    if registry is None:
        from gmkit.plugins import registry as installed

        registry = installed()
    if domain is not None and column and not domain.column:
        raise ConfigError(
            f"domain {domain.info.name!r} uses whole rows and has no main column",
            hint=f"Leave out the column {column!r}.",
        )
    formats = dict(CORE_FORMATS) | dict(domain.formats() if domain else {})
    several = isinstance(data, (list, tuple)) and data and all(isinstance(d, Path) for d in data)
    if data is None or isinstance(data, (str, Path)) or several:
        found = find_all(data) if several else find(data, domain, registry, formats)
        if found.info is not None and not column and domain is not None and domain.column:
            column = found.info.column
        if found.batches is not None:
            source = _generated(found.name, found.batches, found.info)
        elif found.folder is not None and domain is not None and (reader := domain.folder()):
            source = _from_folder(found, found.folder, reader)
        else:
            source = _from_files(found.name, found.files, formats, domain, registry)
    else:
        source = _in_memory(data, domain, column)
    return _checked(source, domain, column)


def _from_files(
    name: str,
    files: tuple[Path, ...],
    formats: Mapping[str, Format],
    domain: Domain | None,
    registry: Registry,
) -> Source:
    readers: list[tuple[Path, Format]] = []
    for file in files:
        end = ending(file, formats)
        if end is None:
            raise no_format(file, formats, domain, registry)
        if not file.stat().st_size:
            raise DataError("is empty", file=str(file))
        readers.append((file, formats[end]))
    schema = _common_schema(readers)
    counts = [reader.count(file) for file, reader in readers]
    known = [count for count in counts if count is not None]

    def read(rows: int) -> Iterator[pa.RecordBatch]:
        for file, reader in readers:
            for batch in reader.read(file, None, rows):
                yield batch.replace_schema_metadata(schema.metadata)

    used = [
        path
        for file, reader in readers
        for path in (file, *(reader.companions(file) if isinstance(reader, Accompanied) else ()))
    ]
    count = sum(known) if len(known) == len(counts) else None
    return Source(name, schema, read, files=tuple(used), count=count)


def _from_folder(found: Found, folder: Path, reader: FolderFormat) -> Source:
    """A record for each file."""
    files = found.files

    def read(rows: int) -> Iterator[pa.RecordBatch]:
        return reader.read(folder, files, rows)

    schema = reader.schema(folder, files)
    return Source(found.name, schema, read, files=files, count=len(files), folder=folder)


def _common_schema(readers: list[tuple[Path, Format]]) -> pa.Schema:
    (first, reader), *others = readers
    schema = reader.schema(first)
    for file, other in others:
        found = other.schema(file)
        if found.equals(schema):
            continue
        pairs = zip(schema, found, strict=False)
        odd = next(((a, b) for a, b in pairs if not a.equals(b)), None)
        told = (
            f"column {odd[1].name!r} is {odd[1].type} here, {odd[0].name!r} is {odd[0].type}"
            if odd
            else f"{len(found)} columns here, {len(schema)}"
        )
        raise DataError(
            f"{told} in {first.name}; the files of a folder must have the same columns",
            file=str(file),
            hint="Give one of them, or write them with the same columns and types.",
        )
    return schema


def _generated(
    name: str, make: Callable[[], Iterator[pa.RecordBatch]], info: DatasetInfo | None
) -> Source:
    first = next(iter(make()), None)
    if first is None:
        raise DataError(f"data set {name!r} has no records")
    return Source(
        name, first.schema, lambda rows: make(), count=(info.rows or None) if info else None
    )


def _in_memory(data: Any, domain: Domain | None, column: str) -> Source:
    if isinstance(data, (list, tuple)):
        table = _strings(data, domain, column)
    elif isinstance(data, pa.RecordBatch):
        table = pa.Table.from_batches([data])
    elif isinstance(data, pa.Table):
        table = data
    elif hasattr(data, "__arrow_c_stream__"):
        try:
            table = pa.RecordBatchReader.from_stream(data).read_all()
        except (pa.ArrowException, TypeError, ValueError) as fault:
            raise DataError(
                f"the {type(data).__name__} is no table Arrow can hold: {fault}"
            ) from fault
        # A filtered pandas frame brings its index along.
        index = [n for n in table.column_names if n.startswith("__index_level_")]
        table = table.drop_columns(index)
    else:
        raise DataError(
            f"data of type {type(data).__name__} cannot be read",
            hint="Give a path, a data set's name, a table (pyarrow, pandas, polars) or strings.",
        )

    def read(rows: int) -> Iterator[pa.RecordBatch]:
        return iter(table.to_batches(max_chunksize=rows))

    return Source("table in memory", table.schema, read, count=table.num_rows)


def _strings(values: list[Any] | tuple[Any, ...], domain: Domain | None, column: str) -> pa.Table:
    name = (domain.column if domain else "") or column
    if not name:
        raise DataError(
            "a list of strings needs a domain with a main column",
            hint="Give a table with named columns.",
        )
    for row, value in enumerate(values):
        if not (value is None or isinstance(value, str)):
            raise DataError(f"{type(value).__name__} where a string is expected", row=row)
    return pa.table({column or name: pa.array(values, pa.string())})


def _checked(source: Source, domain: Domain | None, column: str) -> Source:
    """Refuse no columns, repeated columns and no rows; choose the main column."""
    place = str(source.files[0]) if len(source.files) == 1 else source.name
    if not source.schema.names:
        raise DataError("has no columns", file=place)
    double = [name for name, times in Counter(source.schema.names).items() if times > 1]
    if double:
        raise DataError(
            "two columns have this name", file=place, column=double[0], hint="Rename one of them."
        )
    main = choose_column(source.schema, domain, column, place)
    checked = Source(
        source.name,
        source.schema,
        source._read,
        files=source.files,
        count=source._count,
        main=main,
        folder=source._folder,
    )
    if source._count == 0 or (source._count is None and next(checked.batches(1), None) is None):
        raise DataError("has no rows", file=place, hint="Its columns are there, but no records.")
    return checked


def _rebatched(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """The same records, ``rows`` a batch: what follows must not depend on how they are stored.
    Only large ones (photographs) come in smaller batches, for the memory's sake."""
    waiting: list[pa.RecordBatch] = []
    held = 0
    for batch in batches:
        if waiting and sum(part.nbytes for part in [*waiting, batch]) > BATCH_BYTES:
            yield _joined(waiting)
            waiting, held = [], 0
        start = 0
        while held + batch.num_rows - start >= rows:
            part = batch.slice(start, rows - held)
            yield _joined([*waiting, part])
            start += part.num_rows
            waiting, held = [], 0
        if start < batch.num_rows:
            waiting.append(batch.slice(start))
            held += batch.num_rows - start
    if waiting:
        yield _joined(waiting)


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)
