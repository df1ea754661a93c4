"""What each token of a vocabulary does (``smiles_profile``), as tensors to be looked up at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor

from gmkit_molecules.smiles_profile import AROMATIC, FIRST, LONELY, Profile, kind_of, profile

__all__ = ["TokenTables"]

_PLAIN = (
    *("pops", "reach", "wanted", "room", "exactly", "alone", "alone_last", "rings", "dip"),
    *("last", "order", "opened", "fits"),
)
"""Numbers of a profile that are taken as they are."""


class TokenTables:
    """One row of numbers for each token and place where it may begin, so that a look-up is one
    index, however much is told of a token."""

    def __init__(self, tokens: Sequence[Sequence[str]]) -> None:
        """``tokens``: the symbols of each class, none for class 0."""
        numbers = sorted({s for token in tokens for s in token if s[0].isdigit() or s[0] == "%"})
        rings = {number: 1 << bit for bit, number in enumerate(numbers[:62])}
        profiles = [[profile(token, rings, v) for token in tokens] for v in range(3)]
        self.levels = 1 + max(max(len(p.bonds), p.pops) for row in profiles for p in row)
        self.pushes = max(len(p.pushes) for row in profiles for p in row) or 1
        self.rings = max(1, len(rings))
        columns = [[self._numbers(p) for p in row] for row in profiles]
        self._rows = torch.tensor([[[*chain(*c.values())] for c in row] for row in columns])
        self._parts: dict[str, tuple[int, int]] = {}
        start = 0
        for name, values in columns[0][0].items():
            self._parts[name] = (start, start + len(values))
            start += len(values)
        kinds = [kind_of(token[0], rings) if token else "" for token in tokens]
        follows = [[bool(k) and s in FIRST[k] for k in kinds] for s in range(LONELY)]
        follows.append([k == "ring" for k in kinds])  # an aromatic atom in no ring yet
        self.follows = torch.tensor(follows)
        """(states, classes): what may come after what was written last."""
        opened = max(p.rings.bit_count() for row in profiles for p in row)
        self.growth = self.pushes + 3 * opened + 6
        """More than which no token adds to what is unfinished."""

    def at(self, variant: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Name → numbers of the classes where they begin as ``variant`` says, of the shape of both
        (broadcast) and for those that a profile has several of, one dimension more."""
        rows = self._rows[variant, classes]
        return {
            name: rows[..., start]
            if stop == start + 1 and name in _SINGLE
            else rows[..., start:stop]
            for name, (start, stop) in self._parts.items()
        }

    def _numbers(self, p: Profile) -> dict[str, list[int]]:
        """A profile, all lists as long as the longest, those of atoms from the top down."""
        count, bits = len(p.pushes), [1 << bit for bit in range(self.rings)]
        pushes, depths = p.pushes[::-1], p.depths[::-1]
        entry = count - 1 - p.entry if p.entry >= 0 else -1
        first = [p.places.get(bit, [(0, 0)])[0] for bit in bits]
        last = [p.places.get(bit, [(0, 0)])[-1] for bit in bits]
        top = depths[0] if depths else (p.pops, 0)
        return {
            **{name: [int(getattr(p, name))] for name in _PLAIN},
            "pushed": [count],
            "entry": [entry],
            "pays": [int(entry >= 0 and pushes[entry] < AROMATIC)],
            "after": [sum(left % AROMATIC for left in pushes)],
            "bonds": _padded(p.bonds, self.levels),
            "neighbours": _padded(p.neighbours, self.levels),
            "pushes": _padded(pushes, self.pushes),
            "whence": _padded([level for level, _ in depths], self.pushes),
            "far": _padded([far for _, far in depths], self.pushes),
            "top": list(top),
            "first_whence": [level for level, _ in first],
            "first_far": [far for _, far in first],
            "last_whence": [level for level, _ in last],
            "last_far": [far for _, far in last],
            "odd": [int(p.rings & bit > 0) for bit in bits],
            "touched": [int(bit in p.places) for bit in bits],
            "dropped": [int(bit in p.dropped) for bit in bits],
            "heights": [p.heights.get(bit, 0) for bit in bits],
        }


_SINGLE = frozenset({*_PLAIN, "pushed", "entry", "pays", "after"})


def _padded(values: Sequence[int], size: int) -> list[int]:
    return [*values, *[0] * (size - len(values))]
