"""Structure-data files (MDL SDF, V2000 and V3000): a mol block and named properties a record.

A record becomes its SMILES, its title (``name``) and its properties, all as strings. One that
RDKit refuses becomes the SMILES of what is written there, so that ``prepare`` can say what is
wrong with it; one that is no mol block at all becomes null. Row n is record n.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
from rdkit import Chem, rdBase
from rdkit.Chem import rdDepictor

from gmkit.errors import DataError
from gmkit_molecules.chemistry import parse
from gmkit_molecules.text_file import LineWriter, read_lines

_TAG = re.compile(r">.*?<(.+)>")
_UNFIT = re.compile(r"[<>\s]")  # in the name of a property
_MOST_LINES = 1_000_000  # of one record; more means that this is no structure-data file
_RESERVED = ("smiles", "name")
_log = logging.getLogger("gmkit")


@dataclass(frozen=True)
class StructureDataFile:
    """The format of ``.sdf``, with ``gz`` also inside gzip."""

    gz: bool = False

    def schema(self, path: Path) -> pa.Schema:
        """``smiles``, ``name`` and every property that any record has; reads the whole file."""
        facts = path.stat() if path.exists() else None
        stamp = (facts.st_mtime_ns, facts.st_size) if facts else (0, 0)
        names = (*_RESERVED, *_properties(path, self.gz, stamp))
        return pa.schema([(name, pa.string()) for name in names])

    def count(self, path: Path) -> int | None:
        """Unknown before reading."""
        return None

    def read(
        self, path: Path, columns: Sequence[str] | None, batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Records in order; a property that a record lacks is null."""
        names = list(columns) if columns is not None else self.schema(path).names
        schema = pa.schema([(name, pa.string()) for name in names])
        rows: list[dict[str, str | None]] = []
        for record in _records(path, self.gz):
            rows.append(_row(record, "smiles" in names))
            if len(rows) == batch_rows:
                yield pa.RecordBatch.from_pylist(rows, schema)
                rows = []
        if rows:
            yield pa.RecordBatch.from_pylist(rows, schema)

    def open_writer(self, path: Path, schema: pa.Schema) -> StructureDataWriter:
        """Writes molecules with 2-D coordinates, other columns as properties. Raises
        DataError."""
        if "smiles" not in schema.names:
            raise DataError(
                "a structure-data file needs a column 'smiles'",
                file=str(path),
                hint="Write .parquet or .csv, which hold any columns.",
            )
        return StructureDataWriter(path, gz=self.gz)


class StructureDataWriter:
    """Records that are no molecules are left out, counted in ``skipped`` and told on closing."""

    def __init__(self, path: Path, *, gz: bool) -> None:
        self.skipped = 0
        """Records left out so far because their SMILES is no molecule."""
        self._out = LineWriter(path, gz=gz)

    def write(self, batch: pa.RecordBatch) -> None:
        """Append the molecules among the records."""
        for row in batch.to_pylist():
            smiles = row.pop("smiles")
            molecule = None if smiles is None else parse(smiles)
            if molecule is None:
                self.skipped += 1
                continue
            name = _one_line(row.pop("name", None) or "")
            self._out.write(_block(molecule, name) + _tags(row) + "$$$$\n")

    def close(self) -> None:
        """Complete the file."""
        self._out.close()
        if self.skipped:
            _log.warning(
                "%d records are no molecules and were left out of the .sdf file", self.skipped
            )


# ---------------------------------------------------------------- reading


def _records(path: Path, gz: bool) -> Iterator[list[str]]:
    """The lines of each record. Raises DataError."""
    record: list[str] = []
    for line in read_lines(path, gz=gz):
        if line.startswith("$$$$"):
            yield record
            record = []
        elif len(record) == _MOST_LINES:
            raise DataError(f"a record of over {_MOST_LINES} lines: no .sdf file", file=str(path))
        else:
            record.append(line)
    if any(line.strip() for line in record):  # a last record without its closing line
        yield record


@lru_cache(maxsize=8)
def _properties(path: Path, gz: bool, stamp: tuple[int, int]) -> tuple[str, ...]:
    """Property names in the order met; ``stamp`` tells one state of the file from another."""
    names: dict[str, None] = {}
    for line in read_lines(path, gz=gz):
        if line.startswith(">") and (tag := _TAG.match(line)) and tag[1] not in _RESERVED:
            names[tag[1]] = None
    return tuple(names)


def _row(record: list[str], smiles: bool) -> dict[str, str | None]:
    """Title, properties and, when wanted, SMILES of one record."""
    end = next((i + 1 for i, line in enumerate(record) if line.startswith("M  END")), len(record))
    row = _values(record[end:])
    row["name"] = (record[0].strip() or None) if record else None
    row["smiles"] = _smiles("\n".join(record[:end])) if smiles else None
    return row


def _values(lines: list[str]) -> dict[str, str | None]:
    """Properties: a line ``> <name>``, the value's lines, a blank line."""
    values: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in lines:
        if current is None and line.startswith(">") and (tag := _TAG.match(line)):
            current = values.setdefault(tag[1], [])
        elif not line.strip():
            current = None
        elif current is not None:
            current.append(line)
    return {name: "\n".join(value) or None for name, value in values.items()}


def _smiles(block: str) -> str | None:
    with rdBase.BlockLogs():
        molecule = Chem.MolFromMolBlock(block)
        if molecule is None:
            molecule = Chem.MolFromMolBlock(block, sanitize=False)
        return None if molecule is None else Chem.MolToSmiles(molecule) or None


# ---------------------------------------------------------------- writing


def _block(molecule: Chem.Mol, name: str) -> str:
    """The mol block with 2-D coordinates and ``name`` as its title."""
    rdDepictor.Compute2DCoords(molecule)
    molecule.SetProp("_Name", name)
    return Chem.MolToMolBlock(molecule)


def _tags(row: dict[str, Any]) -> str:
    """Properties; line breaks in a value would end it, so they become blanks."""
    return "".join(
        f"> <{_UNFIT.sub('_', key)}>\n{_one_line(value)}\n\n"
        for key, value in row.items()
        if value is not None
    )


def _one_line(value: Any) -> str:
    return " ".join(str(value).split())
