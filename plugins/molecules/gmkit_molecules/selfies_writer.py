"""SMILES → SELFIES: what ``selfies.encoder`` returns, several times faster.

The library spends most of its time on objects for every token and on attributions that nobody
reads. Here each distinct token is looked up once, and bonds are short lists. The atom order, the
Kekulé form and every symbol are the library's own; the tests compare the two. What it would
refuse, or reads by rules of its own (``:`` bonds, atom classes), is left to it: ``write`` then
returns None.

Source: Krenn et al., Mach. Learn.: Sci. Technol. 1 (2020) 045024; Lo et al., Digital Discovery 2
(2023) 897 (the library, version 2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from selfies.constants import AROMATIC_VALENCES, VALENCE_ELECTRONS
from selfies.grammar_rules import get_selfies_from_index
from selfies.utils.matching_utils import find_perfect_matching
from selfies.utils.smiles_utils import atom_to_smiles, smiles_to_atom

from gmkit_molecules.valence import constraints

_TOKEN = re.compile(
    r"[-=#/\\]?(?:\[[^\]:]+\]|Br|Cl|[BCNOPSFIbcnops]|[0-9]|%[0-9]{2})|[().]", re.ASCII
)
_ORDERS = {"": 0, "-": 1, "/": 1, "\\": 1, "=": 2, "#": 3}
_SIGNS = ("", "", "=", "#")
"""Bond symbols by order."""

_ATOM, _RING, _OPEN, _CLOSE, _DOT = range(5)
_CHAIN, _OPENS, _CLOSES = range(3)
_TO, _ORDER, _STEREO, _KIND = range(4)
"""Places in a bond: the atom it leads to, 1 … 3, "/" or "\\" or "", chain or end of a ring."""

Bond = list[Any]


class _Atom(NamedTuple):
    """What a SMILES atom symbol means."""

    aromatic: bool
    element: str
    hydrogens: int | None
    charge: int
    capacity: int
    """Bonds it may have to other heavy atoms."""
    chiral: bool
    tokens: tuple[str, str, str, str]
    """SELFIES tokens by the order of the bond that leads to it; 0 for none."""
    inverted: tuple[str, str, str, str]
    """The same with the opposite chirality."""


def write(smiles: str) -> str | None:
    """The SELFIES of one SMILES, or None to leave it to the library."""
    tokens = _TOKEN.findall(smiles)
    if not tokens or sum(map(len, tokens)) != len(smiles):
        return None
    graph = _Graph()
    if not (graph.read(tokens) and graph.kekulise() and graph.bonds_fit()):
        return None
    try:
        return ".".join("".join(graph.fragment(root, None)) for root in graph.roots)
    except RecursionError:
        return None


class _Graph:
    """Atoms in the order of the text, and from each the bonds that leave it."""

    def __init__(self) -> None:
        self.atoms: list[_Atom] = []
        self.out: list[list[Any]] = []
        self.used: list[int] = []
        """Sum of bond orders; an aromatic bond counts 1 until it is made single or double."""
        self.aromatic: dict[int, list[int]] = {}
        """Aromatic atoms, and to which others they have aromatic bonds."""
        self.pairs: dict[tuple[int, int], list[Bond]] = {}
        """Aromatic bonds, smaller index first, as the lists that lie in ``out``."""
        self.roots: list[int] = []
        self.in_ring: set[int] = set()

    def read(self, tokens: Iterable[str]) -> bool:
        """Take in the tokens; False for what is not plainly a SMILES."""
        previous, fresh = -1, True
        branches: list[int] = []
        rings: dict[str, tuple[int, int, int, str]] = {}
        for token in tokens:
            facts = _facts(token)
            if facts is None:
                return False
            kind, order, stereo, what = facts
            if kind == _ATOM:
                previous, fresh = self._add(what, previous, order, stereo), False
            elif fresh:  # a fragment or a branch begins with an atom
                return False
            elif kind == _RING:
                opened = rings.pop(what, None)
                if opened is None:
                    rings[what] = (previous, len(self.out[previous]), order, stereo)
                    self.out[previous].append(None)
                elif not self._close(opened, previous, order, stereo):
                    return False
            elif kind == _OPEN:
                branches.append(previous)
                fresh = True
            elif kind == _CLOSE:
                if not branches:
                    return False
                previous = branches.pop()
            else:
                if branches or rings:
                    return False
                previous, fresh = -1, True
        return not (branches or rings or fresh)

    def _add(self, atom: _Atom, previous: int, order: int, stereo: str) -> int:
        """A further atom, bonded to ``previous`` unless that is -1."""
        index = len(self.atoms)
        self.atoms.append(atom)
        self.out.append([])
        if atom.aromatic:
            self.aromatic[index] = []
        if previous < 0:
            self.roots.append(index)
            self.used.append(0)
            return index
        bond: Bond = [index, order or 1, stereo, _CHAIN]
        self.out[previous].append(bond)
        self.used.append(order or 1)
        self.used[previous] += order or 1
        if order == 0 and atom.aromatic and self.atoms[previous].aromatic:
            self._delocalise(previous, index, [bond])
        return index

    def _close(self, opened: tuple[int, int, int, str], last: int, order: int, stereo: str) -> bool:
        """A ring bond from the atom that opened it; False where the two ends contradict."""
        first, place, first_order, first_stereo = opened
        both_stereo = bool(first_stereo and stereo)
        if first_order and order and first_order != order and not both_stereo:
            return False
        if first_order and order and bool(first_stereo) != bool(stereo):
            return False
        if first == last or self._bonded(first, last):
            return False
        value = max(first_order or 1, order or 1)
        ends = [last, value, first_stereo, _OPENS], [first, value, stereo, _CLOSES]
        self.out[first][place] = ends[0]
        self.out[last].append(ends[1])
        self.used[first] += value
        self.used[last] += value
        self.in_ring.update((first, last))
        if not (first_order or order or not self._both_aromatic(first, last)):
            self._delocalise(first, last, list(ends))
        return True

    def _bonded(self, first: int, last: int) -> bool:
        return any(bond and bond[_TO] == last for bond in self.out[first]) or any(
            bond and bond[_TO] == first for bond in self.out[last]
        )

    def _both_aromatic(self, first: int, last: int) -> bool:
        return self.atoms[first].aromatic and self.atoms[last].aromatic

    def _delocalise(self, first: int, last: int, bonds: list[Bond]) -> None:
        self.aromatic[first].append(last)
        self.aromatic[last].append(first)
        self.pairs[min(first, last), max(first, last)] = bonds

    def kekulise(self) -> bool:
        """Make aromatic bonds single and double, choosing as the library does; False if it
        cannot be done."""
        if not self.aromatic:
            return True
        kept = [index for index in self.aromatic if self._takes_double(index)]
        labels = {index: label for label, index in enumerate(kept)}
        neighbours = [
            [labels[other] for other in self.aromatic[index] if other in labels] for index in kept
        ]
        matching = find_perfect_matching(neighbours)
        if matching is None:
            return False
        for one, other in enumerate(matching):
            if one < other:
                for bond in self.pairs[kept[one], kept[other]]:
                    bond[_ORDER] = 2
                self.used[kept[one]] += 1
                self.used[kept[other]] += 1
        return True

    def _takes_double(self, index: int) -> bool:
        """Whether this aromatic atom needs a double bond (the library's ``_prune_from_ds``)."""
        bonds = len(self.aromatic[index])
        if not bonds:
            return False
        atom, used = self.atoms[index], self.used[index]
        valences = AROMATIC_VALENCES[atom.element]
        if atom.hydrogens is None:
            return used not in valences
        bound = max(0, atom.charge) + atom.hydrogens + used + bonds // 2 + bonds % 2
        radical = max(0, VALENCE_ELECTRONS[atom.element] - bound) % 2
        used += atom.hydrogens
        if any(used == valence - atom.charge for valence in valences):
            return False
        free = valences[-1] - atom.charge - used - radical
        return bool(free >= 0 and free % 2)

    def bonds_fit(self) -> bool:
        """Whether no atom has more bonds than its valence limit allows."""
        return all(used <= atom.capacity for used, atom in zip(self.used, self.atoms, strict=True))

    def fragment(self, current: int, into: Bond | None) -> list[str]:
        """The tokens from this atom on; ``into`` is the bond that leads to it."""
        tokens: list[str] = []
        while True:
            tokens.append(self._token(current, into))
            bonds = self.out[current]
            following = None
            for number, bond in enumerate(bonds, 1):
                if bond[_KIND] == _OPENS:
                    continue
                if bond[_KIND] == _CLOSES:
                    tokens += _counted(f"{self._ring_sign(current, bond)}Ring", current - bond[0])
                elif number == len(bonds):
                    following = bond
                else:
                    branch = self.fragment(bond[_TO], bond)
                    tokens += _counted(f"{_SIGNS[bond[_ORDER]]}Branch", len(branch))
                    tokens += branch
            if following is None:
                return tokens
            current, into = following[_TO], following

    def _token(self, index: int, into: Bond | None) -> str:
        atom = self.atoms[index]
        texts = atom.tokens
        if atom.chiral and index in self.in_ring and self._odd(index):
            texts = atom.inverted
        if into is None:
            return texts[0]
        if into[_STEREO] and into[_ORDER] == 1:
            return f"[{into[_STEREO]}{texts[0][1:]}"
        return texts[into[_ORDER]]

    def _ring_sign(self, index: int, closing: Bond) -> str:
        """The bond symbol of a ring: its order, or the stereo marks of both ends."""
        if closing[_ORDER] != 1:
            return _SIGNS[closing[_ORDER]]
        opening = next(
            bond for bond in self.out[closing[_TO]] if bond[_TO] == index and bond[_KIND] == _OPENS
        )
        if not (opening[_STEREO] or closing[_STEREO]):
            return ""
        return (opening[_STEREO] or "-") + (closing[_STEREO] or "-")

    def _odd(self, index: int) -> bool:
        """Whether SELFIES lists the neighbours of a ring atom in an order of the other parity:
        rings that close here, then those that open here by where they end, then the rest."""
        bonds = self.out[index]
        order = [i for i, bond in enumerate(bonds) if bond[_KIND] == _CLOSES]
        opens = [i for i, bond in enumerate(bonds) if bond[_KIND] == _OPENS]
        order += sorted(opens, key=lambda i: bonds[i][_TO])
        order += [i for i, bond in enumerate(bonds) if bond[_KIND] == _CHAIN]
        swaps = sum(a > b for i, a in enumerate(order) for b in order[i + 1 :])
        return swaps % 2 != 0


def _counted(symbol: str, count: int) -> tuple[str, ...]:
    """A ring or branch symbol and the symbols that spell ``count``."""
    digits = _digits(count)
    return (f"[{symbol}{len(digits)}]", *digits)


@lru_cache(maxsize=1024)
def _digits(count: int) -> tuple[str, ...]:
    return tuple(get_selfies_from_index(count - 1))


@lru_cache(maxsize=4096)
def _facts(token: str) -> tuple[int, int, str, Any] | None:
    """Kind, bond order (0: not stated), stereo mark and meaning of a token; None if unknown."""
    if token in "().":
        return (_OPEN, _CLOSE, _DOT)["().".index(token)], 0, "", None
    sign = token[0] if token[0] in "-=#/\\" else ""
    symbol = token[len(sign) :]
    stereo = sign if sign in "/\\" else ""
    if symbol[0] in "%0123456789":
        return _RING, _ORDERS[sign], stereo, symbol
    atom = _atom(symbol)
    return None if atom is None else (_ATOM, _ORDERS[sign], stereo, atom)


def _atom(symbol: str) -> _Atom | None:
    """The library's reading of an atom symbol."""
    atom = smiles_to_atom(symbol)
    if atom is None:
        return None
    aromatic, atom.is_aromatic = atom.is_aromatic, False
    table = constraints()
    key = f"{atom.element}{atom.charge:+}" if atom.charge else atom.element
    tokens = _tokens(atom_to_smiles(atom, brackets=False))
    atom.invert_chirality()
    return _Atom(
        aromatic=aromatic,
        element=atom.element,
        hydrogens=atom.h_count,
        charge=atom.charge,
        capacity=table.get(key, table["?"]) - (atom.h_count or 0),
        chiral=atom.chirality is not None,
        tokens=tokens,
        inverted=_tokens(atom_to_smiles(atom, brackets=False)),
    )


def _tokens(text: str) -> tuple[str, str, str, str]:
    return (f"[{text}]", f"[{text}]", f"[={text}]", f"[#{text}]")
