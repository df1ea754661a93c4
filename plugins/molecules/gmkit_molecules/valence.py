"""How many bonds SELFIES may give an atom, so that RDKit accepts whatever comes out.

The selfies library limits the common atoms and lets all others (Si, Sn, Cl+3, …) have 8 bonds,
which RDKit refuses: such a token in the training data would make invalid samples. Here its
limits are kept where they exist and completed by RDKit's own for every element and charge.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import selfies
from rdkit import Chem, rdBase
from selfies.constants import ELEMENTS

_CHARGES = range(-4, 9)
_MOST = 8
_lock = threading.RLock()
_depth = 0


@lru_cache(maxsize=1)
def constraints() -> dict[str, int]:
    """Bonds allowed by atom, keys as the selfies library writes them: ``"C"``, ``"Cl+3"``."""
    table: dict[str, int] = {}
    with rdBase.BlockLogs():
        for element in sorted(ELEMENTS):
            for charge in _CHARGES:
                bonds = _most_bonds(element, charge)
                if bonds < _MOST:  # the others are covered by the preset's "?"
                    table[f"{element}{charge:+}" if charge else element] = bonds
    table.update(selfies.get_preset_constraints("default"))
    return table


@contextmanager
def selfies_constraints() -> Iterator[None]:
    """A scope in which the library uses ``constraints()``; cheap when nested.

    The library keeps them in a global variable, so one thread at a time is let in and what was
    set before is put back.
    """
    global _depth
    with _lock:
        before = selfies.get_semantic_constraints() if _depth == 0 else None
        if before is not None:
            selfies.set_semantic_constraints(constraints())
        _depth += 1
        try:
            yield
        finally:
            _depth -= 1
            if before is not None:
                selfies.set_semantic_constraints(before)


def most_bonds(element: str, charge: int) -> int:
    """The largest number of single bonds, at most 8, that RDKit allows this atom."""
    with rdBase.BlockLogs():
        return _most_bonds(element, charge)


def _most_bonds(element: str, charge: int) -> int:
    for bonds in range(_MOST, 0, -1):
        molecule = Chem.RWMol()
        atom = Chem.Atom(element)
        atom.SetFormalCharge(charge)
        atom.SetNoImplicit(True)
        molecule.AddAtom(atom)
        for neighbour in range(1, bonds + 1):
            molecule.AddAtom(Chem.Atom("F"))
            molecule.AddBond(0, neighbour, Chem.BondType.SINGLE)
        if not Chem.DetectChemistryProblems(molecule):
            return bonds
    return 0
