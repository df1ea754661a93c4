"""Scaffolds: what holds one, and what is hung on it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from gmkit_molecules.scaffold import MoleculeScaffold
from rdkit import Chem

from gmkit.errors import ConfigError

DONORS = [
    "CC(=O)Oc1ccccc1C(=O)O",
    "COc1ccc2nc(S(=O)Cc3ncc(C)c(OC)c3C)[nH]c2c1",
    "CCN(CC)CC(=O)Nc1c(C)cccc1C",
    "O=C(NCc1ccco1)c1ccc(S(=O)(=O)N2CCOCC2)cc1",
]


def records(*smiles: str) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"smiles": list(smiles)})


@pytest.mark.parametrize(
    ("scaffold", "yes", "no"),
    [
        ("c1ccc(*)cc1", ["Cc1ccccc1", "c1ccc(-c2ccncc2)cc1"], ["c1ccccc1", "Cc1ccccc1C", "CCO"]),
        ("[*:1]c1ccc([*:2])cc1", ["Cc1ccc(O)cc1"], ["Cc1cccc(O)c1", "Cc1ccccc1"]),
        ("c1ccccc1*.*C1CCNCC1", ["c1ccc(OC2CCNCC2)cc1", "c1ccc(C2CCNCC2)cc1"], ["CC1CCNCC1"]),
        ("c1cc[nH]c1", ["Cc1ccc[nH]1", "c1cc[nH]c1", "c1ccc2[nH]ccc2c1"], ["c1ccoc1"]),
    ],
)
def test_stars_are_open_and_nothing_else(scaffold: str, yes: list[str], no: list[str]):
    held = MoleculeScaffold(scaffold).holds(records(*yes, *no))
    assert held.tolist() == [True] * len(yes) + [False] * len(no)


@pytest.mark.parametrize(
    "scaffold",
    ["c1ccc(*)cc1", "*c1ccc(*)cc1", "c1ccccc1*.*C1CCNCC1", "*c1ccncc1*.*C1CCN(*)CC1", "c1cc[nH]c1"],
)
def test_parts_of_others_are_hung_on_it(scaffold: str):
    made = MoleculeScaffold(scaffold)
    parents = records(*DONORS * 5)
    rng = np.random.default_rng(0)
    found = [text for text in made.fill(parents, parents, rng) if text]
    assert len(found) > 15 and len(set(found)) > 10
    assert made.holds(records(*found)).all()
    again = [text for text in made.fill(records(*found), records(*found[::-1]), rng) if text]
    assert len(again) > 0.8 * len(found)
    assert made.holds(records(*again)).all()


def test_one_place_is_filled_anew_and_the_others_stay():
    made = MoleculeScaffold("*c1ccc(*)cc1")
    parent = records(*["FC(F)(F)c1ccc(C#N)cc1"] * 30)
    donors = records(*["CCN(CC)CC(=O)Nc1c(C)cccc1C"] * 30)
    keeps = [Chem.MolFromSmarts(text) for text in ("FC(F)(F)c", "N#Cc")]
    found = [text for text in made.fill(parent, donors, np.random.default_rng(1)) if text]
    assert found
    for text in found:
        mol = Chem.MolFromSmiles(text)
        assert sum(mol.HasSubstructMatch(keep) for keep in keeps) >= 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("c1cc", "is no molecule: SMILES unclosed ring"),
        ("C*C", "does not hang on one atom"),
        ("*", "does not hang on one atom"),
        ("C=*", "more than a single bond"),
        ("CC.CC", "in 2 parts without stars"),
        ("C*.C", "in 2 parts without stars"),
    ],
)
def test_refused(text: str, message: str):
    with pytest.raises(ConfigError, match=message):
        MoleculeScaffold(text)


@pytest.mark.parametrize(
    "scaffold", ["c1ccc(*)cc1", "*c1ccc(*)cc1", "c1ccccc1*.*C1CCNCC1", "c1cc[nH]c1"]
)
def test_openings_are_parts_with_one_place(scaffold: str):
    made, rng = MoleculeScaffold(scaffold), np.random.default_rng(0)
    parents = records(*DONORS)
    held = records(*[text for text in made.fill(parents, parents, rng) if text])
    for texts, smallest in ((made.openings(parents, rng), 5), (made.openings(held, rng), 6)):
        assert all(text is not None and text.count("*") == 1 for text in texts)
        molecules = [Chem.MolFromSmiles(text) for text in texts]
        assert all(mol is not None and mol.GetNumAtoms() >= smallest for mol in molecules)
    # what is left of one that holds a scaffold without open places still holds it
    if scaffold == "c1cc[nH]c1":
        bare = records(*[t.replace("(*)", "").replace("*", "") for t in made.openings(held, rng)])
        assert made.holds(bare).all()
