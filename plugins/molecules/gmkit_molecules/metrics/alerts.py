"""Structural alerts: the rules by which MOSES filtered its data set.

22 medicinal chemistry filters (MCF) and 480 pan-assay interference patterns (PAINS, Baell and
Holloway 2010), matched with explicit hydrogens; the files and their licence are in ``data``.
"""

from __future__ import annotations

import csv
import functools
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, DataStructs

__all__ = ["passes", "patterns"]

ELEMENTS = frozenset({1, 6, 7, 8, 9, 16, 17, 35})
"""Allowed atomic numbers: H, C, N, O, F, S, Cl, Br."""

LARGEST_RING = 7
"""Atoms in the largest ring that passes."""


@functools.cache
def patterns() -> tuple[Chem.Mol, ...]:
    """The 502 queries, MCF first."""
    data = files("gmkit_molecules.metrics") / "data"
    mcf = csv.DictReader((data / "mcf.csv").read_text("utf-8").splitlines())
    pains = csv.reader((data / "wehi_pains.csv").read_text("utf-8").splitlines())
    smarts = [row["smarts"] for row in mcf] + [row[0] for row in pains]
    return tuple(Chem.MolFromSmarts(text) for text in smarts)


@functools.cache
def _screens() -> NDArray[np.uint8]:
    """Pattern fingerprints of the queries, packed, shape ``(502, 256)``."""
    return np.stack([_packed(query) for query in patterns()])


def _packed(mol: Chem.Mol) -> NDArray[np.uint8]:
    return np.frombuffer(DataStructs.BitVectToBinaryText(Chem.PatternFingerprint(mol)), np.uint8)


def passes(mol: Chem.Mol) -> bool:
    """Whether a sanitised molecule is neutral, of allowed elements, small rings and no alert."""
    if any(len(ring) > LARGEST_RING for ring in mol.GetRingInfo().AtomRings()):
        return False
    if any(a.GetFormalCharge() or a.GetAtomicNum() not in ELEMENTS for a in mol.GetAtoms()):
        return False
    with_hydrogens = Chem.AddHs(mol)
    # A query can only match where all bits of its pattern fingerprint are set (RDKit's
    # substructure screen): it leaves ~25 of 502 queries to match, five times faster.
    absent = ~_packed(with_hydrogens)
    possible = np.flatnonzero(~(_screens() & absent).any(axis=1))
    queries = patterns()
    return not any(with_hydrogens.HasSubstructMatch(queries[i]) for i in possible)
