"""All figures about synthetic rows, each with a sentence that says what it means."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from gmkit.observer import Observer
from gmkit_augmentation.measures.fidelity import shapes, trends
from gmkit_augmentation.measures.learners import Utility, detection, utility
from gmkit_augmentation.measures.privacy import Privacy, privacy

STEPS = 5


@dataclass(frozen=True)
class Sentence:
    """``verdict``: good, fair, poor, or nothing where it depends."""

    title: str
    number: str
    verdict: str
    text: str


@dataclass(frozen=True)
class Judgement:
    """Figures; NaN where one cannot be told."""

    shapes: dict[str, float]
    trends: float
    detection: float
    utility: Utility | None
    privacy: Privacy | None
    target: str = ""
    sentences: list[Sentence] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Nested figures by name."""
        return {
            "column_shapes": _mean(self.shapes),
            "columns": self.shapes,
            "pair_trends": self.trends,
            "detection_auc": self.detection,
            "utility": {"target": self.target, **vars(self.utility)} if self.utility else None,
            "privacy": vars(self.privacy) if self.privacy else None,
        }


def judged(
    real: pa.Table,
    synthetic: pa.Table,
    holdout: pa.Table | None,
    target: str,
    observer: Observer,
    learned: pa.Table | None = None,
) -> Judgement:
    """``real``: what synthetic rows are to be like. ``learned``: what the model saw (by default
    ``real``); ``holdout``: what it did not, None where there is nothing such."""
    observer.stage("Measuring")
    observer.advance(0, STEPS)
    alike = shapes(real, synthetic)
    observer.advance(1, STEPS)
    pairs = trends(real, synthetic)
    observer.advance(2, STEPS)
    detector = detection(real, synthetic)
    observer.advance(3, STEPS)
    seen = real if learned is None else learned
    use = utility(target, seen, synthetic, holdout) if target and holdout is not None else None
    observer.advance(4, STEPS)
    kept = privacy(seen, synthetic, seen.slice(0, 0) if holdout is None else holdout)
    observer.advance(STEPS, STEPS)
    found = Judgement(alike, pairs, detector, use, kept, target)
    found.sentences.extend(_sentences(found))
    return found


def _sentences(found: Judgement) -> list[Sentence]:
    """A line for each figure that could be told."""
    lines = []
    mean = _mean(found.shapes)
    if not math.isnan(mean):
        worst = min(found.shapes, key=lambda name: found.shapes[name])
        text = (
            f"Single columns are distributed {_percent(mean)} like the real ones; least alike is "
            f"{worst!r} with {_percent(found.shapes[worst])}."
        )
        lines.append(_line("Columns", _percent(mean), mean, (0.95, 0.85), text))
    if not math.isnan(found.trends):
        text = f"Relations between two columns are kept to {_percent(found.trends)}, on average."
        lines.append(_line("Relations", _percent(found.trends), found.trends, (0.95, 0.85), text))
    if not math.isnan(found.detection):
        auc = found.detection
        text = (
            f"A classifier asked which rows are synthetic is right in {_percent(max(auc, 0.5))} of "
            "pairs; 50 % is guessing."
        )
        distance = 1 - abs(auc - 0.5)
        lines.append(_line("Detection", f"{auc:.3f}", distance, (0.9, 0.75), text))
    return [*lines, *_of_utility(found), *_of_privacy(found)]


def _of_utility(found: Judgement) -> list[Sentence]:
    use = found.utility
    if use is None:
        return []
    text = (
        f"Predicting {found.target!r} on held-out real rows: {use.measure} {use.synthetic:.3f} "
        f"when trained on synthetic rows, {use.real:.3f} on real ones, {use.both:.3f} on both."
    )
    lost = 1 - max(0.0, use.real - use.synthetic)
    lines = [_line("Utility", f"{use.synthetic:.3f}", lost, (0.97, 0.9), text)]
    gain = use.both - use.real
    verdict = "good" if gain > 0.002 else "poor" if gain < -0.002 else "fair"
    told = {
        "good": "Training on real and synthetic rows together helped.",
        "fair": "Training on real and synthetic rows together made no difference.",
        "poor": "Training on real and synthetic rows together did harm: do not add them for this.",
    }[verdict]
    lines.append(Sentence("Gain", f"{gain:+.3f}", verdict, told))
    return lines


def _of_privacy(found: Judgement) -> list[Sentence]:
    kept = found.privacy
    if kept is None:
        return []
    lines = []
    if not math.isnan(kept.share):
        text = (
            f"{_percent(kept.share)} of synthetic rows are nearer to a row learned from than to "
            f"one of as many held-out rows; 50 % means that nothing is remembered."
        )
        near = 1 - max(0.0, kept.share - 0.5)
        lines.append(_line("Closeness", f"{kept.share:.3f}", near, (0.96, 0.9), text))
        text = (
            f"Who guesses by nearness whether a real row was learned from is right in "
            f"{_percent(max(kept.attack, 0.5))} of pairs; 50 % is guessing."
        )
        guess = 1 - max(0.0, kept.attack - 0.5)
        lines.append(_line("Membership", f"{kept.attack:.3f}", guess, (0.96, 0.9), text))
        text = (
            f"A synthetic row is {kept.ratio:.2f} times as far from its nearest real row as from "
            f"its second; a held-out real row {kept.ratio_held_out:.2f} times. Near 0: copies."
        )
        beside = 1 - max(0.0, kept.ratio_held_out - kept.ratio)
        lines.append(_line("Neighbours", f"{kept.ratio:.2f}", beside, (0.9, 0.75), text))
    if not math.isnan(kept.copies):
        chance = ""
        if not math.isnan(kept.repeated):
            chance = f" Of the rows learned from, {_percent(kept.repeated)} occur more than once."
        text = f"{_percent(kept.copies)} of synthetic rows equal a row learned from.{chance}"
        expected = 0.0 if math.isnan(kept.repeated) else kept.repeated
        verdict = "good" if kept.copies <= max(expected, 0.001) else "fair"
        lines.append(Sentence("Copies", _percent(kept.copies), verdict, text))
    return lines


def _line(
    title: str, number: str, value: float, bounds: tuple[float, float], text: str
) -> Sentence:
    verdict = "good" if value >= bounds[0] else "fair" if value >= bounds[1] else "poor"
    return Sentence(title, number, verdict, text)


def _mean(values: dict[str, float]) -> float:
    return sum(values.values()) / len(values) if values else math.nan


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
