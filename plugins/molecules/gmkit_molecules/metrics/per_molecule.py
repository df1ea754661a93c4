"""Features of single molecules, batch by batch: what worker processes run.

Each function takes a batch of SMILES and returns plain strings and arrays, which travel between
processes faster than RDKit molecules. All but ``canonical`` expect valid SMILES.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import rdFingerprintGenerator, rdmolops
from rdkit.Chem.Scaffolds import MurckoScaffold

from gmkit_molecules.chemistry import parse

__all__ = ["canonical", "fingerprints", "fragments", "passing", "properties", "scaffolds"]

_murcko: Callable[[Chem.Mol], Chem.Mol] = MurckoScaffold.GetScaffoldForMol

SCAFFOLD_RINGS = 2
"""Fewest rings of a scaffold that counts, as in MOSES."""


def canonical(smiles: Sequence[str]) -> list[str | None]:
    """Canonical SMILES, None for an invalid string.

    Valid is what ``chemistry.parse`` reads, with an atom, and whose canonical SMILES RDKit reads
    as well.
    """
    with rdBase.BlockLogs():
        return [_canonical(text) for text in smiles]


def _canonical(text: str) -> str | None:
    mol = parse(text)
    if mol is None or not mol.GetNumAtoms():
        return None
    result = str(Chem.MolToSmiles(mol))
    readable = result == text or Chem.MolFromSmiles(result) is not None
    return result if readable else None


def fingerprints(smiles: Sequence[str]) -> NDArray[np.uint8]:
    """Morgan fingerprints, radius 2, 1024 bits, packed: shape ``(len(smiles), 128)``."""
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)
    return np.packbits([generator.GetFingerprintAsNumPy(mol) for mol in _mols(smiles)], axis=1)


def fragments(smiles: Sequence[str]) -> list[list[str]]:
    """The BRICS fragments of each molecule (Degen et al., ChemMedChem 3, 1503, 2008)."""
    with rdBase.BlockLogs():
        return [
            Chem.MolToSmiles(rdmolops.FragmentOnBRICSBonds(mol)).split(".") for mol in _mols(smiles)
        ]


def scaffolds(smiles: Sequence[str]) -> list[list[str]]:
    """The Murcko scaffold (Bemis and Murcko, J. Med. Chem. 39, 2887, 1996) of each molecule,
    empty where it has fewer than ``SCAFFOLD_RINGS`` rings."""
    with rdBase.BlockLogs():
        return [_scaffold(mol) for mol in _mols(smiles)]


def _scaffold(mol: Chem.Mol) -> list[str]:
    try:
        scaffold = _murcko(mol)
    except (RuntimeError, ValueError):  # valences that only made sense with the side chains
        return []
    if scaffold.GetRingInfo().NumRings() < SCAFFOLD_RINGS:
        return []
    return [Chem.MolToSmiles(scaffold)]


def passing(smiles: Sequence[str]) -> list[bool]:
    """Whether each molecule passes the filters of ``alerts``."""
    from gmkit_molecules.metrics.alerts import passes

    with rdBase.BlockLogs():
        return [passes(mol) for mol in _mols(smiles)]


def properties(smiles: Sequence[str], names: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """The named properties of each molecule, shape ``(len(smiles),)`` each."""
    from gmkit_molecules.properties import properties as compute

    with rdBase.BlockLogs():
        return compute(_mols(smiles), names)


def _mols(smiles: Sequence[str]) -> list[Chem.Mol]:
    return [Chem.MolFromSmiles(text) for text in smiles]
