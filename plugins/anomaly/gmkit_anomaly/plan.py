"""What to learn from, and by which scorers: decided before anything heavy is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gmkit.config import merge
from gmkit.observer import Observer

MODEL = "detector"
ROWS = 100_000
"""Records learned from; of more so many at random. The detector itself needs fewer."""
SAMPLE = 50_000
"""Records that the detector learns from, at most."""
LEAST = 5
LONG = 500_000
"""Records to be judged from which on the default is ``Quick``,"""
QUICK = ("linear",)
"""or where the run is kept or has settings, this scorer. It also says itself which records to leave
out of a second learning: a step of Rousseeuw & Van Driessen 1999. A forest would take longer than
all the rest."""


@dataclass(frozen=True)
class Plan:
    """How what is usual is learned."""

    domain: str = "anomaly"
    model: str = MODEL
    scorers: tuple[str, ...] = ()
    """Which to use; none: those that win."""
    contaminated: bool = True
    seed: int = 0
    time_budget: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    rows: int = ROWS
    strict: bool = False
    """Fail at the first record that cannot be used."""
    quick: bool = False
    """By ``Quick``, which nobody can choose settings of, nor keep."""

    @property
    def sample(self) -> int:
        """Records to learn from, at most."""
        if self.model != MODEL:
            return self.rows
        return min(self.rows, int(self.settings.get("family", {}).get("rows", SAMPLE)))


def plan_for(plan: Plan, rows: int | None, observer: Observer, *, keep: bool = False) -> Plan:
    """The plan for so many records to be judged, where nobody chose scorers. ``keep``: the run
    shall stay."""
    if plan.model != MODEL or plan.scorers or rows is None or rows < LONG:
        return plan
    if plan.settings.get("family", {}).get("members"):
        return plan
    observer.note(
        f"{rows:,} records: judged by what is quick, each column given all others linearly. Slower "
        "and finer: --scorer conditional --scorer network --scorer forest."
    )
    if plan.domain == "anomaly" and not keep and not plan.settings:
        return replace(plan, quick=True)
    settings = merge({"family": {"trim_by": QUICK[0]}}, plan.settings)
    return replace(plan, scorers=QUICK, settings=settings)
