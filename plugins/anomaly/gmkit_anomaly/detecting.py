"""``gmkit detect-anomalies``: every record with its score, p-value, verdict and reasons."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmkit.data.formats import CORE_FORMATS
from gmkit.data.sampling import sampled_rows
from gmkit.data.sink import Sink
from gmkit.data.source import Source, open_source
from gmkit.errors import ConfigError
from gmkit.observer import Observer
from gmkit.domain import installed_domain
from gmkit_anomaly.flagging import FDR, Rule, rule_of
from gmkit_anomaly.learning import Learned, Plan, Scores, learned_from

SCORE, P_VALUE, FLAG, REASONS = "anomaly_score", "p_value", "is_anomaly", "reasons"
CHUNK = 65_536


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
    plan: Plan = field(default_factory=Plan)


@dataclass(frozen=True)
class Result:
    """What came of it."""

    out: Path
    rows: int
    anomalies: int
    rule: str
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {**vars(self), "out": str(self.out)}


def detect(request: Request, observer: Observer) -> Result:
    """Learn what is usual, judge all records and write the file. Raises GmkitError's subclasses;
    the file is whole or absent."""
    domain = installed_domain(request.plan.domain)
    source = open_source(request.data, domain=domain)
    Sink(request.out, pa.schema([]), CORE_FORMATS)  # a place that cannot be: told before learning
    learning = source if request.train is None else open_source(request.train, domain=domain)
    observer.stage(f"Reading {learning.name}")
    rows = sampled_rows(learning, request.plan.rows, request.plan.seed, observer)
    with learned_from(rows, request.plan, observer) as learned:
        found = _all_scores(learned, source, observer)
        fdr = request.fdr
        if fdr is None and request.contamination is None and not request.plan.contaminated:
            fdr = FDR
        rule = rule_of(learned.known, found.p_value, fdr=fdr, contamination=request.contamination)
        flagged = rule.flagged(found.score, found.p_value)
        _write(request, source, learned, found, flagged, observer)
    return Result(request.out, len(found.score), int(flagged.sum()), rule.told)


def _all_scores(learned: Learned, source: Source, observer: Observer) -> Scores:
    """Of the whole source: two numbers a record."""
    observer.stage("Judging")
    total = source.count()
    scores, p_values = [], []
    done = 0
    for batch in source.batches(CHUNK):
        found = learned.scores(batch)
        scores.append(found.score)
        p_values.append(found.p_value)
        done += len(batch)
        observer.advance(done, total)
    return Scores(np.concatenate(scores), np.concatenate(p_values), {})


def _write(
    request: Request,
    source: Source,
    learned: Learned,
    found: Scores,
    flagged: NDArray[np.bool_],
    observer: Observer,
) -> None:
    schema = out_schema(source.schema, request, list(learned.owners().values()))
    observer.stage("Writing")
    with Sink(request.out, schema, CORE_FORMATS) as sink:
        begin = 0
        for batch in source.batches(CHUNK):
            here = slice(begin, begin + len(batch))
            begin += len(batch)
            columns = [] if request.scores_only else list(batch.columns)
            columns += [pa.array(found.score[here]), pa.array(found.p_value[here])]
            columns.append(pa.array(flagged[here]))
            if not request.scores_only:
                columns.append(pa.nulls(len(batch), pa.string()))
            if request.contributions:
                own = learned.scores(batch).columns
                names = [n.removeprefix("contrib_") for n in schema.names if n.startswith("contrib_")]
                columns += [pa.array(own.get(n, np.zeros(len(batch)))) for n in names]
            sink.write(pa.RecordBatch.from_arrays(columns, schema=schema))
            observer.advance(begin, source.count())


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
        new += [pa.field(f"contrib_{n}", pa.float64()) for n in dict.fromkeys(columns)]
    if request.scores_only:
        return pa.schema(new)
    for one in new:
        if one.name in schema.names:
            raise ConfigError(
                f"the data has a column {one.name!r}: it was scored before",
                hint="Give the original data.",
            )
        schema = schema.append(one)
    return schema


__all__ = ["Request", "Result", "Rule", "detect"]
