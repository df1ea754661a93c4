"""Pictures of molecules as a file to write, ``--out molecules.png`` or ``.svg``: the first of them
in a grid, drawn by RDKit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NoReturn

import pyarrow as pa

from gmkit.errors import DataError

MOST = 60
"""Molecules in a picture."""


@dataclass(frozen=True)
class PictureFile:
    """A format that is only written."""

    kind: Literal["svg", "png"]

    def schema(self, path: Path) -> pa.Schema:
        """Raises DataError: molecules cannot be read from a picture."""
        self._unreadable(path)

    def count(self, path: Path) -> int | None:
        """Unknown."""
        return None

    def read(
        self, path: Path, columns: Sequence[str] | None, batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Raises DataError."""
        self._unreadable(path)

    def open_writer(self, path: Path, schema: pa.Schema) -> PictureWriter:
        """Draws up to ``MOST`` molecules of the column ``smiles``. Raises DataError without one."""
        if "smiles" not in schema.names:
            raise DataError(
                "a picture of molecules needs a column 'smiles'",
                file=str(path),
                hint="Write .parquet or .csv, which hold any columns.",
            )
        return PictureWriter(path, self.kind)

    @staticmethod
    def _unreadable(path: Path) -> NoReturn:
        raise DataError(
            "molecules cannot be read from a picture",
            file=str(path),
            hint="Give .smi, .sdf, .csv or .parquet.",
        )


@dataclass
class PictureWriter:
    """Gathers what is drawn on closing. Raises DataError then where there is no molecule."""

    path: Path
    kind: Literal["svg", "png"]
    kept: list[str] = field(default_factory=list)

    def write(self, batch: pa.RecordBatch) -> None:
        """Keep molecules until there are enough."""
        from gmkit_molecules.chemistry import readable

        if len(self.kept) < MOST:
            smiles = batch.column("smiles").filter(readable(batch.column("smiles")))
            self.kept += smiles.to_pylist()[: MOST - len(self.kept)]

    def close(self) -> None:
        """Draw."""
        from gmkit_molecules.drawing import draw_grid

        picture = draw_grid(self.kept, most=MOST, kind=self.kind)
        if picture is None:
            raise DataError("there is no molecule to draw", file=str(self.path))
        self.path.write_bytes(picture)
