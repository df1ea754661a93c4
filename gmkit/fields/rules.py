"""What holds for a sequence while it is drawn element by element: the rules of its notation, and
that it does not end before what is known to come."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from gmkit.codecs.codec import Batch
from gmkit.fields.categorical import GOES_ON, Categorical
from gmkit.fields.field import Field
from gmkit.fields.space import Params

AGAIN, ROUNDS = 4, 3
"""Draws in a round for an element that broke a rule of its notation, and rounds of them before all
classes are looked at."""


class Rules:
    """Holds what is drawn to the grammars of the sequences."""

    def __init__(self, sequences: Mapping[str, Field], rows: int) -> None:
        self.fields = {
            name: f
            for name, f in sequences.items()
            if isinstance(f, Categorical) and f.grammar is not None
        }
        self.grammars = {name: f.grammar for name, f in self.fields.items() if f.grammar}
        self.states = {name: grammar.begin(rows) for name, grammar in self.grammars.items()}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.grammars)

    def hold(
        self,
        current: Batch,
        params: Params,
        room: int,
        rng: torch.Generator,
        temperature: float,
        before: Batch,
    ) -> None:
        """Draw elements (B, 1) that break a rule again, of the classes that do not; where there
        are none, they stay. ``room``: how many may follow; ``before``: the elements before, none
        after an end.

        That is a draw of all allowed ones, at the cost of a few rows:
        p(x) + p(refused) p(x)/p(allowed) = p(x)/p(allowed). So is the first allowed of many draws,
        and with classes left out that were refused: all are looked at only where few rounds of
        draws find none."""
        for name, grammar in self.grammars.items():
            drawn, state, field = current[name], self.states[name], self.fields[name]
            going = before[name][:, 0].cpu() != field.end if name in before else True
            refused = (~grammar.allowed(state, drawn.cpu(), room)[:, 0] & going).nonzero()[:, 0]
            logits = params[name][refused.to(drawn.device)]
            for _ in range(ROUNDS):
                if not len(refused):
                    break
                several = field.sample(logits.expand(-1, AGAIN, -1), rng, temperature)
                fine = grammar.allowed(grammar.keep(state, refused), several.cpu(), room)
                fine = fine.to(drawn.device)
                found, first = fine.any(1), fine.int().argmax(1, keepdim=True)
                drawn[refused.to(drawn.device)] = several.gather(1, first)
                less = logits.scatter(-1, several[:, None].long(), -math.inf)
                some = (less > -math.inf).any(-1, keepdim=True)
                logits, refused = torch.where(some, less, logits)[~found], refused[~found.cpu()]
            if len(refused):
                classes = torch.arange(logits.shape[-1]).expand(len(logits), -1)
                allowed = grammar.allowed(grammar.keep(state, refused), classes, room)
                allowed = allowed[:, None].to(logits.device)
                allowed |= ~allowed.any(-1, keepdim=True)
                logits = params[name][refused.to(drawn.device)].masked_fill(~allowed, -math.inf)
                some = (logits > -math.inf).any(-1, keepdim=True)  # else any allowed one
                logits = torch.where(some, logits, torch.zeros_like(logits))
                logits = logits.masked_fill(~allowed, -math.inf)
                drawn[refused.to(drawn.device)] = field.sample(logits, rng, temperature)

    def advance(self, current: Batch) -> None:
        """After the elements (B, 1)."""
        for name, grammar in self.grammars.items():
            chosen = current[name][:, 0].cpu()
            self.states[name] = grammar.advance(self.states[name], chosen)

    def keep(self, rows: Tensor) -> None:
        """Only some records."""
        for name, grammar in self.grammars.items():
            self.states[name] = grammar.keep(self.states[name], rows.cpu())


def last_known(
    ends: Mapping[str, int], given: Batch | None, known: Mapping[str, Tensor] | None
) -> dict[str, Tensor]:
    """Name → (B,) position before which it does not end: of the last element known to lie before
    the end, or after one that ``GOES_ON``; −1 for none."""
    if given is None or known is None:
        return {}
    last = {}
    for name in known.keys() & ends:
        goes_on = given[name] == GOES_ON
        inside = known[name] & (given[name] != ends[name])
        places = torch.arange(inside.shape[1], device=inside.device) + goes_on.int()
        last[name] = torch.where(inside | goes_on, places, -1).amax(1)
    return last
