"""The report of a detection: how scores lie, who is abnormal, which columns are to blame."""

from __future__ import annotations

from collections import Counter
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gmkit.report.charts import overlay
from gmkit.report.page import Page
from gmkit_anomaly.detecting import Request, Result

_BINS = 40


def write_report(request: Request, result: Result) -> Path:
    """``NAME.report.html`` beside the result. Raises DataError."""
    place = report_place(result.out)
    page(request, result).write(place)
    return place


def report_place(out: Path) -> Path:
    """``data.scored.parquet`` → ``data.scored.report.html``."""
    stem = out.name.removesuffix(".gz").rpartition(".")[0] or out.name
    return out.with_name(f"{stem}.report.html")


def page(request: Request, result: Result) -> Page:
    """The report."""
    name = Path(str(request.data)).name if request.data is not None else "the embedded example"
    against = f"learned from {result.learned_from:,} records"
    lead = (
        f"{result.anomalies:,} of {result.rows:,} records abnormal · {against}"
        f" · seed {request.plan.seed} · gmkit {version('gmkit')}"
    )
    sheet = Page(f"Anomalies: {name}", lead)
    share = 100 * result.anomalies / max(1, result.rows)
    sheet.figures(
        [
            (
                "Flagged",
                f"{result.anomalies:,}",
                "",
                f"{share:.2g} % of the records; {result.rule}.",
            ),
            (
                "Threshold",
                "-" if np.isnan(result.threshold) else f"{result.threshold:.2f}",
                "",
                "The lowest score that is flagged. Scores are logarithms of how unlikely a record "
                "is, joined over all scorers: 2.3 more is about ten times as unlikely.",
            ),
        ]
    )
    if result.notes:
        sheet.heading("To look at first", *result.notes)
    sheet.heading(
        "Scores",
        "How often scores occur: of records held out while learning, and of those judged. Where "
        "these are the same data, both curves are alike, but for the far right.",
    )
    sheet.key("held out while learning", "judged")
    sheet.charts([("Scores", "", _scores(result))])
    sheet.heading("The most abnormal records", "Columns least likely given the rest of the record.")
    sheet.table(
        ("Row", "Score", "p-value", "Flagged", "Why"),
        [
            (
                f"{top.row:,}",
                f"{top.score:.2f}",
                f"{top.p_value:.3g}",
                "yes" if top.flagged else "",
                "; ".join(map(str, top.reasons)) or "-",
            )
            for top in result.top
        ],
    )
    blamed = Counter(top.reasons[0].column for top in result.top if top.reasons)
    if blamed:
        sheet.heading("Columns named first", f"Among the {len(result.top)} records above.")
        sheet.table(
            ("Column", "Records"), [(column, str(count)) for column, count in blamed.most_common()]
        )
    return sheet


def _scores(result: Result) -> str:
    both = result.known, result.scores
    low, high = min(float(some.min()) for some in both), max(float(some.max()) for some in both)
    edges = np.linspace(low, high + 1e-9, _BINS + 1)
    ends = [f"{edges[0]:.1f}", f"{edges[-1]:.1f}"]
    return overlay(
        ends,
        _shares(result.known, edges),
        _shares(result.scores, edges),
        steps=True,
        title="Scores",
    )


def _shares(scores: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.histogram(scores, edges)[0] / max(1, len(scores))
