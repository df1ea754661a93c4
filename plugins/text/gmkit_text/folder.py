"""A folder of text files: each a document, sub-folders their labels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from gmkit.errors import DataError
from gmkit_text.text_file import documents

ENDINGS = (".txt", ".md", ".rst", ".txt.gz")
"""Of text files, in any case."""


class TextFolder:
    """Text files at any depth, in the order of their paths; ``file`` is the path in the folder and
    ``label`` the first sub-folder, missing for files outside of any. Hidden ones are left out."""

    def files(self, folder: Path) -> tuple[Path, ...]:
        """Every text file."""
        return tuple(sorted(_walk(folder)))

    def schema(self, folder: Path, files: tuple[Path, ...]) -> pa.Schema:
        """``text``, ``file`` and, where there are sub-folders, ``label``."""
        names = ["text", "file"]
        if any(path.parent != folder for path in files):
            names.append("label")
        return pa.schema([(name, pa.string()) for name in names])

    def read(
        self, folder: Path, files: tuple[Path, ...], batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        """The documents of each file, those that are empty left out. Raises DataError when all
        are, or for one that is no text."""
        schema, found = self.schema(folder, files), False
        for path in files:
            if not path.stat().st_size:
                continue
            inside = path.relative_to(folder)
            label = inside.parts[0] if len(inside.parts) > 1 else None
            for text in documents(path, gz=path.name.lower().endswith(".gz")):
                found = True
                row = [[text], [inside.as_posix()], [label]][: len(schema)]
                yield pa.RecordBatch.from_arrays(
                    [pa.array(value, pa.string()) for value in row], schema=schema
                )
        if not found:
            raise DataError(f"all {len(files):,} text files are empty", file=str(folder))


def _walk(folder: Path) -> Iterator[Path]:
    """Links to folders are not followed, so that it ends."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name[0] != "."]
        for name in names:
            if name[0] not in "._" and name.lower().endswith(ENDINGS):
                yield Path(place, name)
