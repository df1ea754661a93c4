"""Changes of molecules as graphs, for ``gmkit design``: small edits, and crossings of two.

As in the graph genetic algorithm of Jensen 2019, "A graph-based genetic algorithm and generative
model/Monte Carlo tree search": hand-written, blind, fast, and hard to beat beside a model's own
proposals where few calls are to be had. What comes out is sanitised; an edit that does not give a
molecule is tried again with another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
from rdkit import Chem
from rdkit.Chem import BondType, Mol, RWMol

from gmkit_molecules.chemistry import quietly

__all__ = ["cross", "cut_bonds", "editable", "graft", "mutate", "picked", "whole"]

COLUMN = "smiles"
TRIES = 8
MOST_ATOMS = 60
LARGEST_RING = 7
GROUPS = (
    *("C", "C", "N", "O", "F", "Cl", "C#N", "OC", "N(C)C", "CC", "C(C)C", "C(F)(F)F", "CO", "CN"),
    *("C(=O)N", "C(=O)O", "NC(C)=O", "C(C)=O", "S(C)(=O)=O", "S(N)(=O)=O", "C(=O)OC", "C=C"),
    *("c1ccccc1", "c1ccncc1", "c1cccnc1", "C1CC1", "N1CCCC1", "N1CCCCC1", "N1CCOCC1", "N1CCNCC1"),
    *("c1ccco1", "c1cccs1", "[nH]1cccn1", "[nH]1ccnc1", "c1ncccn1", "C1CCCCC1", "C1CCNCC1"),
)
"""What is hung on an atom, by its first atom; small ones are as many as large ones."""
_GROUPS = tuple(Chem.MolFromSmiles(text) for text in GROUPS)
_ELEMENTS = (6, 6, 7, 8, 9, 16, 17)
Rng = np.random.Generator


def mutate(records: pa.RecordBatch, rng: Rng) -> list[str | None]:
    """One or two small edits of each molecule; None where none was found."""
    with quietly():
        return [_tried(partial(_edited, mol, rng)) for mol in _molecules(records)]


def cross(records: pa.RecordBatch, rng: Rng) -> list[str | None]:
    """A part of each molecule joined to a part of another of them."""
    molecules = _molecules(records)
    others = rng.permutation(len(molecules))
    pairs = zip(molecules, others, strict=True)
    with quietly():
        return [_tried(partial(_crossed, a, molecules[b], rng)) for a, b in pairs]


def whole(mol: RWMol | Mol) -> str | None:
    """The SMILES of a sane molecule in one piece of no more than ``MOST_ATOMS``, without rings that
    nobody makes; else None."""
    try:
        Chem.SanitizeMol(mol)
        text: str = Chem.MolToSmiles(mol)
    except (ValueError, RuntimeError):
        return None
    rings = mol.GetRingInfo().AtomRings()
    fits = mol.GetNumAtoms() <= MOST_ATOMS and all(len(r) <= LARGEST_RING for r in rings)
    fits = fits and not any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())
    return text if fits and text and "." not in text else None


def cut_bonds(mol: Mol) -> list[tuple[int, int]]:
    """Single bonds between heavy atoms outside of rings, as pairs of atoms."""
    return [
        (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
        for bond in mol.GetBonds()
        if bond.GetBondType() == BondType.SINGLE and not bond.IsInRing()
    ]


def graft(mol: Mol, inner: int, outer: int, other: Mol, root: int, rest: int) -> RWMol:
    """The side of ``inner`` of the bond inner-outer of ``mol``, joined to the side of ``root`` of
    the bond root-rest of ``other``."""
    pair = RWMol(Chem.CombineMols(mol, other))
    shift = mol.GetNumAtoms()
    pair.RemoveBond(inner, outer)
    pair.RemoveBond(root + shift, rest + shift)
    pair.AddBond(inner, root + shift, BondType.SINGLE)
    keep = next(set(part) for part in Chem.GetMolFrags(pair) if inner in part)
    pair.BeginBatchEdit()
    for atom in range(pair.GetNumAtoms()):
        if atom not in keep:
            pair.RemoveAtom(atom)
    pair.CommitBatchEdit()
    return pair


def _tried(make: Callable[[], RWMol | None]) -> str | None:
    for _ in range(TRIES):
        try:
            made = make()
        except (RuntimeError, ValueError):  # RDKit's on an edit that cannot be
            continue
        text = None if made is None else whole(made)
        if text is not None:
            return text
    return None


def _edited(mol: Mol, rng: Rng) -> RWMol | None:
    found: RWMol | None = RWMol(mol)
    for number in range(1 + int(rng.random() < 0.3)):
        if found is None:
            return None
        if number:
            Chem.SanitizeMol(found)
        edit = _EDITS[rng.choice(len(_EDITS), p=_SHARES)]
        found = edit(found, rng)
    return found


def _crossed(mol: Mol, other: Mol, rng: Rng) -> RWMol | None:
    mine, its = cut_bonds(mol), cut_bonds(other)
    if not mine or not its:
        return None
    inner, outer = _turned(mine[rng.integers(len(mine))], rng)
    root, rest = _turned(its[rng.integers(len(its))], rng)
    return graft(mol, inner, outer, other, root, rest)


def _turned(pair: tuple[int, int], rng: Rng) -> tuple[int, int]:
    return pair if rng.random() < 0.5 else (pair[1], pair[0])


# ---------------------------------------------------------------- edits


def _open_atoms(mol: RWMol) -> list[int]:
    """Atoms that carry a hydrogen."""
    return [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetTotalNumHs() > 0]


def picked(choices: Sequence[int], rng: Rng) -> int:
    """One by lot."""
    return choices[int(rng.integers(len(choices)))]


def _hang(mol: RWMol, rng: Rng) -> RWMol | None:
    """A group in place of a hydrogen."""
    places = _open_atoms(mol)
    if not places:
        return None
    group = _GROUPS[rng.integers(len(_GROUPS))]
    pair = RWMol(Chem.CombineMols(mol, group))
    place = picked(places, rng)
    root = mol.GetNumAtoms()
    _take_hydrogen(pair, place)
    _take_hydrogen(pair, root)
    pair.AddBond(place, root, BondType.SINGLE)
    return pair


def _take_hydrogen(mol: RWMol, place: int) -> None:
    """Of an atom whose hydrogens are written out, such as [nH], one goes."""
    atom = mol.GetAtomWithIdx(place)
    if atom.GetNumExplicitHs():
        atom.SetNumExplicitHs(atom.GetNumExplicitHs() - 1)


def _swap_element(mol: RWMol, rng: Rng) -> RWMol | None:
    plain = [a.GetIdx() for a in mol.GetAtoms() if not a.GetFormalCharge()]
    if not plain:
        return None
    atom = mol.GetAtomWithIdx(picked(plain, rng))
    if atom.GetIsAromatic():
        if atom.GetDegree() > 2 or atom.GetAtomicNum() not in (6, 7) or atom.GetTotalNumHs() > 1:
            return None
        new = 7 if atom.GetAtomicNum() == 6 else 6
        atom.SetNumExplicitHs(0)
    else:
        new = int(_ELEMENTS[rng.integers(len(_ELEMENTS))])
    if new == atom.GetAtomicNum():
        return None
    atom.SetAtomicNum(new)
    atom.SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)
    return mol


def _drop(mol: RWMol, rng: Rng) -> RWMol | None:
    """An atom at an end, or one between two others, which are joined."""
    places = [a.GetIdx() for a in mol.GetAtoms() if a.GetDegree() <= 2 and not a.GetIsAromatic()]
    if not places or mol.GetNumAtoms() < 4:
        return None
    place = picked(places, rng)
    around = [atom.GetIdx() for atom in mol.GetAtomWithIdx(place).GetNeighbors()]
    if len(around) == 2:
        if mol.GetBondBetweenAtoms(around[0], around[1]) is not None:
            return None
        mol.AddBond(around[0], around[1], BondType.SINGLE)
    mol.RemoveAtom(place)
    return mol


def _prune(mol: RWMol, rng: Rng) -> RWMol | None:
    """All that hangs on the smaller side of a bond."""
    bonds = cut_bonds(mol)
    if not bonds:
        return None
    first, second = bonds[rng.integers(len(bonds))]
    mol.RemoveBond(first, second)
    gone = min(Chem.GetMolFrags(mol), key=len)
    mol.BeginBatchEdit()
    for atom in gone:
        mol.RemoveAtom(atom)
    mol.CommitBatchEdit()
    return mol


def _insert(mol: RWMol, rng: Rng) -> RWMol | None:
    """An atom into a single bond."""
    bonds = [b for b in mol.GetBonds() if b.GetBondType() == BondType.SINGLE]
    if not bonds:
        return None
    bond = bonds[rng.integers(len(bonds))]
    first, second = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
    new = mol.AddAtom(Chem.Atom(int((6, 6, 7, 8)[rng.integers(4)])))
    mol.RemoveBond(first, second)
    mol.AddBond(first, new, BondType.SINGLE)
    mol.AddBond(new, second, BondType.SINGLE)
    return mol


def _swap_bond(mol: RWMol, rng: Rng) -> RWMol | None:
    bonds = [b for b in mol.GetBonds() if not b.GetIsAromatic()]
    if not bonds:
        return None
    bond = bonds[rng.integers(len(bonds))]
    single = bond.GetBondType() == BondType.SINGLE
    bond.SetBondType(BondType.DOUBLE if single else BondType.SINGLE)
    return mol


def _close_ring(mol: RWMol, rng: Rng) -> RWMol | None:
    places = _open_atoms(mol)
    if len(places) < 2:
        return None
    first = picked(places, rng)
    far = Chem.GetDistanceMatrix(mol)[first]
    second = [place for place in places if far[place] in (2, 4, 5)]
    if not second:
        return None
    other = picked(second, rng)
    _take_hydrogen(mol, first)
    _take_hydrogen(mol, other)
    mol.AddBond(first, other, BondType.SINGLE)
    return mol


def _open_ring(mol: RWMol, rng: Rng) -> RWMol | None:
    bonds = [b for b in mol.GetBonds() if b.IsInRing() and not b.GetIsAromatic()]
    if not bonds:
        return None
    bond = bonds[rng.integers(len(bonds))]
    mol.RemoveBond(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
    return mol


_EDITS = (_hang, _swap_element, _drop, _prune, _insert, _swap_bond, _close_ring, _open_ring)
_SHARES = np.array([0.30, 0.20, 0.12, 0.10, 0.12, 0.06, 0.05, 0.05])


def editable(text: str) -> Mol:
    """A molecule whose hydrogens follow from its bonds, as far as they can: a carbon written with
    its hydrogens, as all stereo centres are, would be left a radical when a bond goes."""
    mol = Chem.MolFromSmiles(text)
    for atom in mol.GetAtoms():
        if not atom.GetIsAromatic() and not atom.GetFormalCharge():
            atom.SetNoImplicit(False)
            atom.SetNumExplicitHs(0)
    mol.UpdatePropertyCache()
    return mol


def _molecules(records: pa.RecordBatch) -> list[Mol]:
    """Those of prepared records, which all are molecules."""
    with quietly():
        return [editable(text) for text in records.column(COLUMN).to_pylist()]
