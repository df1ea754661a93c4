"""Our SELFIES writer and reader give what the selfies library gives, on molecules and on noise."""

from __future__ import annotations

from pathlib import Path

import pytest
import selfies
from gmkit_molecules.datasets import nci, screening
from gmkit_molecules.selfies_reader import UnknownTokenError, read
from gmkit_molecules.selfies_writer import write
from gmkit_molecules.valence import selfies_constraints
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem, rdBase

MOSES = Path(__file__).parent / "data" / "moses_test_250.smi"


def library_encoder(smiles: str) -> str | None:
    with selfies_constraints():
        try:
            return str(selfies.encoder(smiles))
        except Exception:
            return None


def library_decoder(text: str) -> str | None:
    with selfies_constraints():
        try:
            return str(selfies.decoder(text))
        except Exception:
            return None


def odd_and_plain(step: int) -> list[str]:
    smiles = [text for part in nci() for text in part["smiles"].to_pylist()][::step]
    smiles += [text for part in screening() for text in part["smiles"].to_pylist()][:: 3 * step]
    return smiles + MOSES.read_text(encoding="utf-8").split()[::step]


def check_molecules(step: int) -> None:
    written = 0
    with rdBase.BlockLogs():
        for molecule in map(Chem.MolFromSmiles, odd_and_plain(step)):
            if molecule is None:
                continue
            for smiles in (
                Chem.MolToSmiles(molecule),
                Chem.MolToSmiles(molecule, canonical=False),
                Chem.MolToSmiles(molecule, kekuleSmiles=True),
                Chem.MolToSmiles(molecule, allBondsExplicit=True),
                Chem.MolToSmiles(molecule, allHsExplicit=True),
            ):
                expected, text = library_encoder(smiles), write(smiles)
                assert text in (expected, None), smiles
                if text is not None:
                    written += 1
                    assert read(text) == library_decoder(text), smiles
                elif ":" not in smiles:
                    assert expected is None, smiles
    assert written > 3 * len(odd_and_plain(step))


def test_molecules_are_written_and_read_as_by_the_library() -> None:
    check_molecules(step=40)


@pytest.mark.slow
def test_many_molecules_are_written_and_read_as_by_the_library() -> None:
    check_molecules(step=1)


@pytest.mark.parametrize(
    "smiles",
    [
        "N[C@@H]1CC[C@H](F)C1",
        "C[C@]12CC[C@@H](O)C[C@@H]1CC2",
        "C/C=C1/CCC1=O",
        "C1CC/C=C/CCC1",
        "F/C=C\\1CC1",
        "[nH]1cccc1.[Na+].[O-]C=O",
        "c1ccc2c(c1)[se]cc2",
        "C%12CC%12",
        "O=[N+]([O-])c1ccccc1",
        "C=1CCCCC1",
        "C1CCCCC=1",
        "c1ccc(-c2ccccc2)cc1",
    ],
)
def test_notable_smiles(smiles: str) -> None:
    expected = library_encoder(smiles)
    assert expected is not None
    assert write(smiles) == expected
    assert read(expected) == library_decoder(expected)


@given(st.text(alphabet="CNOcn()[]12%=#-/\\.@H+:", max_size=25))
def test_any_smiles_text_is_written_as_by_the_library_or_left_to_it(text: str) -> None:
    with rdBase.BlockLogs():
        written = write(text)
    assert written is None or written == library_encoder(text)


TOKENS = """
    [C] [=C] [#C] [N] [=N] [O] [=O] [S] [P] [F] [I] . [C@H1] [C@@] [/C] [\\C] [N+1] [O-1] [13CH3]
    [CH9] [?] [] [nop] [epsilon] [Fe] [Ring1] [Ring2] [Ring3] [=Ring1] [#Ring2] [-/Ring1]
    [\\/Ring2] [+Ring1] [Branch1] [=Branch1] [#Branch1] [Branch2] [=Branch2] [Branch3] [Branch4]
"""
COMMON = ["[C]", "[=C]", "[N]", "[Branch1]", "[Ring1]", "[=Branch1]"]


@settings(max_examples=300)
@given(st.lists(st.sampled_from(TOKENS.split() + 6 * COMMON), max_size=50))
def test_any_tokens_are_read_or_refused_as_by_the_library(tokens: list[str]) -> None:
    text = "".join(tokens)
    try:
        smiles = read(text)
    except UnknownTokenError:
        smiles = None
    assert smiles == library_decoder(text)


@pytest.mark.parametrize("text", ["[C", "[C]]", "C", "[C]x", "[C.O]", "[[C]"])
def test_what_is_not_made_of_tokens_is_left_to_the_library(text: str) -> None:
    assert read(text) is None


def test_tokens_the_library_refuses_are_refused_where_they_count() -> None:
    with pytest.raises(UnknownTokenError, match=r"\[\?\]"):
        read("[C][?]")
    assert read("[C][Ring1][?][C]") == library_decoder("[C][Ring1][?][C]")  # a number here
    assert read("[F][F][?]") == library_decoder("[F][F][?]") == "FF"  # never reached
