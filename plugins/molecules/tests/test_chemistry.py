"""Reading molecules and saying why one cannot be read."""

from __future__ import annotations

import pytest
from gmkit_molecules.chemistry import canonical, explain, parse


@pytest.mark.parametrize(
    ("smiles", "expected"),
    [
        ("OCC", "CCO"),
        ("  OCC\t", "CCO"),
        ("[Na+].[Cl-]", "[Cl-].[Na+]"),
        ("[13CH4]", "[13CH4]"),
        ("C[C@H](N)C(=O)O", "C[C@H](N)C(=O)O"),
        ("F/C=C/F", "F/C=C/F"),
        ("C1=CC=CC=C1", "c1ccccc1"),
    ],
)
def test_canonical_keeps_what_matters(smiles: str, expected: str) -> None:
    assert canonical(smiles) == expected


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        (None, "missing value, or a record that could not be read"),
        ("", "empty SMILES"),
        (" \t", "empty SMILES"),
        ("CCO ethanol", "text after the SMILES ('ethanol'); keep names in a column of their own"),
        ("CCO |$;;$|", "text after the SMILES"),
        ("C1CC", "SMILES unclosed ring"),
        ("CC)", "SMILES extra close parentheses around position 3"),
        ("C(C", "SMILES extra open parentheses"),
        ("[Zz]", "SMILES syntax error around position 2"),
        ("ethanol", "SMILES syntax error"),
        ("C11", "SMILES duplicated ring closure 1 bonds atom 0 to itself"),
        ("C(C)(C)(C)(C)C", "Explicit valence for atom # 0 C, 5, is greater than permitted"),
        ("c1cccc1", "Can't kekulize mol.  Unkekulized atoms: 0 1 2 3 4"),
        (".", "SMILES"),
        ("C\x00C", "SMILES"),
        ("🧪", "SMILES"),
    ],
)
def test_reasons(smiles: str | None, reason: str) -> None:
    assert smiles is None or parse(smiles) is None
    assert reason in explain(smiles)


def test_rdkit_stays_silent(capfd: pytest.CaptureFixture[str]) -> None:
    parse("C1CC")
    explain("C1CC")
    explain("c1cccc1")
    assert capfd.readouterr().err == ""
