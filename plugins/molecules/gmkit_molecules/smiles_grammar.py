"""What may come next in a SMILES: branches and rings that close, valences that suffice.

A SMILES is written atom by atom on a stack. The top is the atom that the next bond starts from;
``(`` keeps it for later, ``)`` goes back to it. Each atom has a number of bonds left. What a token
does to the stack, a byte pair of several atoms included, is worked out once (``profile``):

    bonds    that it takes from the atoms already there, from the top down
    pops     how many of these it leaves behind for good
    pushes   bonds left at the atoms it puts in their place

so that a step compares and moves whole tensors. Atoms in aromatic rings count neighbours instead
of bonds, at most three. That a ring of aromatic atoms has a Kekulé form is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from gmkit.fields.grammar import Grammar, State
from gmkit_molecules.notation import Smiles
from gmkit_molecules.valence import most_bonds

AROMATIC = 64
"""Added to the bonds left of an aromatic atom, whose double bonds count as one neighbour."""
_ORDERS = {"-": 1, ":": 1, "/": 1, "\\": 1, "~": 1, "->": 1, "<-": 1, "=": 2, "#": 3, "$": 4}
_ATOM = re.compile(r"\[\d*(?P<element>[A-Za-z][a-z]?|\*)@*(?:H(?P<h>\d*))?(?P<charge>[+-]+\d*)?")
_START, _ATOM_DONE, _CLOSED, _OPENED, _BOND, _LONELY = range(6)
"""What was written last: nothing or a dot; an atom or a ring; ``)``; ``(``; a bond; an aromatic
atom that is in no ring yet."""
_ON_ATOM, _AFTER_OPENING, _AT_START = range(3)
"""Where a token begins."""
DEPTH = 24
"""Branches within branches, at most."""
_FIRST = {"atom": (_START, _ATOM_DONE, _CLOSED, _OPENED, _BOND), "ring": (_ATOM_DONE, _BOND)}
_FIRST |= {"bond": (_ATOM_DONE, _CLOSED, _OPENED), "(": (_ATOM_DONE, _CLOSED)}
_FIRST |= {")": (_ATOM_DONE, _CLOSED), ".": (_ATOM_DONE, _CLOSED)}
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
    """Kind of its first symbol, a key of ``_FIRST``."""
    bonds: list[int] = field(default_factory=list)
    """Bonds taken from the atoms that were there, from the top down."""
    neighbours: list[int] = field(default_factory=list)
    """The same with each bond counted once, whatever its order."""
    wanted: int = 0
    """Bonds that the top must have left for what the token begins and does not end."""
    pops: int = 0
    pushes: list[int] = field(default_factory=list)
    """Bottom to top."""
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
    dip: int = 0
    """Atoms on the stack after a ``)``, fewer than before the token, at most."""
    last: int = _START
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
        self.found = Profile(opened=variant == _AFTER_OPENING)
        self.state = _START if variant == _AT_START else -1
        self.own: list[list[int]] = []
        """[bonds left, whether aromatic], bottom to top."""
        self.pending = 1

    def read(self, symbols: Sequence[str]) -> Profile:
        found, first = self.found, None
        kinds = [*(_kind(symbol, self.rings) for symbol in symbols), ""]
        for symbol, kind, following in zip(symbols, kinds, kinds[1:], strict=False):
            if not found.first:
                found.first = kind
            elif self.state not in _FIRST[kind]:
                found.fits = False
            if kind == "atom":
                bonded = self.state != _START
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
                found.heights[self.rings[symbol]] = len(self.own) - found.pops
                self.state, self.pending = _ATOM_DONE, 1
            elif kind == "bond":
                self.state, self.pending = _BOND, _ORDERS[symbol]
            elif kind == "(":
                self.state, found.opened = _OPENED, True
            elif kind == ")":
                self._pop()
                self._top()
                self.state, found.dip = _CLOSED, max(found.dip, found.pops - len(self.own))
            else:
                found.exactly = found.pops + (0 if self.own else 1)
                found.fits &= len(self.own) < 2
                self._pop()
                self.state = _START
        found.pushes = [left + AROMATIC * aromatic for left, aromatic in self.own]
        wanted = self.pending if self.state == _BOND else int(self.state == _OPENED)
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
        left = bonds_left(symbol)
        atom = [left % AROMATIC, left // AROMATIC]
        if self.state != _START:
            self._bond()
            atom[0] -= 1 if atom[1] else self.pending
            self.found.fits &= atom[0] >= 0
            if not self.found.opened:
                self._pop()
        self.own.append(atom)
        self.state, self.pending, self.found.opened = _ATOM_DONE, 1, False
        return atom

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


def _turns(symbols: Sequence[str], rings: dict[str, int]) -> list[int]:
    """For each ring number, after how many of the token's atoms it is opened or closed; −1 where
    it is neither, or both."""
    found, atoms = [-1] * max(1, len(rings)), 0
    for symbol in symbols:
        if symbol in rings:
            bit = rings[symbol].bit_length() - 1
            found[bit] = atoms if found[bit] < 0 else -1
        atoms += _kind(symbol, rings) == "atom"
    return found


def _kind(symbol: str, rings: dict[str, int]) -> str:
    if symbol in rings:
        return "ring"
    if symbol in _ORDERS:
        return "bond"
    return symbol if symbol in ("(", ")", ".") else "atom"


@lru_cache(maxsize=8)
def grammar_of(texts: tuple[str, ...]) -> SmilesGrammar:
    """The rules for the SMILES text of each class, which is empty for class 0."""
    return SmilesGrammar([Smiles().tokens(text) for text in texts])


class SmilesGrammar(Grammar):
    """Rules for the tokens of a vocabulary; class 0 ends a molecule."""

    def __init__(self, tokens: Sequence[Sequence[str]]) -> None:
        """``tokens``: the symbols of each class, none for class 0."""
        numbers = sorted({s for token in tokens for s in token if s[0].isdigit() or s[0] == "%"})
        rings = {number: 1 << bit for bit, number in enumerate(numbers[:62])}
        profiles = [[profile(token, rings, v) for token in tokens] for v in range(3)]
        self.levels = 1 + max(max(len(p.bonds), p.pops) for row in profiles for p in row)

        def table(name: str) -> Tensor:
            return torch.tensor([[int(getattr(p, name)) for p in row] for row in profiles])

        def padded(name: str, size: int, *, upwards: bool = False) -> Tensor:
            lists = [[list(getattr(p, name)) for p in row] for row in profiles]
            return torch.tensor(
                [[(v[::-1] if upwards else v) + [0] * (size - len(v)) for v in r] for r in lists]
            )

        most = max(len(p.pushes) for row in profiles for p in row) or 1
        self._bonds = padded("bonds", self.levels)
        self._neighbours = padded("neighbours", self.levels)
        self._pushes = padded("pushes", most, upwards=True)  # top first
        pushed = torch.tensor([[len(p.pushes) for p in row] for row in profiles])
        self._pushed, self._pops, self._reach = pushed, table("pops"), table("reach")
        entry = table("entry")
        self._entry = torch.where(entry < 0, -1, pushed - 1 - entry)  # from the top
        self._room, self._exactly = table("room"), table("exactly")
        self._rings, self._fits = table("rings"), table("fits").bool()
        self._wanted, self._after = table("wanted"), (self._pushes % AROMATIC).sum(-1)
        self._alone, self._alone_last = table("alone"), table("alone_last")
        self._last, self._order, self._opened = table("last"), table("order"), table("opened")
        self._turns = torch.tensor([_turns(token, rings) for token in tokens])
        bits = [1 << bit for bit in range(max(1, len(rings)))]
        self._heights = torch.tensor(
            [[[p.heights.get(bit, 0) for bit in bits] for p in row] for row in profiles]
        )
        self._dip = table("dip")
        self._atoms = torch.tensor([sum(_kind(s, rings) == "atom" for s in t) for t in tokens])
        kinds = [_kind(token[0], rings) if token else "" for token in tokens]
        follows = [[bool(k) and s in _FIRST[k] for k in kinds] for s in range(_LONELY)]
        follows.append([k == "ring" for k in kinds])  # an aromatic atom in no ring yet
        self._follows = torch.tensor(follows)

    def begin(self, rows: int) -> State:
        """No atom."""
        none = torch.zeros(rows, dtype=torch.long)
        stack = torch.zeros(rows, DEPTH, dtype=torch.long)
        return {
            "stack": stack,  # bonds left, top first
            "size": none,
            "rings": none,
            "begun": none[:, None].expand(-1, self._turns.shape[1]) - 1,
            "height": none[:, None].expand(-1, self._turns.shape[1]),
            "atoms": none,
            "last": none + _START,
            "order": none + 1,
            "opened": none,
            "alone": none,
        }

    def allowed(self, state: State, classes: Tensor) -> Tensor:
        """As ``Grammar``."""
        at = (self._variant(state)[:, None], classes)
        size, rings = state["size"][:, None], state["rings"][:, None]
        top, extra = state["stack"][:, None, : self.levels], state["order"][:, None] - 1
        aromatic, left = top >= AROMATIC, top % AROMATIC
        takes = torch.where(aromatic, self._neighbours[at], self._bonds[at])
        takes[..., 0] += extra * ~aromatic[..., 0]  # what follows an open bond takes it first
        fine = (takes <= left).all(-1)
        # what remains at the atom that the token comes back to, for bonds that it leaves open
        place = self._pops[at][..., None]
        rest = (left.expand_as(takes) - takes).gather(-1, place).squeeze(-1)
        wanted = self._wanted[at]
        many = aromatic.expand_as(takes).gather(-1, place).squeeze(-1)
        fine &= torch.where(many, wanted.clamp(max=1), wanted) <= rest
        fine &= (self._alone[at] != rings) & self._fits[at]
        last = torch.where(state["alone"] > 0, _LONELY, state["last"])
        fine &= self._follows[last[:, None], classes]
        fine &= (self._room[at] >= extra) & (self._reach[at] <= size)
        # a ring has three atoms at least (those of a branch between are not looked through)
        turns, begun = self._turns[classes], state["begun"][:, None]
        near = state["atoms"][:, None, None] + turns - begun < 2
        fine &= ~((turns >= 0) & (begun >= 0) & near).any(-1)
        # a ring that began in a branch ends there, for it leads back to an atom before it
        bits = torch.arange(turns.shape[-1])
        turned = (self._rings[at][..., None] >> bits) & 1 > 0
        below = size[..., None] - self._dip[at][..., None] < state["height"][:, None]
        fine &= ~((begun >= 0) & ~turned & below).any(-1)
        # and until then an atom from there on has bonds left to go on
        heights = size[..., None] + self._heights[at]
        heights = torch.where(turned, heights, state["height"][:, None])
        open_after = turned ^ (begun >= 0)
        down_to = size - torch.where(open_after, heights, 0).amax(-1)  # places from the top
        total = F.pad((state["stack"] % AROMATIC).flip(1).cumsum(1).flip(1), (0, 1))
        place = place.squeeze(-1)
        first = (place + 1).clamp(max=DEPTH)
        until = (down_to + 1).clamp(max=DEPTH).maximum(first)
        lower = total.gather(1, first) - total.gather(1, until)
        free = self._after[at] + torch.where(place <= down_to, rest + lower, 0)
        fine &= ~open_after.any(-1) | (free > 0)
        exactly = self._exactly[at]
        fine &= (exactly < 0) | (exactly == size)
        fine &= size - self._pops[at] + self._pushed[at] <= DEPTH
        whole = (state["last"] == _ATOM_DONE) | (state["last"] == _CLOSED)
        whole &= (state["size"] == 1) & (state["rings"] == 0) & (state["alone"] == 0)
        return torch.where(classes == 0, whole[:, None], fine)

    def advance(self, state: State, chosen: Tensor) -> State:
        """Take the bonds, leave atoms behind, put the new ones on top."""
        variant, stack = self._variant(state), state["stack"].clone()
        at, extra = (variant, chosen), state["order"] - 1
        head = stack[:, : self.levels]
        takes = torch.where(head >= AROMATIC, self._neighbours[at], self._bonds[at])
        takes[:, 0] += extra * (stack[:, 0] < AROMATIC)
        stack[:, : self.levels] = (head - takes).clamp(min=0)
        pops, pushed = self._pops[at][:, None], self._pushed[at][:, None]
        places = torch.arange(DEPTH)
        source = places - pushed + pops
        old = stack.gather(1, source.clamp(0, DEPTH - 1)).masked_fill(source >= DEPTH, 0)
        new = self._pushes[at]
        entered = torch.arange(new.shape[1]) == self._entry[at][:, None]
        new = (new - extra[:, None] * (entered & (new < AROMATIC))).clamp(min=0)
        fresh = new.gather(1, places.clamp(max=new.shape[1] - 1).expand(len(new), -1))
        size = (state["size"][:, None] - pops + pushed).squeeze(1)
        turns, open_now = self._turns[chosen], state["rings"] ^ self._rings[at]
        begun = torch.where(turns >= 0, state["atoms"][:, None] + turns, state["begun"])
        height = state["size"][:, None] + self._heights[at]
        height = torch.where(turns >= 0, height, state["height"])
        still = (open_now[:, None] >> torch.arange(turns.shape[1])) & 1
        return {
            "stack": torch.where(places < pushed, fresh, old),
            "size": size.clamp(0, DEPTH),
            "rings": open_now,
            "begun": torch.where(still > 0, begun, -1),
            "height": height,
            "atoms": state["atoms"] + self._atoms[chosen],
            "last": self._last[at],
            "order": self._order[at],
            "opened": self._opened[at],
            "alone": (self._alone_last[at] == state["rings"]).long(),
        }

    @staticmethod
    def _variant(state: State) -> Tensor:
        """Where the next token begins, (B,)."""
        begun = torch.where(state["opened"] > 0, _AFTER_OPENING, _ON_ATOM)
        return torch.where(state["last"] == _START, _AT_START, begun)
