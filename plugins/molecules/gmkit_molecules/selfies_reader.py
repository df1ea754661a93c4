"""SELFIES → SMILES: what ``selfies.decoder`` returns, several times faster.

The library joins all that it has written so far at every token, to attribute places nobody asks
for. Here each distinct token is looked up once (by the library's own tables) and atoms are rows
of lists. Rules and output are the library's own; the tests compare the two.

Source: Krenn et al., Mach. Learn.: Sci. Technol. 1 (2020) 045024; Lo et al., Digital Discovery 2
(2023) 897 (the library, version 2).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from selfies.constants import INDEX_ALPHABET, INDEX_CODE
from selfies.grammar_rules import (
    process_atom_symbol,
    process_branch_symbol,
    process_ring_symbol,
)
from selfies.utils.smiles_utils import atom_to_smiles

from gmkit_molecules.valence import selfies_constraints

_TOKEN = re.compile(r"\[[^\[\].]*\]")
_BASE = len(INDEX_ALPHABET)
_SIGNS = ("", "", "=", "#")
_ATOM, _BRANCH, _RING, _EPSILON, _UNKNOWN = range(5)


class UnknownTokenError(ValueError):
    """A token that means nothing where an atom, a branch or a ring was due."""


def read(text: str) -> str | None:
    """The SMILES of one SELFIES, or None to leave a text not made of tokens to the library.

    Raises UnknownTokenError.
    """
    graph = _Graph()
    for fragment in text.split("."):
        tokens = _TOKEN.findall(fragment)
        if sum(map(len, tokens)) != len(fragment):
            return None
        if "[nop]" in tokens:
            tokens = [token for token in tokens if token != "[nop]"]
        _Derivation(tokens, graph).run(len(tokens), 0, -1)
    graph.close_rings()
    return ".".join(map(graph.write, graph.roots))


class _Graph:
    """Atoms in the order of the text: each has one bond from its parent, and ring bonds."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.capacities: list[int] = []
        self.used: list[int] = []
        """Sum of bond orders by atom."""
        self.parents: list[int] = []
        self.orders: list[int] = []
        """Order of the bond from the parent."""
        self.stereo: list[str] = []
        self.children: list[list[int]] = []
        self.roots: list[int] = []
        self.wanted: list[tuple[int, int, int, tuple[str, str]]] = []
        """Rings asked for: atoms, order, stereo marks of both ends."""
        self.rings: dict[tuple[int, int], list[Any]] = {}
        """Rings made: order, stereo mark of the first end, of the second."""
        self.rings_of: dict[int, list[tuple[int, int]]] = {}
        self.numbers: dict[tuple[int, int], int] = {}
        """Ring numbers, in the order in which rings are written."""

    def add(self, text: str, capacity: int, parent: int, order: int, stereo: str) -> int:
        """A further atom; ``parent`` -1 makes it a root."""
        index = len(self.texts)
        self.texts.append(text)
        self.capacities.append(capacity)
        self.parents.append(parent)
        self.orders.append(order)
        self.stereo.append(stereo)
        self.used.append(order)
        self.children.append([])
        if parent < 0:
            self.roots.append(index)
        else:
            self.children[parent].append(index)
            self.used[parent] += order
        return index

    def close_rings(self) -> None:
        """Make the rings asked for as far as both atoms have bonds to spare."""
        for first, last, order, stereo in self.wanted:
            free = min(
                self.capacities[first] - self.used[first], self.capacities[last] - self.used[last]
            )
            if first == last or free <= 0:
                continue
            order = min(order, free)
            ends = first, last
            if self.parents[last] == first:
                gain = min(order + self.orders[last], 3) - self.orders[last]
                self.orders[last] += gain
            elif ends in self.rings:
                ring = self.rings[ends]
                gain = min(order + ring[0], 3) - ring[0]
                ring[0] += gain
            else:
                gain = order
                self.rings[ends] = [order, *stereo]
                self.rings_of.setdefault(first, []).append(ends)
                self.rings_of.setdefault(last, []).append(ends)
            self.used[first] += gain
            self.used[last] += gain

    def write(self, root: int) -> str:
        """The SMILES of a root's fragment; ring numbers go on from fragment to fragment."""
        parts: list[str] = []
        stack: list[Any] = [root]
        while stack:
            item = stack.pop()
            if item.__class__ is str:
                parts.append(item)
                continue
            parts.append(self.texts[item])
            parts += [self._ring(ends, item) for ends in self.rings_of.get(item, ())]
            children = self.children[item]
            if children:
                last = children[-1]
                stack += (last, self._bond(last))
                for child in children[-2::-1]:
                    stack += (")", child, "(" + self._bond(child))
        return "".join(parts)

    def _bond(self, atom: int) -> str:
        order = self.orders[atom]
        return self.stereo[atom] if order == 1 else _SIGNS[order]

    def _ring(self, ends: tuple[int, int], atom: int) -> str:
        """Bond symbol and number of a ring at one of its ends; numbers are not used again."""
        order, first_stereo, last_stereo = self.rings[ends]
        number = self.numbers.setdefault(ends, len(self.numbers) + 1)
        stereo = first_stereo if atom == ends[0] else last_stereo
        sign = stereo if order == 1 else _SIGNS[order]
        return f"{sign}%{number}" if number > 9 else f"{sign}{number}"


class _Derivation:
    """One fragment's tokens, read once from left to right; branches recurse."""

    def __init__(self, tokens: list[str], graph: _Graph) -> None:
        self.tokens = tokens
        self.graph = graph
        self.place = 0

    def run(self, most: int, state: int | None, previous: int) -> None:
        """Read up to ``most`` tokens. ``state``: bonds to spare at atom ``previous``, 0 at the
        start; None once nothing can follow."""
        graph, tokens = self.graph, self.tokens
        end = self.place + most
        stop = min(end, len(tokens))
        while state is not None and self.place < stop:
            kind, order, count, more = _facts(tokens[self.place])
            self.place += 1
            if kind == _ATOM:
                text, capacity, stereo = more
                order = min(order, state, capacity)
                if state == 0 or order:
                    previous = graph.add(text, capacity, previous if state else -1, order, stereo)
                state = capacity - order or None
            elif kind == _BRANCH:
                if state > 1:
                    first = min(state - 1, order)
                    length = self._number(count) + 1
                    self.run(length, first, previous)
                    state -= first
            elif kind == _RING:
                if state:
                    order = min(order, state)
                    partner = max(0, previous - self._number(count) - 1)
                    graph.wanted.append((partner, previous, order, more))
                    state = state - order or None
            elif kind == _EPSILON:
                state = 0 if state == 0 else None
            else:
                raise UnknownTokenError(tokens[self.place - 1])
        self.place = max(self.place, stop)

    def _number(self, count: int) -> int:
        """The number that the next ``count`` tokens spell; those past the end count 0."""
        value = 0
        for token in self.tokens[self.place : self.place + count]:
            value = value * _BASE + INDEX_CODE.get(token, 0)
        missing = self.place + count - len(self.tokens)
        self.place += count
        return value * _BASE ** max(0, missing) if missing > 0 else value


@lru_cache(maxsize=8192)
def _facts(token: str) -> tuple[int, int, int, Any]:
    """Kind, bond order, number of index tokens, and the rest: an atom's text, capacity and
    stereo mark, or the stereo marks of a ring's ends."""
    with selfies_constraints():
        if token[-4:-2] == "ch":
            found = process_branch_symbol(token)
            return (_UNKNOWN, 0, 0, None) if found is None else (_BRANCH, *found, None)
        if token[-4:-2] == "ng":
            found = process_ring_symbol(token)
            if found is None:
                return _UNKNOWN, 0, 0, None
            order, count, (first, last) = found
            return _RING, order, count, (first or "", last or "")
        if "eps" in token:
            return _EPSILON, 0, 0, None
        found = process_atom_symbol(token)
        if found is None:
            return _UNKNOWN, 0, 0, None
        (order, stereo), atom = found
        return _ATOM, order, 0, (atom_to_smiles(atom), atom.bonding_capacity, stereo or "")
