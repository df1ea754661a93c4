"""Reading molecules with RDKit, quietly, and saying in words why one cannot be read."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager

import pyarrow as pa
from rdkit import Chem, rdBase

_LINE = re.compile(
    r"SMILES Parse Error: (?P<what>.*?)(?: for input: .*| while parsing: .*)?$", re.M
)
_PLACE = re.compile(r"around position (\d+)")


def quietly() -> AbstractContextManager[object]:
    """A scope in which RDKit writes nothing to stderr. Cheap, may be nested."""
    return rdBase.BlockLogs()


def parse(smiles: str) -> Chem.Mol | None:
    """The sanitised molecule; None when it is none, empty, or has text after the SMILES.

    RDKit itself takes ``"CCO ethanol"`` for ethanol and ``""`` for a molecule without atoms.
    Blanks around the SMILES do not matter.
    """
    smiles = smiles.strip()
    if not smiles or smiles.split(None, 1)[0] != smiles:
        return None
    with rdBase.BlockLogs():
        return Chem.MolFromSmiles(smiles)


def canonical(smiles: str) -> str | None:
    """RDKit's canonical SMILES, with stereo, isotopes, charges and salts; None if unreadable."""
    molecule = parse(smiles)
    return None if molecule is None else Chem.MolToSmiles(molecule)


def readable(smiles: pa.Array) -> pa.BooleanArray:
    """Whether ``parse`` makes a molecule of each; null is none."""
    with rdBase.BlockLogs():
        return pa.array(
            [text is not None and parse(text) is not None for text in smiles.to_pylist()],
            pa.bool_(),
        )


def explain(smiles: str | None) -> str:
    """Why ``parse`` gives None, in a sentence for the reject file."""
    if smiles is None:
        return "missing value, or a record that could not be read"
    smiles = smiles.strip()
    if not smiles:
        return "empty SMILES"
    first, *rest = smiles.split(None, 1)
    if rest:
        return (
            f"text after the SMILES ({rest[0][:40]!r}); keep names in a column of their own, "
            "or save the file as .smi"
        )
    with rdBase.BlockLogs(), rdBase.CaptureErrorLog() as log:
        molecule = Chem.MolFromSmiles(first, sanitize=False)
    if molecule is None:
        return _syntax(log.messages)
    with rdBase.BlockLogs():
        problems = [problem.Message() for problem in Chem.DetectChemistryProblems(molecule)]
    return "; ".join(problems) or "RDKit cannot make a molecule of it"


def _syntax(messages: str) -> str:
    """RDKit's parse messages cut to what and where: ``"unclosed ring"``."""
    line = _LINE.search(messages)
    what = line["what"].strip() if line else "syntax error"
    place = _PLACE.search(messages)
    return f"SMILES {what}" + (f" around position {place[1]}" if place else "")
