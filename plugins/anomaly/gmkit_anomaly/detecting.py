"""``gmkit detect-anomalies``: every record with its score, p-value, verdict and reasons.

The data is read twice, batch by batch: once for the scores, of which a rule is made, once to write;
a short table from memory. Memory holds two numbers a record, and what was learned.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmkit.codecs.tables.inference import learnable
from gmkit.data.arrow_arrays import arrow_array, texts_at
from gmkit.data.formats import CORE_FORMATS
from gmkit.data.kept import kept
from gmkit.data.rejects import RejectFile
from gmkit.data.sampling import sampled_rows
from gmkit.data.sink import Sink
from gmkit.data.source import Source, open_source
from gmkit.domain import installed_domain
from gmkit.errors import ConfigError, DataError, did_you_mean
from gmkit.observer import Observer
from gmkit_anomaly.alignment import Alignment, check_columns
from gmkit_anomaly.drift import Drift
from gmkit_anomaly.flagging import FDR, Rule, rule_of
from gmkit_anomaly.judgeable import CHUNK, Judgeable
from gmkit_anomaly.labels import label_notes
from gmkit_anomaly.naming import named
from gmkit_anomaly.plan import Plan, plan_for
from gmkit_anomaly.reasons import told
from gmkit_anomaly.result import Result, Top
from gmkit_anomaly.seen import Seen
from gmkit_anomaly.views import views
from gmkit_anomaly.windows import Windows, made_of

if TYPE_CHECKING:
    from gmkit_anomaly.learning import Learned
    from gmkit_anomaly.quick import Quick

SCORE, P_VALUE, FLAG, REASONS = "anomaly_score", "p_value", "is_anomaly", "reasons"
LEAST_QUICK = 1000
"""Records to learn from, below which a long table is judged as any."""
SHOWN = 20
"""Records told of in the terminal and the report."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Request:
    """What is asked for."""

    data: Any
    out: Path
    train: Any = None
    """Known-normal records; None: the data itself, of which some are abnormal."""
    run: Path | None = None
    """A trained run in place of learning."""
    fdr: float | None = None
    contamination: float | None = None
    contributions: bool = False
    scores_only: bool = False
    ignore: tuple[str, ...] = ()
    keep: Path | None = None
    """Where the trained run shall stay."""
    column: str = ""
    """The record's main column, of domains that have one, where it has another name."""
    windows: Windows | None = None
    """How rows make time series; None: each is judged by itself."""
    strict: bool = False
    """Fail at the first record that cannot be judged."""
    report: bool = True
    """Whether what a report shows is wanted."""
    plan: Plan = field(default_factory=Plan)


def detect(request: Request, observer: Observer) -> Result:
    """Learn what is usual, judge all records and write the file. Raises GmkitError's subclasses;
    the file is whole or absent."""
    with opened(request, observer) as (learned, source):
        return _detected(request, source, learned, observer)


class opened:  # noqa: N801 - used as a function
    """What judges, and the source to be judged; what is temporary goes at the end."""

    def __init__(self, request: Request, observer: Observer) -> None:
        self._request, self._observer = request, observer
        self._learned: Learned | Quick | None = None

    def __enter__(self) -> tuple[Learned | Quick, Source]:
        request, observer = self._request, self._observer
        if request.run is not None:
            self._learned = learned_apart(request, observer)
            return self._learned, _open(request, request.data, self._learned.domain)
        source = _open(request, request.data, request.plan.domain)
        if request.train is None:  # learned from, judged and written: read three times
            source = kept(source)
        keep = request.keep is not None
        plan = plan_for(request.plan, source.count(), observer, keep=keep)
        self._learned = learned_apart(replace(request, plan=plan), observer, source)
        return self._learned, source

    def __exit__(self, *_: object) -> None:
        if self._learned is not None:
            self._learned.close()


def learned_apart(
    request: Request, observer: Observer, source: Source | None = None
) -> Learned | Quick:
    """What judges: the run, or what is learned of ``request.train``, or of ``source``."""
    if request.run is not None:
        from gmkit_anomaly.learning import reopened

        return reopened(request.run, request.plan, observer)
    judged = source
    if request.train is not None or source is None:
        domain = installed_domain(request.plan.domain)
        source = open_source(request.train, domain=domain, column=request.column)
        _not_over(request.out, source)
    observer.stage(f"Reading {source.name}")
    for name in request.ignore:
        if name not in source.schema.names:
            raise DataError(
                "--ignore names a column that is not there",
                file=source.name,
                column=name,
                hint=did_you_mean(name, source.schema.names),
            )
    if request.windows is None:
        rows = sampled_rows(source, request.plan.sample, request.plan.seed, observer)
        rows = rows.drop_columns(list(request.ignore))
    else:
        rows = Judgeable(source, request.windows).table()
        made = [n for name in request.ignore for n in made_of(name, request.windows.size)]
        gone = {*request.ignore, *made}
        rows = rows.select([n for n in rows.column_names if n not in gone])
    nested = []
    if not installed_domain(request.plan.domain).column:  # else only that column is looked at
        nested = [field.name for field in rows.schema if not learnable(field.type)]
        rows = rows.drop_columns(nested)
    if judged is not None and not installed_domain(request.plan.domain).column:
        check_columns(rows.column_names, Judgeable(judged, request.windows).schema, judged.name)
    if not rows.num_columns:
        raise DataError(
            "no column is left to learn from",
            file=source.name,
            hint=f"{nested[0]!r} holds nested values: make plain columns of it." if nested else "",
        )
    if request.plan.quick and rows.num_rows >= LEAST_QUICK:
        from gmkit_anomaly.quick import Quick

        return Quick(rows, request.plan, observer)
    from gmkit_anomaly.learning import learned_from

    return learned_from(rows, request.plan, observer, request.keep)


def _open(request: Request, data: Any, domain: str) -> Source:
    source = open_source(data, domain=installed_domain(domain), column=request.column)
    _not_over(request.out, source)
    out_schema(source.schema, request, [])
    Sink(request.out, pa.schema([]), CORE_FORMATS)  # a place that cannot be: told before learning
    return source


def _not_over(out: Path, source: Source) -> None:
    """Raise ConfigError where the result would take the data's place."""
    if any(out.resolve() == file.resolve() for file in source.files):
        raise ConfigError(
            f"--out {out} is the data itself, which would be lost",
            hint="Name another file, or leave --out out.",
        )


def _detected(
    request: Request, source: Source, learned: Learned | Quick, observer: Observer
) -> Result:
    judgeable = Judgeable(source, request.windows)
    align = Alignment(learned.codec, judgeable.schema, source.name)
    apart = request.train is not None or request.run is not None  # not judged by itself
    seen = Seen(
        Drift(learned.codec, learned.kept) if apart else None,
        judgeable,
        installed_domain(learned.domain).column,
        SHOWN,
    )
    with RejectFile(rejects_place(request.out)) as rejects:
        both = _all_scores(request, learned, judgeable, align, seen, rejects, observer)
    scores, p_values = both
    usable = np.isfinite(scores)
    if not usable.any():
        problem = "no record of it could be judged" if len(scores) else "holds no record"
        raise DataError(problem, file=source.name)
    fdr, known = request.fdr, learned.known
    clean = apart and not learned.contaminated
    if fdr is None and request.contamination is None and clean:
        fdr = FDR
    whole = bool(usable.all())  # 10 million rows are 80 MB: nothing is copied without need
    judged = p_values if whole else p_values[usable]
    share = request.contamination
    # what was learned from is pieces: as a share of these a record, of several, is never flagged
    own = seen.pieces and not apart
    among = scores[usable] if own else learned.among
    rule = rule_of(among, judged, fdr=fdr, contamination=share, far_out=learned.far_out)
    flagged = rule.flagged(scores, p_values)
    notes = [*align.notes, *(seen.drift.notes() if seen.drift is not None else [])]
    if rejects.count:
        many = "1 record" if rejects.count == 1 else f"{rejects.count:,} records"
        notes.append(f"{many} could not be judged: see {rejects.path}.")
    _write(request, judgeable, learned, align, (scores, p_values, flagged), observer)
    oddest = seen.oddest
    assert oddest.first is not None and oddest.records is not None
    if not apart and whole:
        notes += label_notes(oddest.first, scores[: len(oddest.first)])
    top = [
        Top(
            row,
            float(scores[row]),
            float(p_values[row]),
            bool(flagged[row]),
            why,
            named(oddest.names, place),
        )
        for place, (row, why) in enumerate(
            zip(oddest.rows, learned.reasons(oddest.records), strict=True)
        )
    ]
    for note in notes:
        observer.note(note)
    return Result(
        out=request.out,
        rows=len(scores),
        anomalies=int(flagged.sum()),
        rule=rule.told,
        by_rate=fdr is not None,
        learned_from=learned.rows,
        top=top,
        notes=notes,
        scores=scores,
        flagged=flagged,
        known=known,
        threshold=_threshold(rule, scores, flagged),
        rejected=rejects.count,
        rejects=rejects.path if rejects.count else None,
        times=seen.times,
        views=views(judgeable, scores, flagged) if request.report else [],
        picture=installed_domain(learned.domain).draw(oddest.records) if request.report else None,
    )


def rejects_place(out: Path) -> Path:
    """``data.scored.parquet`` → ``data.scored.rejects.csv``."""
    stem = out.name.removesuffix(".gz").rpartition(".")[0] or out.name
    return out.with_name(f"{stem}.rejects.csv")


def _threshold(rule: Rule, scores: Floats, flagged: NDArray[np.bool_]) -> float:
    if np.isfinite(rule.score):
        return rule.score
    return float(scores[flagged].min()) if flagged.any() else float("nan")


def _all_scores(
    request: Request,
    learned: Learned | Quick,
    judgeable: Judgeable,
    align: Alignment,
    seen: Seen,
    rejects: RejectFile,
    observer: Observer,
) -> tuple[Floats, Floats]:
    """Of the whole source: scores and p-values, NaN of what could not be judged. Raises DataError
    for the first of these, when strict."""
    observer.stage("Judging")
    total, done = judgeable.source.count(), 0
    scores, p_values = array("d"), array("d")  # grow in place
    for stored, judged in judgeable.pairs(observer):
        aligned = align(judged, done)
        encoded = learned.encode(aligned, done, judgeable.name)
        if encoded.rejects and request.strict:
            first = encoded.rejects[0]
            raise DataError(
                first.reason,
                file=judgeable.name,
                row=first.row,
                column=first.column,
                hint=f"Without --strict it is set aside in {rejects.path} and judging goes on.",
            )
        rejects.add(encoded.rejects)
        found = learned.scores(encoded, columns=False)
        scores.frombytes(found.score.tobytes())
        p_values.frombytes(found.p_value.tobytes())
        seen.add(stored, aligned, encoded, found.score)
        done += len(stored)
        observer.advance(done, total)
    return np.frombuffer(scores), np.frombuffer(p_values)


def _write(
    request: Request,
    judgeable: Judgeable,
    learned: Learned | Quick,
    align: Alignment,
    found: tuple[Floats, Floats, NDArray[np.bool_]],
    observer: Observer,
) -> None:
    """The file."""
    source = judgeable.source
    scores, p_values, flagged = found
    schema = out_schema(source.schema, request, list(dict.fromkeys(learned.owners().values())))
    names = [n.removeprefix("contrib_") for n in schema.names if n.startswith("contrib_")]
    observer.stage("Writing")
    with Sink(request.out, schema, CORE_FORMATS) as sink:
        if request.scores_only and not names:  # the data need not be read again
            for begin in range(0, len(scores), CHUNK):
                here = slice(begin, begin + CHUNK)
                columns = _verdicts(scores[here], p_values[here], flagged[here])
                sink.write(pa.RecordBatch.from_arrays(columns, schema=schema))
            return
        begin = 0
        for batch, judged in judgeable.pairs():
            aligned = align(judged, begin)
            here = slice(begin, begin + len(batch))
            columns = [] if request.scores_only else list(batch.columns)
            columns += _verdicts(scores[here], p_values[here], flagged[here])
            if not request.scores_only:
                columns.append(_reasons(learned, aligned, flagged[here]))
            if names:
                own = learned.scores(learned.encode(aligned, begin), columns=True).columns
                columns += [arrow_array(own.get(name, np.zeros(len(batch)))) for name in names]
            sink.write(pa.RecordBatch.from_arrays(columns, schema=schema))
            begin += len(batch)
            observer.advance(begin, source.count())


def _reasons(
    learned: Learned | Quick, records: pa.RecordBatch, flagged: NDArray[np.bool_]
) -> pa.Array:
    """Of the flagged; null of others."""
    texts: list[str] = []
    rows = np.flatnonzero(flagged)
    if len(rows):
        reasons = learned.reasons(records.take(arrow_array(rows)))
        texts = [told(why) for why in reasons]
    return texts_at(rows, texts, len(records))


def _verdicts(scores: Floats, p_values: Floats, flagged: NDArray[np.bool_]) -> list[pa.Array]:
    """Null where a record could not be judged."""
    gone = np.isnan(scores)
    return [arrow_array(values, gone) for values in (scores, p_values, flagged)]


def out_schema(schema: pa.Schema, request: Request, columns: list[str]) -> pa.Schema:
    """The columns of the result. Raises ConfigError where the data has one of their names."""
    new = [
        pa.field("score" if request.scores_only else SCORE, pa.float64()),
        pa.field(P_VALUE, pa.float64()),
        pa.field(FLAG, pa.bool_()),
    ]
    if not request.scores_only:
        new.append(pa.field(REASONS, pa.string()))
    if request.contributions:
        new += [pa.field(f"contrib_{name}", pa.float64()) for name in columns]
    if request.scores_only:
        return pa.schema(new)
    for one in new:
        if one.name in schema.names:
            raise ConfigError(
                f"the data has a column {one.name!r}: it was scored before",
                hint="Give the original data, or write scores alone: --scores-only.",
            )
        schema = schema.append(one)
    return schema
