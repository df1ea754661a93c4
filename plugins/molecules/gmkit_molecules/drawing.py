"""Pictures of molecules, drawn by RDKit in a grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rdkit import Chem
from rdkit.Chem import rdDepictor
from rdkit.Chem.Draw import rdMolDraw2D

from gmkit_molecules.chemistry import parse

_CELL = (220, 170)  # pixels


def draw_grid(
    smiles: Sequence[str | None],
    *,
    columns: int = 5,
    most: int = 30,
    kind: Literal["svg", "png"] = "svg",
) -> bytes | None:
    """The first ``most`` molecules among ``smiles``, ``columns`` a row; None when there are
    none. Equal input gives equal bytes."""
    molecules: list[Chem.Mol] = []
    for text in smiles:
        molecule = None if text is None else parse(text)
        if molecule is not None:
            rdDepictor.Compute2DCoords(molecule)
            molecules.append(molecule)
        if len(molecules) == most:
            break
    if not molecules:
        return None
    columns = min(columns, len(molecules))
    width, height = _CELL[0] * columns, _CELL[1] * -(-len(molecules) // columns)
    canvas = rdMolDraw2D.MolDraw2DSVG if kind == "svg" else rdMolDraw2D.MolDraw2DCairo
    drawer = canvas(width, height, *_CELL)
    drawer.DrawMolecules(molecules)
    drawer.FinishDrawing()
    picture: str | bytes = drawer.GetDrawingText()
    return picture.encode() if isinstance(picture, str) else picture
