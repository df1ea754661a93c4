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
    BOND,
    CLOSED,
    LONELY,
    ON_ATOM,
    START,
)
from gmkit_molecules.smiles_tables import TokenTables

DEPTH = 24
"""Branches within branches, at most."""
FAR = 1 << 20
"""More bonds than any molecule has one after the other."""

FINISHING = ("last_whence", "last_far", "top", "last", "opened", "alone_last")
"""What says of a token how much is unfinished after it."""


@lru_cache(maxsize=8)
def grammar_of(texts: tuple[str, ...]) -> SmilesGrammar:
    """The rules for the SMILES text of each class, which is empty for class 0."""
    return SmilesGrammar([Smiles().tokens(text) for text in texts])


class SmilesGrammar(Grammar):
    """Rules for the tokens of a vocabulary; class 0 ends a molecule."""

    def __init__(self, tokens: Sequence[Sequence[str]]) -> None:
        """``tokens``: the symbols of each class, none for class 0."""
        self.tables = TokenTables(tokens)

    def begin(self, rows: int) -> State:
        """No atom."""
        none = torch.zeros(rows, dtype=torch.long)
        stack = torch.zeros(rows, DEPTH, dtype=torch.long)
        return {
            "stack": stack,  # bonds left, top first
            "below": F.pad(stack, (0, 1)),  # their sums from each on
            "size": none,
            "rings": none,
            "begun": none[:, None].expand(-1, self.tables.rings) - 1,
            "height": none[:, None].expand(-1, self.tables.rings),
            "depths": stack,  # bonds from the first atom on, of the atoms in the stack
            "last": none + START,
            "order": none + 1,
            "opened": none,
            "alone": none,
            "joined": none - 1,  # depth of the atom that a ring just closed leads back to
            "wanting": none,  # how unfinished it is
        }

    def allowed(self, state: State, classes: Tensor, room: int | None = None) -> Tensor:
        """As ``Grammar``. What does not leave room to finish must at least bring that nearer."""
        token = self.tables.at(self._variant(state)[:, None], classes)
        size, rings = state["size"][:, None], state["rings"][:, None]
        top, extra = state["stack"][:, None, : self.tables.levels], state["order"][:, None] - 1
        aromatic, left = top >= AROMATIC, top % AROMATIC
        takes = torch.where(aromatic, token["neighbours"], token["bonds"])
        takes[..., 0] += extra * ~aromatic[..., 0]  # what follows an open bond takes it first
        fine = (takes <= left).all(-1) & (token["fits"] > 0)
        # what remains at the atom that the token comes back to, for bonds that it leaves open
        place = token["pops"][..., None]
        rest = (left - takes).gather(-1, place).squeeze(-1)
        many = aromatic.expand_as(takes).gather(-1, place).squeeze(-1)
        fine &= torch.where(many, token["wanted"].clamp(max=1), token["wanted"]) <= rest
        last = torch.where(state["alone"] > 0, LONELY, state["last"])
        fine &= self.tables.follows[last[:, None], classes]
        fine &= (token["room"] >= extra) & (token["reach"] <= size)
        fine &= (token["exactly"] < 0) | (token["exactly"] == size)
        fine &= token["alone"] != rings
        # a ring has three atoms at least
        begun, height = state["begun"][:, None], state["height"][:, None]
        joined = state["joined"][:, None, None]
        is_open, touched, odd = begun >= 0, token["touched"] > 0, token["odd"] > 0
        spots = _depth(state, token["first_whence"], token["first_far"])
        closing = touched & is_open
        bad = closing & (spots - begun < 2)
        # and two rings do not join the same two atoms
        bad |= closing & (spots == state["depths"][:, None, :1]) & (begun == joined)
        if bool((closing.sum(-1) > 1).any()):
            pair = torch.where(closing, begun * FAR + spots, -1 - torch.arange(self.tables.rings))
            pair = pair.sort(-1).values
            fine &= ~(pair[..., 1:] == pair[..., :-1]).any(-1)
        # a ring that began in a branch ends there, for it leads back to an atom before it
        turned = touched & (odd | is_open)  # twice in an open one: it ends, another begins
        open_after = odd ^ is_open
        bad |= is_open & ~turned & (size[..., None] - token["dip"][..., None] < height)
        bad |= open_after & turned & (token["dropped"] > 0)
        fine &= ~bad.any(-1)
        # and until then an atom from there on has bonds left to go on
        heights = torch.where(turned, size[..., None] + token["heights"], height)
        down_to = size - torch.where(open_after, heights, 0).amax(-1)  # places from the top
        first = (token["pops"] + 1).clamp(max=DEPTH)
        until = (down_to + 1).clamp(max=DEPTH).maximum(first)
        lower = state["below"].gather(1, first) - state["below"].gather(1, until)
        free = token["after"] - extra * token["pays"]
        free = free + torch.where(token["pops"] <= down_to, rest + lower, 0)
        fine &= ~open_after.any(-1) | (free > 0)
        size_after = size - token["pops"] + token["pushed"]
        fine &= size_after <= DEPTH
        if room is not None:
            late = (room < state["wanting"] + self.tables.growth).nonzero()[:, 0]
            if len(late):
                known = {name: state[name] for name in ("depths", "begun", "rings", "wanting")}
                some = self.keep({**known, "turned": turned, "open_after": open_after}, late)
                part = self.keep({name: token[name] for name in FINISHING}, late)
                after = self._after(some, part, size_after[late])
                fine[late] &= (after <= room) | (after < some["wanting"][:, None])
        whole = (state["last"] == ATOM_DONE) | (state["last"] == CLOSED)
        whole &= (state["size"] == 1) & (state["rings"] == 0) & (state["alone"] == 0)
        return torch.where(classes == 0, whole[:, None], fine)

    def _after(self, state: State, token: dict[str, Tensor], size: Tensor) -> Tensor:
        """(B, C): what is unfinished after each class; ``size``: atoms on the stack then."""
        turned, open_after = state["turned"], state["open_after"]
        spots = _depth(state, token["last_whence"], token["last_far"])
        begun = torch.where(turned, spots, state["begun"][:, None])
        top = _depth(state, token["top"][..., :1], token["top"][..., 1:])
        alone = token["alone_last"] == state["rings"][:, None]
        return _unfinished(open_after, top - begun, size, token["last"], token["opened"], alone)

    def advance(self, state: State, chosen: Tensor) -> State:
        """Take the bonds, leave atoms behind, put the new ones on top."""
        token = self.tables.at(self._variant(state), chosen)
        stack, extra = state["stack"].clone(), state["order"] - 1
        head = stack[:, : self.tables.levels]
        takes = torch.where(head >= AROMATIC, token["neighbours"], token["bonds"])
        takes[:, 0] += extra * (stack[:, 0] < AROMATIC)
        stack[:, : self.tables.levels] = (head - takes).clamp(min=0)
        places, pushed = torch.arange(DEPTH), token["pushed"][:, None]
        source = places - pushed + token["pops"][:, None]
        old = stack.gather(1, source.clamp(0, DEPTH - 1)).masked_fill(source >= DEPTH, 0)
        new = token["pushes"]
        entered = torch.arange(new.shape[1]) == token["entry"][:, None]
        new = (new - extra[:, None] * (entered & (new < AROMATIC))).clamp(min=0)
        laid = places.clamp(max=new.shape[1] - 1).expand(len(new), -1)
        deeper = _depth(state, token["whence"], token["far"])
        depths = state["depths"].gather(1, source.clamp(0, DEPTH - 1))
        size = state["size"] - token["pops"] + token["pushed"]
        open_before, odd = state["begun"] >= 0, token["odd"] > 0
        turned = (token["touched"] > 0) & (odd | open_before)
        spots = _depth(state, token["last_whence"], token["last_far"])
        begun = torch.where(turned, spots, state["begun"])
        depths = torch.where(places < pushed, deeper.gather(1, laid), depths)
        ended = _depth(state, token["first_whence"], token["first_far"]) == depths[:, :1]
        ended &= (token["touched"] > 0) & open_before
        joined = torch.where(ended, state["begun"], -1).amax(-1)
        same = (token["pushed"] == 0) & (token["pops"] == 0) & (joined < 0)
        height = state["size"][:, None] + token["heights"]
        begun = torch.where(odd ^ open_before, begun, -1)
        size = size.clamp(0, DEPTH)
        alone = (token["alone_last"] == state["rings"]).long()
        stack = torch.where(places < pushed, new.gather(1, laid), old)
        since = depths[:, :1] - begun
        return {
            "stack": stack,
            "below": F.pad((stack % AROMATIC).flip(1).cumsum(1).flip(1), (0, 1)),
            "size": size,
            "rings": state["rings"] ^ token["rings"],
            "begun": begun,
            "height": torch.where(turned, height, state["height"]),
            "depths": depths,
            "last": token["last"],
            "order": token["order"],
            "opened": token["opened"],
            "alone": alone,
            "joined": torch.where(same, state["joined"], joined),
            "wanting": _unfinished(begun >= 0, since, size, token["last"], token["opened"], alone),
        }

    @staticmethod
    def _variant(state: State) -> Tensor:
        """Where the next token begins, (B,)."""
        begun = torch.where(state["opened"] > 0, AFTER_OPENING, ON_ATOM)
        return torch.where(state["last"] == START, AT_START, begun)


def _unfinished(
    rings: Tensor, since: Tensor, size: Tensor, last: Tensor, opened: Tensor, alone: Tensor
) -> Tensor:
    """About how many symbols a molecule must go on for, all (B, …): each open ring (``rings``, with
    a last dimension for them) wants its number, and atoms until it has three (there are ``since``);
    each branch its ``)``, each bond its atom, a lonely aromatic atom a ring."""
    closing = (rings * (1 + (2 - since).clamp(min=0))).sum(-1)
    return closing + (size - 1).clamp(min=0) + (last == BOND) + 2 * (opened > 0) + 4 * alone


def _depth(state: State, whence: Tensor, far: Tensor) -> Tensor:
    """(B, …) bonds from the first atom on, of atoms ``far`` bonds from those at ``whence`` in the
    stack."""
    flat = whence.flatten(1).clamp(max=DEPTH - 1)
    return state["depths"].gather(1, flat).view(whence.shape) + far
