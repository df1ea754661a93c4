"""Changes of molecules as graphs: always molecules, seldom the same, seeded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from gmkit_molecules.graph_edits import LARGEST_RING, MOST_ATOMS, cross, cut_bonds, mutate
from rdkit import Chem

SMILES = [
    "CC(=O)Oc1ccccc1C(=O)O",
    "C[C@H](N)C(=O)N1CCC[C@H]1C(=O)O",
    "c1ccc2[nH]ccc2c1",
    "CC[NH+](CC)CC(=O)Nc1c(C)cccc1C",
    "COc1ccc2nc(S(=O)Cc3ncc(C)c(OC)c3C)[nH]c2c1",
    "O=[N+]([O-])c1ccc(Cl)cc1",
]
RECORDS = pa.RecordBatch.from_pydict({"smiles": SMILES * 20})


@pytest.mark.parametrize("change", [mutate, cross])
def test_what_comes_out_is_a_molecule(change: Callable[..., list[str | None]]):
    found = change(RECORDS, np.random.default_rng(0))
    assert len(found) == len(RECORDS)
    made = [text for text in found if text is not None]
    assert len(made) > (0.95 if change is mutate else 0.6) * len(found)
    assert change is mutate or found[2] is None  # rings alone, nothing to cut
    for text in made:
        mol = Chem.MolFromSmiles(text)
        assert mol is not None and mol.GetNumAtoms() <= MOST_ATOMS and "." not in text
        assert not any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())
        assert all(len(ring) <= LARGEST_RING for ring in mol.GetRingInfo().AtomRings())
    changed = sum(a != b for a, b in zip(found, RECORDS.column(0).to_pylist(), strict=True))
    assert changed > 0.8 * len(found) and len(set(made)) > 0.6 * len(made)
    assert change(RECORDS, np.random.default_rng(0)) == found


def test_what_cannot_be_crossed_gives_nothing():
    one = pa.RecordBatch.from_pydict({"smiles": ["c1ccccc1"]})
    assert cross(one, np.random.default_rng(0)) == [None]
    assert cross(one.slice(0, 0), np.random.default_rng(0)) == []


def test_bonds_to_cut():
    assert cut_bonds(Chem.MolFromSmiles("C1CC1C(=O)N")) == [(2, 3), (3, 5)]
