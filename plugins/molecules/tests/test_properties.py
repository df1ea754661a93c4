"""Properties against published values and definitions."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from gmkit_molecules.properties import PROPERTIES, properties
from rdkit import Chem

from gmkit.errors import ConfigError

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
KNOWN = {  # aspirin; qed, logp, tpsa: RDKit's documentation and PubChem 2244
    "qed": 0.550,
    "logp": 1.310,
    "sa": 1.580,
    "tpsa": 63.60,
    "weight": 180.159,
    "rings": 1,
    "aromatic_rings": 1,
    "hbd": 1,
    "hba": 3,
    "rotatable": 2,
    "radicals": 0,
    "largest_ring": 6,
    "charged": 0,
    "foreign": 0,
    "fragments": 1,
}


@pytest.mark.parametrize("name", sorted(PROPERTIES))
def test_aspirin(name: str) -> None:
    values = properties([Chem.MolFromSmiles(ASPIRIN)], [name])[name]
    assert values.dtype == np.float64
    assert values == pytest.approx([KNOWN[name]], abs=1e-3)


def test_only_the_named_ones_in_order_of_the_molecules() -> None:
    mols = [Chem.MolFromSmiles(smiles) for smiles in ("C", "CC", "c1ccccc1")]
    values = properties(mols, ["rings", "weight"])
    assert list(values) == ["rings", "weight"]
    assert values["rings"].tolist() == [0, 0, 1]
    assert values["weight"] == pytest.approx([16.043, 30.070, 78.114], abs=1e-3)


def test_no_molecules() -> None:
    assert all(values.shape == (0,) for values in properties([], list(PROPERTIES)).values())


@pytest.mark.parametrize("smiles", ["[H][H]", "*", "[Na+].[Cl-]", "[H+]", "[U]", "C" * 300])
def test_odd_molecules_give_a_number_or_nan(smiles: str) -> None:
    values = properties([Chem.MolFromSmiles(smiles)], list(PROPERTIES))
    assert all(not math.isinf(value[0]) for value in values.values())
    assert values["weight"][0] >= 0


def test_undefined_is_nan() -> None:
    assert math.isnan(properties([Chem.Mol()], ["sa"])["sa"][0])


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match="'wieght' is not a molecule property") as error:
        properties([], ["wieght"])
    assert "Did you mean 'weight'?" in str(error.value)


def test_the_contributed_scorer_leaves_the_path_alone() -> None:
    before = list(sys.path)
    properties([Chem.MolFromSmiles("CCO")], ["sa"])
    assert sys.path == before
