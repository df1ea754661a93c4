"""A scaffold that every designed molecule must hold: ``gmkit design --scaffold``.

Written as SMILES with ``*`` (``[*]``, ``[*:1]``) where it is open:

    c1ccc(*)cc1            something must hang at the star, and nothing anywhere else
    *c1ccc(*)cc1           two such places, which may become different
    c1ccccc1*.*C1CCNCC1    two parts: what joins them (a linker) is to be found
    c1ccc2[nH]ccc2c1       no star: anything may hang anywhere

A molecule that a model proposes without the scaffold is not lost: parts of it, cut at single bonds
outside of rings, are hung where the scaffold is open.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import BondType, Mol, RWMol

from gmkit.errors import ConfigError
from gmkit_molecules.chemistry import explain, parse, quietly
from gmkit_molecules.graph_edits import COLUMN, cut_bonds, editable, picked, whole

__all__ = ["MoleculeScaffold"]

TRIES = 6
LARGEST = 20
"""Heavy atoms of a part that is hung on a place, at most."""
Rng = np.random.Generator


class MoleculeScaffold:
    """A ``gmkit.objectives.change.Scaffold`` of molecules."""

    def __init__(self, text: str) -> None:
        """Raises ConfigError for what is no molecule, or cannot be joined to one."""
        core = parse(text)
        if core is None:
            raise ConfigError(
                f"the scaffold {text!r} is no molecule: {explain(text)}",
                hint='For example: --scaffold "c1ccc(*)cc1", a star where it is open.',
            )
        stars = [atom for atom in core.GetAtoms() if atom.GetAtomicNum() == 0]
        if any(atom.GetDegree() != 1 for atom in stars) or len(stars) == core.GetNumAtoms():
            raise ConfigError(
                f"a star of the scaffold {text!r} does not hang on one atom",
                hint="Put each star at the end of a bond: c1ccc(*)cc1.",
            )
        if any(atom.GetBonds()[0].GetBondType() != BondType.SINGLE for atom in stars):
            raise ConfigError(
                f"a star of the scaffold {text!r} hangs on more than a single bond",
                hint="Write it without = or #; what is double belongs to the scaffold.",
            )
        for atom in stars:
            atom.SetAtomMapNum(0)
            atom.SetIsotope(0)
        self._core, self._open = core, bool(stars)
        self._parts = [set(part) for part in Chem.GetMolFrags(core)]
        spare = len(stars) - 2 * (len(self._parts) - 1)
        if len(self._parts) > 1 and (
            spare < 0 or any(not self._stars(core, part) for part in self._parts)
        ):
            raise ConfigError(
                f"the scaffold {text!r} is in {len(self._parts)} parts without stars to join them",
                hint="Give each part a star for what joins it: c1ccccc1*.*C1CCNCC1.",
            )
        self._query = self._asked()

    def _asked(self) -> Mol:
        """A query for what is no star. Where there are stars, each atom has as many neighbours as
        with them, so something hangs at every star and nothing elsewhere."""
        asked: Any = Chem.AdjustQueryParameters()
        asked.adjustDegree = asked.adjustRingCount = False
        asked.aromatizeIfPossible = asked.makeDummiesQueries = False
        if self._open:
            asked.adjustDegree = True
            asked.adjustDegreeFlags = Chem.AdjustQueryWhichFlags.ADJUST_IGNOREDUMMIES
        query = RWMol(Chem.AdjustQueryProperties(self._core, asked))
        return _without(query, set(self._stars(self._core, set(range(query.GetNumAtoms())))))

    @staticmethod
    def _stars(mol: Mol, part: set[int]) -> list[int]:
        return [i for i in part if mol.GetAtomWithIdx(i).GetAtomicNum() == 0]

    # ------------------------------------------------------------ the contract

    def holds(self, records: pa.RecordBatch) -> NDArray[np.bool_]:
        """(n,), of prepared records."""
        with quietly():
            molecules = [Chem.MolFromSmiles(text) for text in records.column(COLUMN).to_pylist()]
            return np.array([self._match(mol) is not None for mol in molecules], np.bool_)

    def openings(self, parents: pa.RecordBatch, rng: Rng) -> list[str | None]:
        """For each parent what is left of it without what hangs on one place; or of a parent that
        does not hold the scaffold, the scaffold with one place open, the others bare."""
        with quietly():
            return [self._opening(text, rng) for text in parents.column(COLUMN).to_pylist()]

    def fill(self, parents: pa.RecordBatch, donors: pa.RecordBatch, rng: Rng) -> list[str | None]:
        """For each parent one place filled anew from its donor, or all of them."""
        pairs = zip(
            parents.column(COLUMN).to_pylist(), donors.column(COLUMN).to_pylist(), strict=True
        )
        with quietly():
            return [self._filled(parent, donor, rng) for parent, donor in pairs]

    def _match(self, mol: Mol) -> tuple[int, ...] | None:
        """Atoms of ``mol`` that are the scaffold's."""
        found: tuple[int, ...] = mol.GetSubstructMatch(self._query)
        return found or None

    def _opening(self, parent: str, rng: Rng) -> str | None:
        held = editable(parent)
        try:
            match = self._match(held)
            cut = None if match is None else self._cut(held, match, rng)
            mol = self._one_open(rng) if cut is None else cut[0]
            return None if mol is None else Chem.MolToSmiles(mol)
        except (RuntimeError, ValueError):  # RDKit's on what cannot be
            return None

    def _one_open(self, rng: Rng) -> RWMol | None:
        """The scaffold, or of several parts one, with one of its stars."""
        mol = RWMol(self._core) if self._open else self._starred(rng)
        if mol is None:
            return None
        parts = Chem.GetMolFrags(mol)
        part = set(parts[rng.integers(len(parts))])
        stars = self._stars(mol, part)
        kept = picked(stars, rng)
        gone = (set(range(mol.GetNumAtoms())) - part) | (set(stars) - {kept})
        return _without(mol, gone)

    def _filled(self, parent: str, donor: str, rng: Rng) -> str | None:
        held, giver = editable(parent), editable(donor)
        for _ in range(TRIES):
            try:
                match = self._match(held)
                made = (
                    self._all_anew(giver, rng)
                    if match is None
                    else self._one_anew(held, match, giver, rng)
                )
                text = None if made is None else whole(made)
            except (RuntimeError, ValueError):  # RDKit's on a join that cannot be
                continue
            if text is not None and text != parent:
                return text
        return None

    # ------------------------------------------------------------ filling

    def _all_anew(self, giver: Mol, rng: Rng) -> RWMol | None:
        """The scaffold with every star replaced: parts joined first, then what hangs on it."""
        mol: RWMol | None = RWMol(self._core)
        if not self._open:
            return self._anywhere(giver, rng)
        parts = Chem.GetMolFrags(mol)
        while mol is not None and len(parts) > 1:
            first, second = (self._stars(mol, set(part)) for part in parts[:2])
            if not first or not second:
                return None
            mol = _linked(mol, (picked(first, rng), picked(second, rng)), giver, rng)
            parts = () if mol is None else Chem.GetMolFrags(mol)
        while mol is not None:
            stars = self._stars(mol, set(range(mol.GetNumAtoms())))
            if not stars:
                return mol
            mol = _hung(mol, picked(stars, rng), giver, rng)
        return None

    def _anywhere(self, giver: Mol, rng: Rng) -> RWMol | None:
        """A part of the giver on a place of a scaffold without stars that has a hydrogen."""
        mol = self._starred(rng)
        return None if mol is None else _hung(mol, mol.GetNumAtoms() - 1, giver, rng)

    def _starred(self, rng: Rng) -> RWMol | None:
        """The scaffold with a star, its last atom, on a place that has a hydrogen."""
        core = editable(Chem.MolToSmiles(self._core))
        free = [atom.GetIdx() for atom in core.GetAtoms() if atom.GetTotalNumHs() > 0]
        if not free:
            return None
        mol = RWMol(core)
        place = mol.GetAtomWithIdx(picked(free, rng))
        if place.GetNumExplicitHs():
            place.SetNumExplicitHs(place.GetNumExplicitHs() - 1)
        star = mol.AddAtom(Chem.Atom(0))
        mol.AddBond(place.GetIdx(), star, BondType.SINGLE)
        return mol

    def _one_anew(self, held: Mol, match: tuple[int, ...], giver: Mol, rng: Rng) -> RWMol | None:
        """What hangs on one place taken off, and a part of the giver hung there."""
        cut = self._cut(held, match, rng)
        return self._all_anew(giver, rng) if cut is None else _hung(*cut, giver, rng)

    @staticmethod
    def _cut(held: Mol, match: tuple[int, ...], rng: Rng) -> tuple[RWMol, int] | None:
        """The molecule with a star in place of what hangs on one place of the scaffold, and the
        star."""
        core = set(match)
        sides = [
            (inner, outer)
            for pair in cut_bonds(held)
            for inner, outer in (pair, pair[::-1])
            if inner in core and outer not in core
        ]
        rng.shuffle(sides)
        for inner, outer in sides:
            mol = RWMol(held)
            mol.RemoveBond(inner, outer)
            gone = next(set(part) for part in Chem.GetMolFrags(mol) if outer in part)
            if gone & core:  # it joins two parts of the scaffold
                continue
            star = mol.AddAtom(Chem.Atom(0))
            mol.AddBond(inner, star, BondType.SINGLE)
            return _without(mol, gone), star - len(gone)
        return None


def _hung(mol: RWMol, star: int, giver: Mol, rng: Rng) -> RWMol | None:
    """A part of the giver, one side of one of its bonds, in place of a star."""
    bonds = [pair[:: rng.choice((1, -1))] for pair in cut_bonds(giver)]
    rng.shuffle(bonds)
    for root, rest in bonds:
        part = RWMol(giver)
        part.RemoveBond(root, rest)
        keep = next(set(piece) for piece in Chem.GetMolFrags(part) if root in piece)
        if len(keep) <= LARGEST:
            return _joined(mol, [star], giver, [root], keep)
    return None


def _linked(mol: RWMol, stars: tuple[int, int], giver: Mol, rng: Rng) -> RWMol | None:
    """Two stars joined by what lies between two bonds of the giver; at times by a mere bond."""
    bonds = cut_bonds(giver)
    for _ in range(TRIES):
        if len(bonds) < 2 or rng.random() < 0.05:
            break
        first, second = (bonds[i] for i in rng.choice(len(bonds), 2, replace=False))
        part = RWMol(giver)
        part.RemoveBond(*first)
        part.RemoveBond(*second)
        for piece in Chem.GetMolFrags(part):
            roots = [atom for bond in (first, second) for atom in bond if atom in piece]
            if len(roots) == 2 and len(piece) <= LARGEST:
                return _joined(mol, list(stars), giver, roots, set(piece))
    first, second = (mol.GetAtomWithIdx(star).GetNeighbors()[0].GetIdx() for star in stars)
    mol.AddBond(first, second, BondType.SINGLE)
    return _without(mol, set(stars))


def _joined(
    mol: RWMol, stars: Sequence[int], giver: Mol, roots: Sequence[int], keep: set[int]
) -> RWMol:
    """Atoms ``keep`` of the giver bonded by ``roots`` to what the stars hang on."""
    shift = mol.GetNumAtoms()
    pair = RWMol(Chem.CombineMols(mol, giver))
    for star, root in zip(stars, roots, strict=True):
        place = pair.GetAtomWithIdx(star).GetNeighbors()[0].GetIdx()
        pair.AddBond(place, root + shift, BondType.SINGLE)
    rest = {atom + shift for atom in range(giver.GetNumAtoms()) if atom not in keep}
    return _without(pair, rest | set(stars))


def _without(mol: RWMol, gone: set[int]) -> RWMol:
    mol.BeginBatchEdit()
    for atom in gone:
        mol.RemoveAtom(atom)
    mol.CommitBatchEdit()
    return mol
