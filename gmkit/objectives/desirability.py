"""Desirabilities: how far a measured value serves a goal, from 0 (useless) to 1 (all one wants).

Harrington 1965, "The desirability function"; Derringer & Suich 1980, "Simultaneous optimization of
several response variables", whose weighted geometric mean joins several:

    D = (Π dᵢ^wᵢ)^(1/Σwᵢ)

so that a record which fails one goal wholly is not saved by the others.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Goal", "desirability", "joined"]

Goal = Literal["maximise", "minimise", "target", "at_least", "at_most", "require", "forbid"]
Floats = NDArray[np.float64]


def desirability(values: Floats, goal: Goal, low: float, high: float, width: float) -> Floats:
    """(n,) in [0, 1]; 0 where a value is NaN.

    ``maximise``: 0 up to ``low``, 1 from ``high`` on, even between; ``minimise`` the other way
    round. ``target``: 1 at ``low`` (= ``high``), falling as a Gaussian of standard deviation
    ``width``; ``at_least``: so below ``low`` only, 1 above; ``at_most``: so above only (Brown et
    al. 2019, "GuacaMol", whose modifiers these are). ``require``: 1 from ``high`` on, else 0;
    ``forbid``: the opposite.
    """
    with np.errstate(invalid="ignore"):
        if goal in ("target", "at_least", "at_most"):
            off = (values - low) / width
            if goal != "target":
                off = np.minimum(off, 0.0) if goal == "at_least" else np.maximum(off, 0.0)
            found = np.exp(-0.5 * off**2)
        elif goal in ("require", "forbid"):
            found = ((values >= high) == (goal == "require")).astype(np.float64)
        else:
            found = np.clip((values - low) / (high - low), 0.0, 1.0)
            found = 1.0 - found if goal == "minimise" else found
    return np.asarray(np.where(np.isnan(values), 0.0, found), np.float64)


def joined(parts: Floats, weights: Floats) -> Floats:
    """Weighted geometric mean over the rows of ``parts`` (terms, n), (n,)."""
    with np.errstate(divide="ignore"):
        logs = np.log(parts)
    return np.asarray(np.exp((weights[:, None] * logs).sum(0) / weights.sum()), np.float64)
