"""SMILES files: one molecule a line, ``SMILES [name]``, blank or tab between them.

Lines that start with ``#`` and blank lines are no records; a first line whose first word is a
usual column name is a header.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from gmkit.errors import DataError
from gmkit_molecules.text_file import LineWriter, read_lines

_SCHEMA = pa.schema([("smiles", pa.string()), ("name", pa.string())])
_HEADERS = {"smiles", "smi", "canonical_smiles", "isomeric_smiles", "structure", "cxsmiles"}


@dataclass(frozen=True)
class SmilesFile:
    """The format of ``.smi`` and ``.smiles``, with ``gz`` also inside gzip."""

    gz: bool = False

    def schema(self, path: Path) -> pa.Schema:
        """``smiles`` and ``name``, the latter null where a line has none."""
        return _SCHEMA

    def count(self, path: Path) -> int | None:
        """Unknown before reading."""
        return None

    def read(
        self, path: Path, columns: Sequence[str] | None, batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Records in the order of the lines."""
        rows: list[tuple[str | None, str | None]] = []
        for row in self._rows(path):
            rows.append(row)
            if len(rows) == batch_rows:
                yield _batch(rows, columns)
                rows = []
        if rows:
            yield _batch(rows, columns)

    def _rows(self, path: Path) -> Iterator[tuple[str | None, str | None]]:
        first = True
        for line in read_lines(path, gz=self.gz):
            if not line.strip() or line.startswith("#"):
                continue
            smiles, name = _split(line)
            if first and smiles is not None and smiles.lower() in _HEADERS:
                first = False
                continue
            first = False
            yield smiles, name

    def open_writer(self, path: Path, schema: pa.Schema) -> SmilesWriter:
        """Writes ``smiles`` and, when the schema has it, ``name``. Raises DataError."""
        if "smiles" not in schema.names:
            raise DataError(
                "a SMILES file needs a column 'smiles'",
                file=str(path),
                hint="Write .parquet or .csv, which hold any columns.",
            )
        return SmilesWriter(path, gz=self.gz)


class SmilesWriter:
    """One line a record; other columns than smiles and name are not written."""

    def __init__(self, path: Path, *, gz: bool) -> None:
        self._out = LineWriter(path, gz=gz)
        self.skipped = 0
        """Records with neither SMILES nor name so far: their line would be blank, which is none."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Append records; a missing SMILES leaves its place before the name empty."""
        smiles = batch.column("smiles").to_pylist()
        names = batch.column("name").to_pylist() if "name" in batch.schema.names else smiles
        named = names is not smiles
        for molecule, name in zip(smiles, names, strict=True):
            tail = "\t" + " ".join(str(name).split()) if named and name is not None else ""
            if molecule or tail:
                self._out.write(f"{molecule or ''}{tail}\n")
            else:
                self.skipped += 1

    def close(self) -> None:
        """Complete the file."""
        self._out.close()


def _split(line: str) -> tuple[str | None, str | None]:
    """SMILES and name, None where one is missing."""
    if "\t" in line:
        smiles, name = line.split("\t", 1)
    else:
        smiles, _, name = line.strip().partition(" ")
    return smiles.strip() or None, name.strip() or None


def _batch(
    rows: list[tuple[str | None, str | None]], columns: Sequence[str] | None
) -> pa.RecordBatch:
    smiles, names = zip(*rows, strict=True)
    batch = pa.RecordBatch.from_arrays(
        [pa.array(smiles, pa.string()), pa.array(names, pa.string())], schema=_SCHEMA
    )
    return batch if columns is None else batch.select(list(columns))
