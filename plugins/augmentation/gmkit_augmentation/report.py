"""The report of an augmentation: figures with what they mean, and pictures of the columns."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmkit.codecs.tables.numbers import from_numbers, is_number, plain_type
from gmkit.observer import Observer
from gmkit.report.charts import heat_map, overlay, scatter
from gmkit.report.page import Page
from gmkit_augmentation.augmenting import Request, Work, privacy_sentence
from gmkit_augmentation.conditions import all_of
from gmkit_augmentation.drawing import Wish
from gmkit_augmentation.measures.fidelity import correlations, some
from gmkit_augmentation.measures.judgement import Judgement, judged
from gmkit_augmentation.measures.matrices import Distances, Features

_BARS = 12
_STEPS = 30
_DOTS = 1500
_MOST = 40
"""Columns that are drawn."""


def write_report(request: Request, work: Work, observer: Observer) -> dict[str, Any]:
    """``NAME.report.html`` beside the result; returns its figures and place for ``--json``."""
    told = work.told
    if not told or not work.synthetic.num_rows:
        return {}
    holdout = work.holdout.select(told)
    real = alike(work.rows, work.wishes).select(told)
    synthetic = work.synthetic.select(told)
    target = request.plan.target
    seen = work.seen.select(told)
    found = judged(
        real, synthetic, holdout if holdout.num_rows else None, target, observer, learned=seen
    )
    place = report_place(request.out)
    page(request, work, found, real, synthetic).write(place)
    sentences = [{"title": s.title, "text": s.text} for s in found.sentences]
    return {"report": str(place), "figures": found.to_json(), "sentences": sentences}


def report_place(out: Path) -> Path:
    """``data.augmented.parquet`` → ``data.augmented.report.html``."""
    stem = out.name.removesuffix(".gz").rpartition(".")[0] or out.name
    return out.with_name(f"{stem}.report.html")


def alike(rows: pa.Table, wishes: Sequence[Wish]) -> pa.Table:
    """Real rows mixed as the synthetic ones were asked for; all, where none can be."""
    if not any(wish.conditions for wish in wishes):
        return rows
    masks = [np.flatnonzero(all_of(wish.conditions, rows)) for wish in wishes]
    asked = [(wish.rows, mask) for wish, mask in zip(wishes, masks, strict=True) if wish.rows]
    if not asked or min(len(mask) for _, mask in asked) == 0:
        return rows
    scale = min(len(mask) / count for count, mask in asked)
    rng = np.random.default_rng(0)
    chosen = [
        rng.choice(mask, max(1, min(len(mask), int(scale * count))), replace=False)
        for count, mask in asked
    ]
    return rows.take(pa.array(np.sort(np.concatenate(chosen))))


def page(
    request: Request, work: Work, found: Judgement, real: pa.Table, synthetic: pa.Table
) -> Page:
    """The report."""
    result = work.result
    lead = (
        f"{result.original:,} original and {result.synthetic:,} synthetic rows in {result.out.name}"
        f" · model {request.plan.model} · seed {request.plan.seed} · gmkit {version('gmkit')}"
    )
    sheet = Page(f"Augmented: {Path(str(request.data)).name}", lead)
    sheet.heading("How good the synthetic rows are")
    sheet.figures([(s.title, s.number, s.verdict, s.text) for s in found.sentences])
    names = real.schema.names
    sheet.heading("Columns", "How often values occur. Numbers in thirty bins.")
    sheet.key()
    charts = [_column_chart(n, real, synthetic, found.shapes.get(n, 0.0)) for n in names[:_MOST]]
    sheet.charts(charts)
    untold = [f"{n} ({told})" for n, told in result.columns.items() if n not in names]
    if untold:
        sheet.say(f"Not shown, for nothing is learned of them: {'; '.join(untold)}.")
    if len(names) > 1:
        features = Features(real)
        gap = correlations(synthetic, features) - correlations(real, features)
        worst = float(np.abs(gap).max())
        sheet.heading(
            "Relations",
            "Correlation of the synthetic columns minus that of the real ones: white where they "
            f"agree, full colour from a difference of .2. The largest is {worst:.3f}.",
        )
        shown = gap[:_MOST, :_MOST]
        sheet.chart(heat_map(names[:_MOST], shown, title="Correlation difference", most=0.2))
        sheet.heading(
            "Projection",
            "Rows on the two directions in which the real ones differ most. The colours should mix "
            "everywhere.",
        )
        sheet.key()
        sheet.chart(_projection(real, synthetic))
    sheet.heading("What was done")
    if result.gate:
        sheet.say(result.gate.sentence())
    if result.rules:
        sheet.say(f"Found in the data and kept: {', '.join(result.rules)}.")
    if result.privacy:
        sheet.say(privacy_sentence(result.privacy))
    guard = result.guard
    sheet.say(
        f"Copies of a single real row that were drawn again: {guard['copies_redrawn']:,}; left: "
        f"{guard['copies_left']:,}. Rows against a rule or condition that were drawn again: "
        f"{guard['breaches_redrawn']:,}; left: {guard['breaches_left']:,}.",
    )
    sheet.table(("Column", "Taken for"), list(result.columns.items()))
    return sheet


def _column_chart(
    name: str, real: pa.Table, synthetic: pa.Table, alike_: float
) -> tuple[str, str, str]:
    """Name, note, SVG."""
    features = Features(real.select([name]))
    a = features.ordinal(some(real))[:, 0]
    b = features.ordinal(some(synthetic))[:, 0]
    note = f"{100 * alike_:.1f} % alike"
    kind = plain_type(real.schema.field(name).type)
    known = np.concatenate([a[~np.isnan(a)], b[~np.isnan(b)]])
    values = features.features[0].values
    if values is None and len(np.unique(known)) > _BARS:
        edges = _edges(known)
        labels = _ends(edges, kind)
        shares = [_histogram(x, edges) for x in (a, b)]
        chart = overlay(labels, *shares, steps=True, title=name)
        return name, note, chart
    found = np.unique(known)[:_BARS]
    if values is None:
        labels = [_text(v, kind) for v in found]
    else:
        labels = [str(values[int(v)].as_py()) for v in found]
    shares = [np.array([(x == v).mean() for v in found] + [np.isnan(x).mean()]) for x in (a, b)]
    if shares[0][-1] + shares[1][-1] == 0:
        shares = [x[:-1] for x in shares]
    else:
        labels = [*labels, "missing"]
    return name, note, overlay(labels, *shares, steps=False, title=name)


def _edges(known: NDArray[np.float64]) -> NDArray[np.float64]:
    """Even bins over all but the outermost hundredths, which go to the end bins."""
    low, high = np.quantile(known, [0.005, 0.995])
    if high <= low:
        low, high = known.min(), known.max()
    return np.asarray(np.linspace(low, high, _STEPS + 1))


def _histogram(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.clip(values[~np.isnan(values)], edges[0], edges[-1])
    return np.histogram(inside, edges)[0] / max(len(values), 1)


def _ends(edges: NDArray[np.float64], kind: pa.DataType) -> list[str]:
    return [_text(edges[0], kind), _text(edges[-1], kind)]


def _text(value: float, kind: pa.DataType) -> str:
    """A working number as the column shows it: dates as dates, decimals with their point."""
    if not is_number(kind) or not (
        pa.types.is_temporal(kind) or pa.types.is_decimal(kind) or pa.types.is_uint64(kind)
    ):
        return f"{value:.4g}"
    shown = from_numbers(np.array([value], np.float64), np.ones(1, bool), kind)[0]
    return str(shown)[:10] if pa.types.is_temporal(kind) else f"{float(shown.as_py()):.4g}"


def _projection(real: pa.Table, synthetic: pa.Table) -> str:
    """Principal components of the real rows."""
    from sklearn.decomposition import PCA

    distances = Distances(pa.concat_tables([some(real), some(synthetic)]))
    ours, theirs = distances.points(some(real)), distances.points(some(synthetic))
    if min(ours.shape) < 2:
        return ""
    axes = PCA(2, random_state=0).fit(ours)
    points = [axes.transform(x[:: max(1, len(x) // _DOTS)]) for x in (ours, theirs)]
    return scatter(*points, title="Projection")
