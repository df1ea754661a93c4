"""Arrow's own files, ``.arrow`` and ``.feather``: the file layout, on reading also the stream's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from gmkit.data.faults import readable
from gmkit.errors import DataError


class ArrowFile:
    """Arrow IPC, zstd-compressed on writing. It has no checksums: prefer parquet for keeping."""

    def schema(self, path: Path) -> pa.Schema:
        """The stored schema."""
        with readable(path), _open(path) as reader:
            return reader.schema

    def count(self, path: Path) -> int | None:
        """Rows, for the file layout; a stream would have to be read through."""
        with readable(path), _open(path) as reader:
            if isinstance(reader, pa.RecordBatchFileReader):
                batches = range(reader.num_record_batches)
                return sum(int(reader.get_batch(number).num_rows) for number in batches)
            return None

    def read(
        self, path: Path, columns: Sequence[str] | None, batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Records, each batch validated: offsets in a damaged file may point anywhere."""
        with readable(path), _open(path) as reader:
            for number, batch in enumerate(_stored_batches(reader)):
                with readable(path, f"batch {number}"):
                    batch.validate(full=True)
                    chosen = batch if columns is None else batch.select(list(columns))
                    for start in range(0, batch.num_rows, batch_rows):
                        yield chosen.slice(start, batch_rows)

    def open_writer(self, path: Path, schema: pa.Schema) -> ArrowWriter:
        """A writer of the file layout."""
        return ArrowWriter(path, schema)


class ArrowWriter:
    """Writes each batch as one stored batch."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        """Opens ``path``."""
        self._file = pa.OSFile(str(path), "wb")
        options = pa.ipc.IpcWriteOptions(compression="zstd", unify_dictionaries=False)
        self._writer = pa.ipc.new_file(self._file, schema, options=options)

    def write(self, batch: pa.RecordBatch) -> None:
        """Append records. Raises DataError where dictionaries differ between batches."""
        try:
            self._writer.write_batch(batch)
        except pa.ArrowInvalid as fault:
            raise DataError(
                f"an Arrow file cannot hold this batch: {fault}", hint="Write .parquet instead."
            ) from fault

    def close(self) -> None:
        """Write the footer."""
        try:
            self._writer.close()
        finally:
            self._file.close()


@contextmanager
def _open(path: Path) -> Iterator[pa.RecordBatchFileReader | pa.RecordBatchStreamReader]:
    with pa.memory_map(str(path)) as file:
        magic = file.read(6)
        file.seek(0)
        if magic.startswith(b"FEA1"):
            raise DataError("is Feather version 1", file=str(path), hint="Write it as version 2.")
        reader = pa.ipc.open_file(file) if magic == b"ARROW1" else pa.ipc.open_stream(file)
        with reader:
            yield reader


def _stored_batches(
    reader: pa.RecordBatchFileReader | pa.RecordBatchStreamReader,
) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, pa.RecordBatchFileReader):
        for index in range(reader.num_record_batches):
            yield reader.get_batch(index)
    else:
        yield from reader
