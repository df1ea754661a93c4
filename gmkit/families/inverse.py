"""Classes drawn by inverse distribution functions, for many records at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmkit.families.em import LEAST, Doubles


def one_of(shares: NDArray[Any], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A class for each of ``count`` records, of shares (N, K), or (1, K) for all."""
    sums, chance = shares.cumsum(1), rng.random(count)
    if len(shares) == 1:
        found = np.searchsorted(sums[0], chance * sums[0, -1], "right")
    else:
        found = (sums <= (chance * sums[:, -1])[:, None]).sum(1)
    return np.asarray(found.clip(max=shares.shape[1] - 1))


def ends(tables: NDArray[Any], starts: NDArray[np.int64], temperature: float) -> list[Doubles]:
    """Of each element, whose cells in ``tables`` (cells, K) begin at ``starts``, the numbers
    k + Σ_{c' ≤ c} p(c' | k) for all k and c: they ascend, so that the place of k + u among them,
    u uniform, is a class drawn of p(c | k)."""
    shares = tables.astype(np.float64)
    if temperature != 1:
        log = np.log(np.maximum(shares, LEAST))
        most = np.maximum.reduceat(log, starts, axis=0)
        sizes = np.diff(starts, append=len(log))
        shares = np.exp((log - np.repeat(most, sizes, 0)) / max(temperature, 1e-6))
    sums = [part.T.cumsum(1) for part in np.split(shares, starts[1:])]
    every = np.arange(shares.shape[1])[:, None]
    return [(s / s[:, -1:] + every).ravel() for s in sums]


def without(last: int, own: Doubles, classes: NDArray[np.int64], chance: Doubles) -> Doubles:
    """Chances in [0, 1) as ones that never fall to class ``last`` of ``own``, as of ``ends``;
    ``classes``: k of each record."""
    begin = classes * (len(own) // int(own[-1].round()))
    above = own[begin + last] - classes
    below = own[begin + last - 1] - classes if last else np.zeros(len(begin))
    rest = chance * (1 - above + below)
    return np.asarray(np.where(rest >= below, rest + above - below, rest))
