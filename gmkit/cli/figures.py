"""How an evaluation is shown to people."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gmkit.metrics.evaluation import Evaluation

_BETTER = {"higher": "higher", "lower": "lower", "match": "near the data's"}


def figures_table(evaluation: Evaluation, run: str) -> RenderableType:
    """Each figure beside that of training records taken for samples. Figures that are not defined
    for so few samples are left out."""
    title = f"{run}: how good {evaluation.samples:,} raw samples are"
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("Measure")
    table.add_column("Samples", justify="right", style="bold")
    table.add_column("Training data", justify="right", style="dim")
    table.add_column("Better")
    for figure in evaluation.figures.values():
        if not math.isnan(figure.value):
            values = _number(figure.value), _number(figure.floor)
            table.add_row(Text(_plain(figure.name)), *values, _BETTER[figure.direction])
    missing = [
        Text.assemble((f"{_plain(name)}: ", "yellow"), reason)
        for name, reason in evaluation.missing.items()
    ]
    return Group(Text(title, style="bold"), table, *missing)  # a title as wide as it needs


def conditions_text(conditions: Mapping[str, str]) -> list[RenderableType]:
    """A line for each condition: what samples can be asked for."""
    return [
        Text.assemble(("Condition ", "dim"), (name, "bold"), f": {known}")
        for name, known in conditions.items()
    ]


def _plain(name: str) -> str:
    """``median_weight_ratio`` → Median weight ratio."""
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4g}"
