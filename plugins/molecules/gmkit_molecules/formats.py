"""File formats of molecules by ending."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from gmkit_molecules.picture_file import PictureFile
from gmkit_molecules.sdf import StructureDataFile
from gmkit_molecules.smi import SmilesFile

if TYPE_CHECKING:
    from gmkit.data.formats import Format

FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        ".smi": SmilesFile(),
        ".smiles": SmilesFile(),
        ".smi.gz": SmilesFile(gz=True),
        ".smiles.gz": SmilesFile(gz=True),
        ".sdf": StructureDataFile(),
        ".sdf.gz": StructureDataFile(gz=True),
        ".svg": PictureFile("svg"),
        ".png": PictureFile("png"),
    }
)
