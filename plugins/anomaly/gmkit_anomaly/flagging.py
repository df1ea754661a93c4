"""Which scores count as abnormal.

fdr q            p-values: Benjamini–Hochberg at rate q
contamination x  the highest-scoring share x of what was learned from
auto             known-normal data: false discovery rate .05; else beyond the fence of the scores
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gmkit.scoring.calibration import false_discoveries

FENCE = 2.2
"""Widths of the middle half above its end (Hoaglin & Iglewicz 1987), in square roots of scores,
which for sums of exponentials are about normal."""
FDR = 0.05
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rule:
    """A record is abnormal at ``score`` or above, where its p-value is at most ``p_value``."""

    score: float
    p_value: float
    told: str
    """For people."""

    def flagged(self, scores: Floats, p_values: Floats) -> NDArray[np.bool_]:
        """(N,)."""
        return (scores >= self.score) & (p_values <= self.p_value)


def rule_of(
    known: Floats, p_values: Floats | None, *, fdr: float | None, contamination: float | None
) -> Rule:
    """``known``: held-out scores; ``p_values``: of all records, where discoveries are counted."""
    if fdr is not None and p_values is not None:
        most = false_discoveries(p_values, fdr)
        return Rule(-np.inf, most, f"false discovery rate {fdr:g} (Benjamini–Hochberg)")
    if contamination is not None:
        at = float(np.quantile(known, 1 - contamination)) if len(known) else np.inf
        if len(known) and (known >= at).mean() > contamination + 1 / len(known):
            at = float(np.nextafter(at, np.inf))  # many are alike: these are not the highest
        return Rule(at, 1.0, f"the highest {100 * contamination:g} % of the scores learned from")
    low, high = np.sqrt(np.quantile(np.maximum(known, 0), [0.25, 0.75]))
    fence = float((high + FENCE * (high - low)) ** 2)
    fence = float(np.nextafter(fence, np.inf))  # where all are alike, none lies beyond
    return Rule(fence, 1.0, "far beyond the middle half of the scores (contamination auto)")
