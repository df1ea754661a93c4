"""What ``gmkit design`` measures on molecules."""

from __future__ import annotations

import pyarrow as pa
import pytest
from gmkit_molecules.measures import MEASURES, PENALTIES, nearest
from gmkit_molecules.properties import PROPERTIES

from gmkit.errors import ConfigError
from gmkit.objectives.objective import Objective

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
        {"smiles": ["CCO", "C1CC2CC3CC1C1C(C2)C3C2CC1CC2(F)[C@@H]1CN1"]}
    )
    easy, difficult = Objective(PENALTIES, MEASURES)(hard).score
    assert easy == 1.0 and difficult < 0.6


def test_the_nearest_known_molecule():
    found = nearest(
        RECORDS.slice(0, 2), pa.RecordBatch.from_pydict({"smiles": ["CCCO", "Cc1ccccc1O"]})
    )
    assert found["nearest"].to_pylist() == ["CCCO", "Cc1ccccc1O"]
    assert all(0.2 < value < 1 for value in found["similarity"].to_pylist())
