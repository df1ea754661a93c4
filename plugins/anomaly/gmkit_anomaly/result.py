"""What comes of a detection."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmkit_anomaly.reasons import Reason
from gmkit_anomaly.views import View

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Top:
    """A record among the most abnormal."""

    row: int
    score: float
    p_value: float
    flagged: bool
    reasons: list[Reason]
    names: dict[str, str] = field(default_factory=dict)
    """What it is called: its series, time, identifier, where there are any."""


_ARRAYS = ("scores", "flagged", "known", "top", "times", "views", "picture")


@dataclass(frozen=True)
class Result:
    """What came of it."""

    out: Path
    rows: int
    anomalies: int
    rule: str
    by_rate: bool
    """Whether it is a rate of false discoveries."""
    learned_from: int
    top: list[Top]
    notes: list[str]
    scores: Floats
    """(N,) of all records, NaN of those that could not be judged."""
    flagged: NDArray[np.bool_]
    """(N,)."""
    known: Floats
    """Of held-out ones."""
    threshold: float
    rejected: int = 0
    """Records that could not be judged,"""
    rejects: Path | None = None
    """and the file that names them."""
    times: NDArray[np.datetime64] | None = None
    """(N,) of all records, where they have any."""
    views: list[View] = field(default_factory=list)
    """Some series over time."""
    picture: bytes | None = None
    """The most abnormal records drawn, PNG or SVG, of domains that can."""

    @property
    def explained(self) -> bool:
        """Whether reasons say more than what the record is: of an image they do not."""
        whole = (
            not reason.awaited and (not reason.value or reason.column in top.names)
            for top in self.top
            for reason in top.reasons
        )
        return not all(whole)

    @property
    def unsure(self) -> bool:
        """Whether none is flagged, for the rate of false discoveries that was asked for."""
        return self.by_rate and not self.anomalies and bool(self.top)

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        facts = {k: v for k, v in vars(self).items() if k not in _ARRAYS}
        top = [{**vars(t), "reasons": [vars(r) for r in t.reasons]} for t in self.top]
        places = {"out": str(self.out), "rejects": self.rejects and str(self.rejects)}
        return {**facts, **places, "top": top}
