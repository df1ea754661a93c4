"""Molecules with an open place, and what a model hangs there."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from gmkit_molecules.codec import MoleculeCodec
from gmkit_molecules.datasets import screening
from gmkit_molecules.opening import ending_at, opened
from rdkit import Chem

from gmkit.errors import ConfigError
from gmkit.fields import GOES_ON

OPEN = [
    "c1ccc(*)cc1",
    "*n1cccc1",
    "C1CCN(*)CC1",
    "O=C(N*)c1ccccc1",
    "Cc1ccc2c(c1)cc(*)c1ccccc12",
    "C[C@H](*)N",
    "*c1ccc2c(c1)NC(=O)CC2C(=O)N(C)C",
    "C(*)(F)(Cl)Br",
    "*c1ccc(I)cc1",
]


@pytest.mark.parametrize("kekule", [False, True])
@pytest.mark.parametrize("text", OPEN)
def test_the_place_is_turned_to_the_end(text: str, kekule: bool):
    molecule = opened(text)
    assert molecule is not None
    written = ending_at(molecule, kekule=kekule)
    assert written is not None and written.endswith("I")
    assert not (kekule and re.search("[cno]", written))
    assert Chem.CanonSmiles(written) == Chem.CanonSmiles(text.replace("*", "I"))


@pytest.mark.parametrize("text", ["CCO", "*C*", "*", "C=*", "C.*C", "C*C", "nonsense"])
def test_what_has_no_one_open_place(text: str):
    assert opened(text) is None


@pytest.fixture(scope="module", params=["selfies", "smiles", "kekule"])
def codec(request: pytest.FixtureRequest) -> MoleculeCodec:
    records = pa.RecordBatch.from_pydict({"smiles": next(iter(screening()))["smiles"][:300]})
    made = MoleculeCodec({"notation": request.param, "tokens": 32})
    return made.fit([made.prepare(records).records])


def shown(codec: MoleculeCodec, text: str, *, gaps: bool) -> tuple[str, int]:
    """The molecule of the known part alone, and the first token after it."""
    given, known = codec.partial(text, gaps=gaps)
    tokens, mask = given["tokens"], known["tokens"]
    size = int(mask.sum())
    assert mask[0, :size].all()
    after = int(tokens[0, size])
    record = codec.decode({"tokens": tokens.clamp(min=0)})
    return record.column("smiles")[0].as_py(), after


def test_a_prompt_is_the_molecule_it_says(codec: MoleculeCodec):
    text, after = shown(codec, "c1ccccc1C(=O)N", gaps=False)
    assert Chem.CanonSmiles(text) == Chem.CanonSmiles("c1ccccc1C(=O)N")
    assert after == 0


def test_a_gap_keeps_the_rest_and_is_not_left_empty(codec: MoleculeCodec):
    text, after = shown(codec, "c1cc(*)ccc1C(N)=O", gaps=True)
    assert Chem.CanonSmiles(text) == Chem.CanonSmiles("c1ccccc1C(N)=O")
    assert after == GOES_ON


@pytest.mark.parametrize(
    ("text", "gaps", "message"),
    [
        ("CC", True, "one open place"),
        ("*CC*", True, "one open place"),
        ("not a molecule", False, "begins no SMILES"),
        ("[Pt]", False, "does not occur|no molecule|SELFIES"),
        ("C" * 500, False, "tokens; this model writes"),
        ("", False, "tokens; this model writes|no molecule"),
    ],
)
def test_parts_that_cannot_be(codec: MoleculeCodec, text: str, gaps: bool, message: str):
    with pytest.raises(ConfigError, match=message):
        codec.partial(text, gaps=gaps)


def test_an_open_branch_goes_into_smiles_only(codec: MoleculeCodec):
    if codec.config.notation == "selfies":
        with pytest.raises(ConfigError, match="written as selfies"):
            codec.partial("C1CC(N")
    else:
        assert int(codec.partial("C1CC(N")[1]["tokens"].sum()) > 0
