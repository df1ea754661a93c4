"""The one way records are written: to a file that appears whole, by rename, or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa

from gmkit.artifact.files import clear_litter, remove, sync, temporary_name
from gmkit.data.formats import CORE_FORMATS, Format, Writer, ending, listed
from gmkit.errors import DataError, did_you_mean

_NO_ROOM = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


class Sink:
    """Streams record batches into ``path``, in the format its ending names::

        with Sink(path, schema, formats) as sink:
            for batch in batches:
                sink.write(batch)

    On a clean exit the file is completed, flushed to the disk and renamed. On an exception, of
    its own or of the body, a previous ``path`` is untouched and nothing new is left.
    """

    def __init__(
        self,
        path: Path,
        schema: pa.Schema,
        formats: Mapping[str, Format],
        *,
        overwrite: bool = True,
    ) -> None:
        """Raises DataError for an ending, a place or a schema that cannot be written."""
        # A link is written through, not replaced.
        self.path = Path(os.path.realpath(path))
        self.schema = schema
        self.rows = 0
        """Rows given to ``write`` so far."""
        self.skipped = 0
        """Of those, how many the format could not hold; known once closed."""
        self._format = _format_of(path, formats)
        self._overwrite = overwrite
        self._temporary = temporary_name(self.path)
        self._writer: Writer | None = None
        double = [name for name, times in Counter(schema.names).items() if times > 1]
        if double:
            raise DataError("two columns have this name", file=str(path), column=double[0])
        self._check_place()

    def __enter__(self) -> Self:
        self._check_place()
        clear_litter(self.path.parent)
        try:
            self._writer = self._format.open_writer(self._temporary, self.schema)
        except OSError as fault:
            error = self._told(fault, 0)
            self._discard()
            raise error from fault
        except BaseException:
            self._discard()
            raise
        return self

    def write(self, batch: pa.RecordBatch) -> None:
        """Append records. Raises DataError where they do not fit the schema or there is no room."""
        if self._writer is None:
            raise RuntimeError("Sink.write outside its with block")
        try:
            if not batch.schema.equals(self.schema, check_metadata=True):
                batch = batch.cast(self.schema)
            self._writer.write(batch)
        except OSError as fault:
            raise self._told(fault, batch.nbytes) from fault
        except (pa.ArrowException, ValueError) as fault:
            raise DataError(
                f"records do not fit the columns to be written: {fault}", file=str(self.path)
            ) from fault
        self.rows += batch.num_rows

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        writer, self._writer = self._writer, None
        if writer is None:
            return
        if kind is not None:
            with contextlib.suppress(Exception):  # the first error is the one to tell
                writer.close()
            self._discard()
            return
        try:
            writer.close()
            self.skipped = int(getattr(writer, "skipped", 0))
            sync(self._temporary)
            self._temporary.replace(self.path)
        except OSError as fault:
            raise self._told(fault, 0) from fault
        finally:
            self._discard()
        with contextlib.suppress(OSError):  # some file systems cannot flush a folder
            sync(self.path.parent)

    def _discard(self) -> None:
        with contextlib.suppress(OSError):
            remove(self._temporary)

    def _check_place(self) -> None:
        folder, where = self.path.parent, str(self.path)
        if not folder.is_dir():
            found = "is not a folder" if folder.exists() else "does not exist"
            raise DataError(f"the folder {folder} {found}", file=where, hint="Make it first.")
        if self.path.exists() and not self.path.is_file():
            raise DataError("exists and is no regular file", file=where, hint="Name another.")
        if self.path.exists() and not self._overwrite:
            raise DataError("exists already", file=where, hint="Name another or allow overwriting.")

    def _told(self, fault: OSError, pending: int) -> DataError:
        """``fault`` with the figures that help; ``pending``: bytes of the batch at hand."""
        written = self._temporary.stat().st_size if self._temporary.exists() else 0
        why = os.strerror(fault.errno) if fault.errno else str(fault)
        message = f"cannot be written: {why}, after {written:,} bytes ({self.rows:,} rows)"
        hint = "Nothing was left there; an earlier file of that name is untouched."
        if fault.errno in _NO_ROOM:
            free = shutil.disk_usage(self.path.parent).free
            message += f"; at least {max(pending, 1):,} bytes more are needed, {free:,} are free"
            hint = f"Free some space, raise the quota or name another place. {hint}"
        return DataError(message, file=str(self.path), hint=hint)


def write_table(path: str | Path, table: pa.Table, formats: Mapping[str, Format]) -> int:
    """Write a whole table in a core format or one of ``formats``; returns the rows written, fewer
    where the format cannot hold some. Raises DataError."""
    with Sink(Path(path), table.schema, {**CORE_FORMATS, **formats}) as sink:
        for batch in table.to_batches():
            sink.write(batch)
    return sink.rows - sink.skipped


def _format_of(path: Path, formats: Mapping[str, Format]) -> Format:
    end = ending(path, formats)
    if end is None:
        found = f"ends in {path.suffix!r}" if path.suffix else "has no ending"
        raise DataError(
            f"{found}; one of {listed(formats)} says how to write it",
            file=str(path),
            hint=did_you_mean(path.suffix, formats) if path.suffix else "",
        )
    return formats[end]
