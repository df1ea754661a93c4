"""The report of a detection: how scores lie, who is abnormal, which columns are to blame."""

from __future__ import annotations

import itertools
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gmkit.report.page import Cell, Page
from gmkit.report.plots import DOTS, course, spread
from gmkit_anomaly.detecting import Request
from gmkit_anomaly.result import Result, Top

MOST, PIECES = 100_000, 2_000
"""Records beyond which only some are drawn, and the pieces of which each gives two."""


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
    _scores(sheet, result)
    _courses(sheet, result)
    _records(sheet, result)
    return sheet


def _scores(sheet: Page, result: Result) -> None:
    judged = result.scores
    usable = np.isfinite(judged)
    sheet.heading(
        "Scores",
        "How often scores occur, of records held out while learning and of those judged; each line "
        "is ten times as rare as the one above. Where both are the same data the curves are alike.",
    )
    sheet.key("held out while learning", "judged")
    sheet.chart(
        spread(
            result.known,
            judged if usable.all() else judged[usable],
            threshold=result.threshold,
            marked=f"flagged: {result.anomalies:,}, from {result.threshold:.2f} on",
            x_title="anomaly score",
            title="How often scores occur",
        )
    )


def _courses(sheet: Page, result: Result) -> None:
    """Scores by time, or by row, and some series."""
    scores, flagged, times = result.scores, result.flagged, result.times
    if times is not None:
        order = np.argsort(times, kind="stable")
        scores, flagged, times = scores[order], flagged[order], times[order]
    kept = telling(scores, flagged)
    axis = kept.astype(np.float64) if times is None else times[kept]
    scores, flagged = scores[kept], flagged[kept]
    by = "row" if times is None else "time"
    sheet.heading(
        f"Scores by {by}",
        "Flagged records are dots. Where they stand close together something lasted; where they "
        "are few and far between, single records are odd.",
    )
    sheet.chart(
        course(
            axis,
            scores,
            flagged,
            x_title=by,
            y_title="anomaly score",
            title=f"Scores by {by}",
            threshold=result.threshold,
            joined=False,
        )
    )
    if result.views:
        sheet.heading("Series", "Values as they are, the flagged rows as dots.")
    for view in result.views:
        chart = course(
            view.times,
            view.values,
            view.flagged,
            x_title="time",
            y_title="value",
            title=view.title,
        )
        sheet.chart(chart, view.title, view.note)


def telling(scores: NDArray[np.float64], flagged: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Rows that a picture of all scores needs: of many the lowest and highest of each piece, and
    the highest that are flagged. Holds little beside what it is given."""
    if len(scores) <= MOST:
        return np.arange(len(scores))
    ends = np.linspace(0, len(scores), PIECES + 1).astype(np.int64)
    found = [np.empty(0, np.int64)]
    for begin, end in itertools.pairwise(ends.tolist()):
        piece = scores[begin:end]
        if np.isfinite(piece).any():
            found.append(begin + np.array([np.nanargmin(piece), np.nanargmax(piece)]))
    abnormal = np.flatnonzero(flagged)
    found.append(abnormal[np.argsort(-scores[abnormal], kind="stable")[:DOTS]])
    return np.unique(np.concatenate(found))


def _records(sheet: Page, result: Result) -> None:
    """The most abnormal, and which columns they are it by."""
    names = list(result.top[0].names) if result.top else []
    explained = result.explained
    sheet.heading("The most abnormal records", "Rows are counted from 0.")
    if explained:
        sheet.say(
            "Why: the columns least likely given the rest of the record, and what was expected."
        )
    if result.views:
        sheet.say(
            "Mean and spread are those of the window before a row, the deviation is its distance "
            "from that mean in these spreads, the step that from the row before."
        )
    if result.picture is not None:
        sheet.say("Drawn in the order of the table below.")
        sheet.picture(result.picture, "the most abnormal records")
    sheet.table(
        ("Row", *names, "Score", "p", "Flagged", *(["Why"] if explained else [])),
        [
            (
                f"{top.row:,}",
                *top.names.values(),
                f"{top.score:.2f}",
                f"{top.p_value:.2g}",
                "yes" if top.flagged else "",
                *([_why(top)] if explained else []),
            )
            for top in result.top
        ],
        names=1 + len(names),
    )
    blamed = Counter(top.reasons[0].column for top in result.top if top.reasons)
    if explained and len(blamed) > 1:
        sheet.heading("Columns named first", f"Among the {len(result.top)} records above.")
        sheet.table(
            ("Column", "Records"), [(column, str(count)) for column, count in blamed.most_common()]
        )


def _why(top: Top) -> Cell:
    return [(reason.found, reason.awaited) for reason in top.reasons] or "-"
