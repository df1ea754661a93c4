"""Which scores count as abnormal.

fdr q            p-values: Benjamini–Hochberg at rate q
contamination x  the highest-scoring share x of what was learned from
auto             known-normal data: false discovery rate .05; else the share that is far out
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    known: Floats,
    p_values: Floats | None,
    *,
    fdr: float | None,
    contamination: float | None,
    far_out: float = 0.0,
) -> Rule:
    """``known``: scores learned from, of which ``far_out`` is the share that is far out;
    ``p_values``: of all records, where discoveries are counted."""
    if fdr is not None and p_values is not None:
        from gmkit.scoring.calibration import false_discoveries  # imports torch

        most = false_discoveries(p_values, fdr)
        return Rule(-np.inf, most, f"false discovery rate {fdr:g} (Benjamini–Hochberg)")
    if contamination is not None:
        told = f"as high as the highest {100 * contamination:g} % of the held-out records"
        return Rule(_highest(known, contamination), 1.0, told)
    told = "higher than all held-out records, of which none is far out (contamination auto)"
    if far_out:
        share = f"{100 * far_out:.2g} %"
        told = f"as high as those {share} of held-out records that are far out (contamination auto)"
    return Rule(_highest(known, far_out), 1.0, told)


def _highest(known: Floats, share: float) -> float:
    """The score from which on about this share of ``known`` lies: of many that are alike there,
    all or none, whichever is nearer."""
    if not len(known):
        return float(np.inf)
    at = float(np.quantile(known, 1 - share))
    above = float(np.nextafter(at, np.inf))
    wanted = share * len(known)
    more, fewer = (known >= at).sum() - wanted, wanted - (known >= above).sum()
    if not share or (more > 1 and more >= fewer):
        return above
    return at
