"""What may come next in a SMILES: branches and rings that close, valences that suffice.

A SMILES is written atom by atom on a stack. The top is the atom that the next bond starts from;
``(`` keeps it for later, ``)`` goes back to it. Each atom has a number of bonds left. What a token
does to the stack is worked out once (``gmkit_molecules.smiles_profile``):

    bonds    that it takes from the atoms already there, from the top down
    pops     how many of these it leaves behind for good
    pushes   bonds left at the atoms it puts in their place

so that a step compares and moves whole tensors. Atoms in aromatic rings count neighbours instead
of bonds, at most three. That a ring of aromatic atoms has a Kekulé form is not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from gmkit.fields.grammar import Grammar, State
from gmkit_molecules.notation import Smiles
from gmkit_molecules.smiles_profile import (
    AFTER_OPENING,
    AROMATIC,
    AT_START,
    ATOM_DONE,
    CLOSED,
    FIRST,
    LONELY,
    ON_ATOM,
    START,
    kind_of,
    profile,
    turns_of,
)

DEPTH = 24
"""Branches within branches, at most."""


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
        self._turns = torch.tensor([turns_of(token, rings) for token in tokens])
        bits = [1 << bit for bit in range(max(1, len(rings)))]
        self._heights = torch.tensor(
            [[[p.heights.get(bit, 0) for bit in bits] for p in row] for row in profiles]
        )
        self._dip = table("dip")
        self._atoms = torch.tensor([sum(kind_of(s, rings) == "atom" for s in t) for t in tokens])
        kinds = [kind_of(token[0], rings) if token else "" for token in tokens]
        follows = [[bool(k) and s in FIRST[k] for k in kinds] for s in range(LONELY)]
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
            "last": none + START,
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
        last = torch.where(state["alone"] > 0, LONELY, state["last"])
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
        whole = (state["last"] == ATOM_DONE) | (state["last"] == CLOSED)
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
        begun = torch.where(state["opened"] > 0, AFTER_OPENING, ON_ATOM)
        return torch.where(state["last"] == START, AT_START, begun)
