"""What one token of a SMILES, a byte pair of several atoms included, does where it stands.

Worked out once by reading its symbols on a stack of atoms, of which the lower ones were there
before and are only known by what is asked of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from gmkit_molecules.valence import most_bonds

AROMATIC = 64
"""Added to the bonds left of an aromatic atom, whose double bonds count as one neighbour."""
_ORDERS = {"-": 1, ":": 1, "/": 1, "\\": 1, "~": 1, "->": 1, "<-": 1, "=": 2, "#": 3, "$": 4}
_ATOM = re.compile(r"\[\d*(?P<element>[A-Za-z][a-z]?|\*)@*(?:H(?P<h>\d*))?(?P<charge>[+-]+\d*)?")
START, ATOM_DONE, CLOSED, OPENED, BOND, LONELY = range(6)
"""What was written last: nothing or a dot; an atom or a ring; ``)``; ``(``; a bond; an aromatic
atom that is in no ring yet."""
ON_ATOM, AFTER_OPENING, AT_START = range(3)
"""Where a token begins."""
FIRST = {"atom": (START, ATOM_DONE, CLOSED, OPENED, BOND), "ring": (ATOM_DONE, BOND)}
FIRST |= {"bond": (ATOM_DONE, CLOSED, OPENED), "(": (ATOM_DONE, CLOSED)}
FIRST |= {")": (ATOM_DONE, CLOSED), ".": (ATOM_DONE, CLOSED)}
"""Kind of symbol → after what it may stand."""


@lru_cache(maxsize=4096)
def bonds_left(atom: str) -> int:
    """Bonds that an atom symbol has for its neighbours in the text, plus ``AROMATIC`` where these
    are counted without their order."""
    match = _ATOM.match(atom)
    symbol = match["element"] if match else atom
    aromatic = symbol[0].islower()
    element = symbol.capitalize()
    if element == "*":
        return 8
    hydrogens, charge = 0, 0
    if match:
        hydrogens = 0 if match["h"] is None else int(match["h"] or 1)
        sign = match["charge"] or ""
        charge = (1 if "+" in sign else -1) * int(sign.strip("+-") or len(sign)) if sign else 0
    if aromatic:
        two = element in ("O", "S", "Se", "Te") and charge == 0
        return AROMATIC + max(0, (2 if two else 3) - hydrogens)
    return max(0, most_bonds(element, charge) - hydrogens)


@dataclass
class Profile:
    """What a token does to the stack."""

    first: str = ""
    """Kind of its first symbol, a key of ``FIRST``."""
    bonds: list[int] = field(default_factory=list)
    """Bonds taken from the atoms that were there, from the top down."""
    neighbours: list[int] = field(default_factory=list)
    """The same with each bond counted once, whatever its order."""
    wanted: int = 0
    """Bonds that the top must have left for what the token begins and does not end."""
    pops: int = 0
    pushes: list[int] = field(default_factory=list)
    """Bottom to top."""
    depths: list[tuple[int, int]] = field(default_factory=list)
    """Of each of ``pushes``: from which atom there it comes, counted from the top down, and over
    how many bonds."""
    room: int = AROMATIC
    """Bonds left at its first atom where the token begins with that: so many more may the bond
    take that was written before."""
    entry: int = -1
    """Place of that atom in ``pushes``."""
    reach: int = 0
    """Atoms that must be there, at least."""
    exactly: int = -1
    """Atoms that must be there, where a dot decides that."""
    alone: int = -1
    """Open rings, as a bit mask, with which an aromatic atom of it would be in no ring."""
    alone_last: int = -1
    """The same of an atom that ends the token: a ring may still begin there."""
    rings: int = 0
    """Bit mask of the ring numbers that it opens or closes."""
    heights: dict[int, int] = field(default_factory=dict)
    """Of each, by bit: atoms on the stack there, more than before the token."""
    places: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """Of each, by bit: its atoms, as in ``depths``."""
    dropped: set[int] = field(default_factory=set)
    """Bits of those after which a ``)`` takes their atom off the stack."""
    dip: int = 0
    """Atoms on the stack after a ``)``, fewer than before the token, at most."""
    last: int = START
    order: int = 1
    """Of the bond left open at the end."""
    opened: bool = False
    """Whether the next atom begins a branch."""
    fits: bool = True
    """Whether it can stand anywhere."""


class _Walk:
    """Reads a token's symbols, with a stack of its own above what is there."""

    def __init__(self, rings: dict[str, int], variant: int) -> None:
        self.rings = rings
        self.found = Profile(opened=variant == AFTER_OPENING)
        self.state = START if variant == AT_START else -1
        self.own: list[list[int]] = []
        """[bonds left, whether aromatic, whence, how far: as ``Profile.depths``], bottom to top."""
        self.pending = 1

    def read(self, symbols: Sequence[str]) -> Profile:
        found, first = self.found, None
        kinds = [*(kind_of(symbol, self.rings) for symbol in symbols), ""]
        for symbol, kind, following in zip(symbols, kinds, kinds[1:], strict=False):
            if not found.first:
                found.first = kind
            elif self.state not in FIRST[kind]:
                found.fits = False
            if kind == "atom":
                bonded = self.state != START
                atom = self._atom(symbol)
                if len(self.own) == 1 and found.first == "atom" and first is None and bonded:
                    first = atom
                if atom[1] and not following:
                    found.alone_last = found.rings
                elif atom[1] and following != "ring" and found.alone < 0:
                    found.alone = found.rings
            elif kind == "ring":
                self._bond()
                found.rings ^= self.rings[symbol]
                found.places.setdefault(self.rings[symbol], []).append(self._place())
                found.heights[self.rings[symbol]] = len(self.own) - found.pops
                found.dropped.discard(self.rings[symbol])
                self.state, self.pending = ATOM_DONE, 1
            elif kind == "bond":
                self.state, self.pending = BOND, _ORDERS[symbol]
            elif kind == "(":
                self.state, found.opened = OPENED, True
            elif kind == ")":
                self._pop()
                self._top()
                height = len(self.own) - found.pops
                found.dropped |= {bit for bit, at in found.heights.items() if height < at}
                self.state, found.dip = CLOSED, max(found.dip, -height)
            else:
                found.exactly = found.pops + (0 if self.own else 1)
                found.fits &= len(self.own) < 2
                self._pop()
                self.state = START
        found.pushes = [left + AROMATIC * aromatic for left, aromatic, *_ in self.own]
        found.depths = [(whence, far) for *_, whence, far in self.own]
        wanted = self.pending if self.state == BOND else int(self.state == OPENED)
        if self.own:
            found.fits &= self.own[-1][0] >= (min(1, wanted) if self.own[-1][1] else wanted)
        else:
            found.wanted = wanted
        if first is not None:
            kept = wanted if self.own and first is self.own[-1] else 0
            found.room = AROMATIC if first[1] else first[0] - kept
            found.entry = next((i for i, atom in enumerate(self.own) if atom is first), -1)
        found.last, found.order = self.state, self.pending
        return found

    def _atom(self, symbol: str) -> list[int]:
        left, (whence, far) = bonds_left(symbol), self._place()
        atom = [left % AROMATIC, left // AROMATIC, whence, far + 1]
        if self.state != START:
            self._bond()
            atom[0] -= 1 if atom[1] else self.pending
            self.found.fits &= atom[0] >= 0
            if not self.found.opened:
                self._pop()
        self.own.append(atom)
        self.state, self.pending, self.found.opened = ATOM_DONE, 1, False
        return atom

    def _place(self) -> tuple[int, int]:
        """Of the top, as in ``Profile.depths``."""
        return (self.own[-1][2], self.own[-1][3]) if self.own else (self.found.pops, 0)

    def _bond(self) -> None:
        """Take a bond from the top."""
        if self.own:
            self.own[-1][0] -= 1 if self.own[-1][1] else self.pending
            self.found.fits &= self.own[-1][0] >= 0
            return
        self._top()
        found = self.found
        while len(found.bonds) <= found.pops:
            found.bonds.append(0)
            found.neighbours.append(0)
        found.bonds[-1] += self.pending
        found.neighbours[-1] += 1

    def _top(self) -> None:
        """There must be an atom."""
        if not self.own:
            self.found.reach = max(self.found.reach, self.found.pops + 1)

    def _pop(self) -> None:
        self._top()
        if self.own:
            self.own.pop()
        else:
            self.found.pops += 1


def profile(symbols: Sequence[str], rings: dict[str, int], variant: int) -> Profile:
    """Of a token's ``symbols``; ``rings``: bit of each ring number; ``variant``: where it begins,
    on an atom, after a ``(``, or at the start of a fragment."""
    return _Walk(rings, variant).read(symbols)


def kind_of(symbol: str, rings: dict[str, int]) -> str:
    if symbol in rings:
        return "ring"
    if symbol in _ORDERS:
        return "bond"
    return symbol if symbol in ("(", ")", ".") else "atom"
