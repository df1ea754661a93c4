"""What ``gmkit design`` measures on molecules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from gmkit_molecules.measures import MEASURES, PENALTIES, environments, nearest
from gmkit_molecules.properties import PROPERTIES
from rdkit import Chem

from gmkit.errors import ConfigError
from gmkit.objectives.objective import Objective, read_objective

RECORDS = pa.RecordBatch.from_pydict({"smiles": ["CCO", "c1ccccc1O", "CC(=O)Oc1ccccc1C(=O)O"]})


def test_every_property_can_be_asked_for():
    assert set(PROPERTIES) <= set(MEASURES)
    weight = MEASURES["weight"].make("")(RECORDS)
    assert weight == pytest.approx([46.07, 94.11, 180.16], abs=0.01)


def test_similarity_and_substructure():
    similarity = MEASURES["similarity"].make("OCC")(RECORDS)
    assert similarity[0] == 1.0 and (similarity[1:] < 0.5).all()
    assert MEASURES["contains"].make("c1ccccc1[OX2]")(RECORDS).tolist() == [0, 1, 1]
    for measure, wrong in (("similarity", "C1CC"), ("contains", "c1(")):
        with pytest.raises(ConfigError, match="is no"):
            MEASURES[measure].make(wrong)


def test_what_cannot_be_made_is_penalised():
    hard = pa.RecordBatch.from_pydict(
        {"smiles": ["CCO", "C1CC2CC3CC1C1C(C2)C3C2CC1CC2(F)[C@@H]1CN1", "C[CH]C"]}
    )
    easy, difficult, radical = Objective(PENALTIES, MEASURES)(hard).score
    assert easy == 1.0 and 0 < difficult < 0.85 and radical == 0


def test_the_nearest_known_molecule():
    found = nearest(
        RECORDS.slice(0, 2), pa.RecordBatch.from_pydict({"smiles": ["CCCO", "Cc1ccccc1O"]})
    )
    assert found["nearest"].to_pylist() == ["CCCO", "Cc1ccccc1O"]
    assert all(0.2 < value < 1 for value in found["similarity"].to_pylist())


GUACAMOL = {
    "osimertinib": [0.1333417, 0.5311265, 0.0038048],
    "perindopril": [0.0047435, 0.0183156, 0.06478],
}
"""Scores by guacamol 0.5.5's own code (rdkit 2023.9.6): of ``KNOWN``, in order."""
KNOWN = [
    "COc1cc(N(C)CCN(C)C)c(NC(=O)C=C)cc1Nc1nccc(-c2cn(C)c3ccccc23)n1",
    "CCOC(=O)C(CCC)NC(C)C(=O)N1C(C(=O)O)CC2CCCCC21",
    "O=C(Nc1ccccc1)c1ccc(-c2ccccn2)cc1",
]


@pytest.mark.parametrize("task", GUACAMOL)
def test_objectives_of_guacamol_are_scored_as_guacamol_does(task: str):
    folder = Path(__file__).resolve().parents[3] / "benchmarks" / "objectives"
    objective = Objective(read_objective(folder / f"{task}.toml"), MEASURES)
    score = objective(pa.RecordBatch.from_pydict({"smiles": KNOWN})).score
    assert score == pytest.approx(GUACAMOL[task], abs=1e-6)


def test_a_canonical_smiles_taken_at_its_word_is_the_same_molecule():
    """To the nearest of them: charges, isotopes, stereo, salts and odd aromatic rings too."""
    odd = [
        *KNOWN,
        "C[N+](C)(C)C[C@@H](O)c1cc2[nH]ccc2s1",
        "[13CH3]C(=O)[O-].[Na+]",
        "O=c1[nH]c(=O)c2nc[nH]c2n1C",
        "C[n+]1ccccc1/C=C/c1ccc([N-]S(=O)(=O)C(F)(F)F)cc1",
    ]
    canonical = pa.RecordBatch.from_pydict({"smiles": [Chem.CanonSmiles(text) for text in odd]})
    assert nearest(canonical, canonical)["similarity"].to_pylist() == [1.0] * len(odd)


def test_environments_tell_how_often():
    found = environments(pa.RecordBatch.from_pydict({"smiles": ["CCO", "CCO", "CCCCCCO"]}))
    assert found.shape == (3, 4096) and found.dtype == np.bool_
    assert np.array_equal(found[0], found[1])
    assert found[2].sum() > found[0].sum()
    assert environments(RECORDS.slice(0, 0)).shape == (0, 4096)
