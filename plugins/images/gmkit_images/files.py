"""Image files: one alone, or a folder of them in which the sub-folders name the classes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from gmkit.data.formats import Writer
from gmkit.errors import DataError

__all__ = ["ENDINGS", "ImageFile", "ImageFolder"]

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
"""Of image files, in any case."""
_IMAGE, _FILE, _LABEL = (
    pa.field("image", pa.binary()),
    pa.field("file", pa.string()),
    pa.field("label", pa.string()),
)
_BYTES = 32 << 20
"""Files are read into batches of about so much: photographs are large."""
_LONGEST = 1 << 28
"""Bytes of a file; more is no image that can be used."""


class ImageFile:
    """An image file: one record of ``image`` and ``file``, its name."""

    def schema(self, path: Path) -> pa.Schema:
        """``image`` and ``file``."""
        return pa.schema([_IMAGE, _FILE])

    def count(self, path: Path) -> int:
        """One."""
        return 1

    def read(
        self, path: Path, columns: Sequence[str] | None, batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        """The one record."""
        batch = _batch([(_content(path), path.name)], self.schema(path))
        yield batch if columns is None else batch.select(list(columns))

    def open_writer(self, path: Path, schema: pa.Schema) -> Writer:
        """Only a ``.png`` is written. Raises DataError."""
        raise DataError(
            "an image file of this kind is not written",
            file=str(path),
            hint="Write .png for a picture of the first images, .parquet for all of them.",
        )


class ImageFolder:
    """Image files in a folder, at any depth, in the order of their paths.

    Where all lie in sub-folders, the first of these is the ``label``; where none does there are no
    labels. ``file`` is the path in the folder. Hidden files and folders are left out.
    """

    def files(self, folder: Path) -> tuple[Path, ...]:
        """Every image file. Raises DataError where some lie in sub-folders and some do not."""
        found = sorted(_walk(folder))
        loose = [path for path in found if path.parent == folder]
        if loose and len(loose) < len(found):
            raise DataError(
                f"{len(loose):,} images such as {loose[0].name} lie beside the sub-folders that "
                f"name the classes of the other {len(found) - len(loose):,}",
                file=str(folder),
                hint="Move them into a sub-folder of their class, or all into one folder.",
            )
        return tuple(found)

    def schema(self, folder: Path, files: tuple[Path, ...]) -> pa.Schema:
        """``image``, ``file`` and, with sub-folders, ``label``."""
        sorted_in = files[0].parent != folder
        return pa.schema([_IMAGE, _FILE, _LABEL] if sorted_in else [_IMAGE, _FILE])

    def read(
        self, folder: Path, files: tuple[Path, ...], batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        """A record for each file. Raises DataError for one that cannot be read at all."""
        schema = self.schema(folder, files)
        rows: list[tuple[object, ...]] = []
        held = 0
        for path in files:
            inside = path.relative_to(folder)
            content = _content(path)
            rows.append((content, inside.as_posix(), inside.parts[0])[: len(schema)])
            held += len(content)
            if len(rows) == batch_rows or held > _BYTES:
                yield _batch(rows, schema)
                rows, held = [], 0
        if rows:
            yield _batch(rows, schema)


def _walk(folder: Path) -> Iterator[Path]:
    """Image files at any depth; links to folders are not followed, so that it ends."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name[0] != "."]
        for name in names:
            if name[0] != "." and name.lower().endswith(ENDINGS):
                yield Path(place, name)


def _content(path: Path) -> bytes:
    """Raises DataError for a file that cannot be read, or is far too long."""
    try:
        if path.stat().st_size > _LONGEST:
            raise DataError(f"is over {_LONGEST >> 20} MB", file=str(path))
        return path.read_bytes()
    except OSError as fault:
        raise DataError(f"cannot be read: {fault.strerror}", file=str(path)) from fault


def _batch(rows: Sequence[tuple[object, ...]], schema: pa.Schema) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    arrays = [pa.array(c, field.type) for c, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
