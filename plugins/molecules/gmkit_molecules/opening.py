"""A molecule with one open place, written so that it ends there: what a model then goes on from.

Every model of sequences can go on from a beginning, of any length and held to its grammar, while a
hole in the middle must be as long as what fills it. So the place is turned to the end.
"""

from __future__ import annotations

from itertools import chain

from rdkit import Chem
from rdkit.Chem import Mol, RWMol

__all__ = ["OPEN", "ending_at", "opened"]

OPEN = "*"
CHANCES = 200
_LAST = "[131I]"
"""Told apart from any iodine of the molecule."""


def opened(text: str) -> Mol | None:
    """The molecule of a SMILES in one piece with one ``*``, hung on one atom by a single bond;
    None for another text."""
    mol = Chem.MolFromSmiles(text)
    if mol is None or len(Chem.GetMolFrags(mol)) != 1 or mol.GetNumAtoms() < 2:
        return None
    stars = [atom for atom in mol.GetAtoms() if atom.GetAtomicNum() == 0]
    if len(stars) != 1 or stars[0].GetDegree() != 1:
        return None
    return mol if stars[0].GetBonds()[0].GetBondType() == Chem.BondType.SINGLE else None


def ending_at(mol: Mol, *, kekule: bool = False) -> str | None:
    """SMILES of a molecule as ``opened`` gives it, whose last atom is an iodine in place of the
    star; None where no way to write it so was found. ``kekule``: without aromatic atoms.

    Of two ways on from an atom RDKit takes that with the higher number later, so atoms are numbered
    by how near they are to the star; and a ring must be entered beside the atom that it hangs on,
    so roots are tried, far ones first. For 1 in 100 of drug-like molecules that does not do, and
    orders by chance are tried.
    """
    star = next(atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum() == 0)
    plain = RWMol(mol)
    plain.ReplaceAtom(star, Chem.AtomFromSmiles(_LAST))
    Chem.SanitizeMol(plain)
    if kekule:
        Chem.Kekulize(plain, clearAromaticFlags=True)
    distances = Chem.GetDistanceMatrix(plain)[star]
    far_first = sorted(range(plain.GetNumAtoms()), key=lambda atom: -distances[atom])
    turned = Chem.RenumberAtoms(plain, far_first)
    rooted = (
        Chem.MolToSmiles(turned, canonical=False, rootedAtAtom=root, kekuleSmiles=kekule)
        for root in range(turned.GetNumAtoms() - 1)
    )
    by_chance = (
        Chem.MolToRandomSmilesVect(turned, 1, seed, kekuleSmiles=kekule)[0]
        for seed in range(1, CHANCES + 1)
    )
    for text in chain(rooted, by_chance):
        if text.endswith(_LAST):
            return str(text.removesuffix(_LAST) + "I")
    return None
