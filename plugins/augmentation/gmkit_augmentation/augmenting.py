"""``gmkit augment``: the rows of a table, and as many like them as asked for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gmkit.data.formats import CORE_FORMATS
from gmkit.data.sampling import sampled_rows
from gmkit.data.sink import Sink
from gmkit.data.source import Source, open_source
from gmkit.errors import ConfigError
from gmkit.observer import Observer
from gmkit_augmentation.balance import balance_column, balancing
from gmkit_augmentation.conditions import parse_conditions
from gmkit_augmentation.domain import TablesDomain
from gmkit_augmentation.drawing import Drawing, Wish
from gmkit_augmentation.gate import Verdict, verdict
from gmkit_augmentation.keeping import FairSample
from gmkit_augmentation.learning import Learned, Plan, check_column
from gmkit_augmentation.rare import own_models
from gmkit_augmentation.rules import found_rules

ORIGIN = "_gmkit_origin"
"""Says of each row whether it is ``original`` or ``synthetic``."""


@dataclass(frozen=True)
class Request:
    """What is asked of ``augment``."""

    data: Any
    out: Path
    rows: int | None = None
    """Synthetic rows; None: as many as the table has, or as balancing needs."""
    only_synthetic: bool = False
    where: tuple[str, ...] = ()
    """What the new rows shall be: ``age>60,sex=F``."""
    balance: str = ""
    """A column of classes, or one of its values: ``label``, ``label=1``, ``label=1:0.3``."""
    constraints: tuple[str, ...] = ()
    """What must hold in every new row: ``start<=end``."""
    no_harm: bool = False
    """Add only as many rows as help to predict the target; none, where none do."""
    plan: Plan = field(default_factory=Plan)


@dataclass(frozen=True)
class Result:
    """What came of it."""

    out: Path
    original: int
    synthetic: int
    columns: dict[str, str]
    rules: list[str]
    guard: dict[str, int]
    """Copies and breaches of rules, redrawn and left."""
    gate: Verdict | None = None
    """Whether adding rows helps, where that was asked."""

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        gate = self.gate.to_json() if self.gate else None
        return {**vars(self), "out": str(self.out), "gate": gate}


@dataclass(frozen=True)
class Work:
    """All that an augmentation leaves in memory: for its report."""

    result: Result
    learned: Learned
    synthetic: pa.Table
    """New rows, or a fair sample of very many."""
    wishes: tuple[Wish, ...]
    """What was asked for."""


def augment(request: Request, observer: Observer, report: Any = None) -> Result:
    """Learn the table and write the file. Raises GmkitError's subclasses; the file is whole or
    absent. ``report``: called with the finished ``Work``."""
    source = open_source(request.data, domain=TablesDomain())
    check(request, source)
    schema = out_schema(source.schema, origin=not request.only_synthetic)
    Sink(request.out, schema, CORE_FORMATS)  # a place that cannot be: told before learning
    observer.stage(f"Reading {source.name}")
    rows = sampled_rows(source, request.plan.rows, request.plan.seed, observer)
    rules = found_rules(rows)
    wishes, total = wishes_of(request, source)
    gate = verdict(rows, request.plan, observer) if request.no_harm else None
    if gate is not None:
        wishes = [Wish(int(gate.amount * total))]
    with (
        Learned(rows, asked_first(request, source), observer) as learned,
        own_models(rows, wishes, request.plan, observer) as own,
    ):
        constraints = parse_conditions(
            request.constraints, source.schema, "--constraint", columns=True
        )
        drawing = Drawing(learned, wishes, rules, constraints, observer, own=own)
        kept = FairSample(source.schema, request.plan.seed)
        original = 0
        with Sink(request.out, schema, CORE_FORMATS) as sink:
            if not request.only_synthetic:
                observer.stage("Writing the original rows")
                for batch in source.batches(65_536):
                    sink.write(marked(batch, schema, "original"))
                    original += len(batch)
                    observer.advance(original, total)
            observer.stage(f"Drawing {drawing.total:,} rows")
            for batch in drawing.batches():
                sink.write(marked(batch, schema, "synthetic"))
                kept.add(batch)
        columns = learned.codec.describe()
        result = Result(
            request.out, original, drawing.total, columns, rules.names(), guarded(drawing), gate
        )
        if report is not None:
            report(Work(result, learned, kept.table(), tuple(wishes)))
        return result


def check(request: Request, source: Source) -> None:
    """Raise DataError or ConfigError for options that do not fit the table."""
    check_column(request.plan.target, source.schema, "--target")
    parse_conditions(request.where, source.schema, "--where")
    parse_conditions(request.constraints, source.schema, "--constraint", columns=True)
    if request.no_harm and (request.rows is not None or request.only_synthetic or request.balance):
        raise ConfigError(
            "--no-harm finds out how many rows to add to the original ones",
            hint="Leave --rows, --balance and --only-synthetic out.",
        )
    if request.no_harm and request.where:
        raise ConfigError("--no-harm and --where cannot be asked for together")
    if request.no_harm and not request.plan.target:
        raise ConfigError(
            "--no-harm needs to know what will be predicted", hint="Name it: --target COLUMN."
        )
    if request.balance and request.where:
        raise ConfigError(
            "--balance and --where both say what the rows shall be",
            hint='Take one: --where "label=1" -n 500, or --balance "label=1:0.5".',
        )


def wishes_of(request: Request, source: Source) -> tuple[list[Wish], int]:
    """What to draw, and how many rows the table has."""
    if request.balance:
        batches = source.batches(65_536)
        wishes = balancing(request.balance, batches, source.schema, request.rows)
        return wishes, source.count() or 0
    total = source.count()
    if total is None:
        total = sum(len(batch) for batch in source.batches(65_536))
    conditions = parse_conditions(request.where, source.schema, "--where")
    return [Wish(total if request.rows is None else request.rows, tuple(conditions))], total


def asked_first(request: Request, source: Source) -> Plan:
    """The plan, with the columns that values are asked for first."""
    names = [c.column for c in parse_conditions(request.where, source.schema, "--where")]
    if request.balance:
        names.append(balance_column(request.balance, source.schema))
    return replace(request.plan, first=tuple(dict.fromkeys(names)))


def guarded(drawing: Drawing) -> dict[str, int]:
    """Over all wishes."""
    names = ("copies_redrawn", "copies_left", "breaches_redrawn", "breaches_left")
    return {name: sum(getattr(guard, name) for guard in drawing.guards) for name in names}


def out_schema(schema: pa.Schema, *, origin: bool) -> pa.Schema:
    """The table's schema, and the origin behind it. Raises ConfigError where the table has such a
    column."""
    if not origin:
        return schema
    if ORIGIN in schema.names:
        raise ConfigError(
            f"the table has a column {ORIGIN!r}: it comes from gmkit augment",
            hint="Give the original table, or take only its original rows and leave that column "
            "out; or write synthetic rows alone: --only-synthetic.",
        )
    return schema.append(pa.field(ORIGIN, pa.string(), nullable=False))


def marked(batch: pa.RecordBatch, schema: pa.Schema, origin: str) -> pa.RecordBatch:
    """The batch with its origin, where the schema has that."""
    columns = list(batch.columns)
    if len(schema) > len(columns):
        index = pa.array(np.zeros(len(batch), np.int32))
        columns.append(pa.DictionaryArray.from_arrays(index, [origin]).cast(pa.string()))
    return pa.RecordBatch.from_arrays(columns, schema=schema)
