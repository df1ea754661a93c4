"""How an evaluation is shown to people."""

from __future__ import annotations

import math

from rich.table import Table
from rich.text import Text

from gmkit.metrics.evaluation import Evaluation

_ARROWS = {"higher": "↑", "lower": "↓", "match": "≈"}


def figures_table(evaluation: Evaluation, title: str) -> Table:
    """Each figure beside its floor; ↑ higher is better, ↓ lower, ≈ near the floor."""
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("figure")
    table.add_column("", justify="center")
    table.add_column("samples", justify="right", style="bold")
    table.add_column("copy of training", justify="right", style="dim")
    for figure in evaluation.figures.values():
        table.add_row(
            figure.name, _ARROWS[figure.direction], _number(figure.value), _number(figure.floor)
        )
    for name, reason in evaluation.missing.items():
        table.add_row(name, "", Text("not computed", style="yellow"), Text(reason, style="dim"))
    return table


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4g}"

