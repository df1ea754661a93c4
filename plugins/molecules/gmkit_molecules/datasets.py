"""The data sets that lie inside RDKit, read where they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as csv
from rdkit import RDConfig

from gmkit.errors import DataError
from gmkit_molecules.smi import SmilesFile

_BATCH_ROWS = 4096


def screening() -> Iterator[pa.RecordBatch]:
    """10,000 screening molecules: ``smiles``, ``id``."""
    path = _inside_rdkit("Pains/test_data/wehi_mols.csv")
    yield from csv.read_csv(
        path, read_options=csv.ReadOptions(column_names=["smiles", "id"])
    ).to_batches(_BATCH_ROWS)


def nci() -> Iterator[pa.RecordBatch]:
    """4,999 compounds of the NCI collection: ``smiles``, ``name`` (its number there). 8 of
    them are no molecules by RDKit's rules, and SELFIES cannot write 9 more."""
    yield from SmilesFile().read(_inside_rdkit("NCI/first_5K.smi"), None, _BATCH_ROWS)


def _inside_rdkit(name: str) -> Path:
    path = Path(RDConfig.RDDataDir, name)
    if not path.is_file():
        raise DataError(
            "is not there",
            file=str(path),
            hint="This RDKit has no data folder. Reinstall it (pip install --force-reinstall "
            "rdkit), or give a file of your own: --data my.smi.",
        )
    return path
