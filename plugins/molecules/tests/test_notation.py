"""SMILES and SELFIES as token sequences."""

from __future__ import annotations

import random

import pytest
import selfies
from gmkit_molecules.chemistry import canonical, parse
from gmkit_molecules.notation import NotationError, Selfies, Smiles, notation
from gmkit_molecules.valence import constraints, selfies_constraints
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("smiles", "tokens"),
    [
        ("CCl", ["C", "Cl"]),
        ("BrB", ["Br", "B"]),
        ("C[C@@H]1[nH]c%12", ["C", "[C@@H]", "1", "[nH]", "c", "%12"]),
        ("C%(100)", ["C", "%(100)"]),
        ("N->[Fe]<-N", ["N", "->", "[Fe]", "<-", "N"]),
        ("F/C=C\\F.[Na+]", ["F", "/", "C", "=", "C", "\\", "F", ".", "[Na+]"]),
        ("*~C$C", ["*", "~", "C", "$", "C"]),
        ("", []),
    ],
)
def test_smiles_tokens(smiles: str, tokens: list[str]) -> None:
    assert Smiles().tokens(smiles) == tokens


def test_selfies_tokens() -> None:
    assert Selfies().tokens("[C][=O].[Na+1]") == ["[C]", "[=O]", ".", "[Na+1]"]


@given(st.text(max_size=20), st.sampled_from(["smiles", "selfies"]))
def test_tokens_are_lossless_or_refused(text: str, name: str) -> None:
    try:
        tokens = notation(name).tokens(text)
    except NotationError:
        return
    assert "".join(tokens) == text


@given(st.text(max_size=20), st.sampled_from(["smiles", "selfies"]))
def test_reading_any_text_never_raises(text: str, name: str) -> None:
    assert isinstance(notation(name).to_smiles(text), str)


@pytest.mark.parametrize(
    "smiles",
    [
        "CC(=O)Oc1ccccc1C(=O)O",
        "C[C@H](N)C(=O)O",
        "F/C=C/F",
        "[Na+].CC(=O)[O-]",
        "[13CH3]O",
        "C[Si](C)(C)C",
        "CS(=O)(=O)N",
        "C[N+](C)(C)C",
        "[O-][Cl+3]([O-])([O-])O",
        "C1CC2CCC1C2",
        "[2H]C([2H])([2H])O",
    ],
)
def test_selfies_keep_molecules(smiles: str) -> None:
    expected = canonical(smiles)
    assert expected is not None
    text = Selfies().from_smiles(expected)
    assert canonical(Selfies().to_smiles(text)) == expected


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("Cc1cccc[n+]1C.Cl[I]Cl", "I.* with 2 bonds, at most 1 allowed"),
        ("*C", "SELFIES cannot write this molecule"),
        ("N->[Fe]", "SELFIES cannot write this molecule"),
        ("C$C", "SELFIES cannot write this molecule"),
    ],
)
def test_selfies_refuse_with_a_reason(smiles: str, reason: str) -> None:
    with pytest.raises(NotationError, match=reason) as error:
        Selfies().from_smiles(smiles)
    assert "\n" not in str(error.value)


def test_what_selfies_would_change_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gmkit_molecules.notation.write", lambda smiles: "[C]")
    with pytest.raises(NotationError, match="SELFIES does not keep this molecule"):
        Selfies().from_smiles("C[C@H](N)C(=O)O")


def test_no_global_state_is_left() -> None:
    before = selfies.get_semantic_constraints()
    with selfies_constraints(), selfies_constraints():
        assert selfies.get_semantic_constraints()["Si"] == 4
    assert selfies.get_semantic_constraints() == before
    selfies.set_semantic_constraints("octet_rule")
    try:
        Selfies().from_smiles("CS(=O)(=O)C")
        assert selfies.get_semantic_constraints()["S"] == 2
    finally:
        selfies.set_semantic_constraints("default")


def test_valences_follow_rdkit_where_selfies_has_none() -> None:
    table = constraints()
    assert (table["Si"], table["Cl+3"], table["Se"], table["?"]) == (4, 4, 6, 8)
    assert (table["C"], table["S"], table["N+1"]) == (4, 6, 4)


# Tokens of odd molecules: metals, charges, hydrogens, isotopes, stereo, ring and branch sizes.
TOKENS = """
    [C] [=C] [#C] [N] [=N] [#N] [O] [=O] [S] [=S] [P] [=P] [F] [Cl] [Br] [I] [B] .
    [C@H1] [C@@H1] [C@] [/C] [\\C] [N+1] [=N+1] [NH1] [NH1+1] [N-1] [O-1] [=O+1] [S+1]
    [Si] [Se] [=Se] [Sn] [As] [=As] [Cl+3] [#Cl+3] [Bi] [Sb-3] [Fe] [Co+3] [Na+1] [13CH3]
    [2H] [Ring1] [Ring2] [=Ring1] [-/Ring1] [\\/Ring1] [Branch1] [=Branch1] [#Branch2]
"""
ALPHABET = TOKENS.split()


@given(st.lists(st.sampled_from(ALPHABET), max_size=40))
def test_any_selfies_tokens_are_a_molecule_or_nothing(tokens: list[str]) -> None:
    smiles = Selfies().to_smiles("".join(tokens))
    assert smiles == "" or parse(smiles) is not None


@pytest.mark.slow
def test_many_selfies_are_molecules_or_nothing() -> None:
    rng = random.Random(0)
    for _ in range(50_000):
        text = "".join(rng.choices(ALPHABET, k=rng.randint(1, 60)))
        smiles = Selfies().to_smiles(text)
        assert smiles == "" or parse(smiles) is not None, text
