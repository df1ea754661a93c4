"""``gmkit augment``: the rows of a table, and as many like them as asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gmkit.codecs.tables import TableCodec
from gmkit.codecs.tables.columns import Identifier, Text
from gmkit.data.formats import CORE_FORMATS
from gmkit.data.sampling import sampled_rows
from gmkit.data.sink import Sink
from gmkit.data.source import open_source
from gmkit.errors import ConfigError
from gmkit.observer import Observer
from gmkit_augmentation.balance import balance_column, balancing
from gmkit_augmentation.conditions import Mask, parse_conditions
from gmkit_augmentation.constraints import parse_constraints
from gmkit_augmentation.domain import TablesDomain
from gmkit_augmentation.drawing import Drawing, Wish
from gmkit_augmentation.gate import Verdict, verdict
from gmkit_augmentation.groups import Groups, whole_groups
from gmkit_augmentation.keeping import FairSample
from gmkit_augmentation.learning import Learned, Plan, check_column
from gmkit_augmentation.rare import own_models
from gmkit_augmentation.rules import Rules, found_rules
from gmkit_augmentation.views import Workable, converted

GUARDED = ("copies_redrawn", "copies_left", "breaches_redrawn", "breaches_left")
Untold = Identifier | Text
"""Columns that nothing is learned of."""
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
    """What must hold in every new row: ``start<=end``, ``unique(order)``, ``total=net+tax``."""
    no_harm: bool = False
    """Add only as many rows as help to predict the target; none, where none do."""
    advise: bool = False
    """Tell of rows that balance whether they help, where nobody asked to add only such."""
    named_model: bool = False
    """Whether the plan's model is the user's choice, and not to be improved upon."""
    group_key: str = ""
    """A column that rows which belong together share: whole groups are learned and drawn."""
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
    """Whether adding rows helps, where that was asked or advice is due."""
    privacy: dict[str, float] | None = None
    """Epsilon and delta, and what they were accounted by, of private training."""

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        gate = self.gate.to_json() if self.gate else None
        return {**vars(self), "out": str(self.out), "gate": gate}


@dataclass(frozen=True)
class Work:
    """All that an augmentation leaves in memory: for its report."""

    result: Result
    told: list[str]
    """Columns that something was learned of."""
    rows: pa.Table
    """What new rows are to be like;"""
    seen: pa.Table
    """of them those learned from, and"""
    holdout: pa.Table
    """those that were not; maybe none."""
    synthetic: pa.Table
    """New rows, or a fair sample of very many."""
    wishes: tuple[Wish, ...]
    """What was asked for."""


def augment(request: Request, observer: Observer, report: Any = None) -> Result:
    """Learn the table and write the file. Raises GmkitError's subclasses; the file is whole or
    absent. ``report``: called with the finished ``Work``."""
    source = Workable(open_source(request.data, domain=TablesDomain()))
    check(request, source)
    constraints = parse_constraints(request.constraints, source.schema, "--constraint")
    schema = out_schema(source.stored, origin=not request.only_synthetic)
    Sink(request.out, schema, CORE_FORMATS)  # a place that cannot be: told before learning
    observer.stage(f"Reading {source.name}")
    if request.group_key:
        return augment_groups(request, source, schema, observer, report)
    rows = sampled_rows(source, request.plan.rows, request.plan.seed, observer)
    rules = Rules() if request.plan.epsilon is not None else found_rules(rows)
    wishes, total = wishes_of(request, source)
    gate = judged(request, rows, observer) if request.no_harm else advice(request, rows, observer)
    if gate is not None and not gate.advises:
        wishes = allowed(gate, wishes, total)
        if gate.amount:
            plan = replace(request.plan, model=gate.best.generator, rare_model="")
            request = replace(request, plan=plan)
    with (
        Learned(rows, asked_first(request, source), observer) as learned,
        own_models(rows, wishes, request.plan, observer) as own,
    ):
        drawing = Drawing(
            learned,
            wishes,
            rules,
            constraints,
            observer,
            own=own,
            originals=source.batches(65_536) if constraints.keyed else (),
        )
        kept = FairSample(source.schema, request.plan.seed)
        original = 0
        with Sink(request.out, schema, CORE_FORMATS) as sink:
            if not request.only_synthetic:
                original = write_originals(source, sink, schema, total, observer)
            observer.stage(f"Drawing {drawing.total:,} rows")
            for batch in drawing.batches():
                sink.write(marked(batch, schema, "synthetic"))
                kept.add(batch)
        columns = learned.codec.describe()
        result = Result(
            request.out,
            original,
            drawing.total,
            columns,
            [*rules.names(), *constraints.names],
            guarded(drawing),
            gate,
            learned.guarantee,
        )
        if report is not None:
            told = [n for n, c in learned.codec.columns.items() if not isinstance(c, Untold)]
            dataset = learned.run.dataset()
            parts = dataset.table("train"), dataset.table("test")
            report(Work(result, told, rows, *parts, kept.table(), tuple(wishes)))
        return result


def augment_groups(
    request: Request, source: Workable, schema: pa.Schema, observer: Observer, report: Any = None
) -> Result:
    """Whole groups of rows that share ``group_key``."""
    key, plan = request.group_key, request.plan

    def pick(batch: pa.RecordBatch, share: float) -> Mask:
        return whole_groups(batch, key, share, plan.seed)

    rows = sampled_rows(source, plan.rows, plan.seed, observer, pick)
    total = source.count() or rows.num_rows
    wanted = total if request.rows is None else request.rows
    rules = found_rules(rows)
    groups = Groups(rows, key, plan, rules, observer)
    try:
        kept = FairSample(source.schema, plan.seed)
        original = 0
        with Sink(request.out, schema, CORE_FORMATS) as sink:
            if not request.only_synthetic:
                original = write_originals(source, sink, schema, total, observer)
            observer.stage(f"Drawing {wanted:,} rows")
            breaches = 0
            for batch in groups.batches(wanted) if wanted else ():
                breaches += int((~rules.mask(batch)).sum())
                sink.write(marked(batch, schema, "synthetic"))
                kept.add(batch)
        columns = groups.steps.codec.describe() | groups.heads.codec.describe()
        described = {name: columns[name] for name in source.schema.names}
        kept_rules = rules.names()
        same = ", ".join(n for n in groups.constant if not described[n].startswith("always "))
        kept_rules += [f"{key} → {same}"] if same else []
        guarded_ = dict.fromkeys(GUARDED, 0) | {"breaches_left": breaches}
        result = Result(request.out, original, wanted, described, kept_rules, guarded_)
        if report is not None:
            codecs = groups.steps.codec.columns | groups.heads.codec.columns
            told = [n for n in source.schema.names if not isinstance(codecs[n], Untold)]
            report(Work(result, told, rows, rows, rows.slice(0, 0), kept.table(), ()))
        return result
    finally:
        groups.close()


def write_originals(
    source: Workable, sink: Sink, schema: pa.Schema, total: int, observer: Observer
) -> int:
    """The rows there are; how many."""
    observer.stage("Writing the original rows")
    written = 0
    for batch in source.batches(65_536):
        sink.write(marked(batch, schema, "original"))
        written += len(batch)
        observer.advance(written, total)
    return written


def check(request: Request, source: Workable) -> None:
    """Raise DataError for columns that cannot be learned, DataError or ConfigError for options that
    do not fit the table."""
    TableCodec({}).fit([pa.RecordBatch.from_pylist([], source.schema)])
    check_column(request.plan.target, source.schema, "--target")
    parse_conditions(request.where, source.schema, "--where")
    parse_constraints(request.constraints, source.schema, "--constraint")
    if request.plan.epsilon is not None:
        check_private(request)
    if request.group_key:
        check_grouped(request, source.schema)
    if request.no_harm and (request.rows is not None or request.only_synthetic):
        raise ConfigError(
            "--no-harm finds out how many rows to add to the original ones",
            hint="Leave --rows and --only-synthetic out.",
        )
    if request.no_harm and request.where:
        raise ConfigError("--no-harm and --where cannot be asked for together")
    if request.no_harm and not (request.plan.target or request.balance):
        raise ConfigError(
            "--no-harm needs to know what will be predicted", hint="Name it: --target COLUMN."
        )
    if request.balance and request.where:
        raise ConfigError(
            "--balance and --where both say what the rows shall be",
            hint='Take one: --where "label=1" -n 500, or --balance "label=1:0.5".',
        )


def check_grouped(request: Request, schema: pa.Schema) -> None:
    """Raise ConfigError for what cannot be asked of whole groups."""
    check_column(request.group_key, schema, "--group-key")
    told = {
        "--where": request.where,
        "--balance": request.balance,
        "--constraint": request.constraints,
        "--no-harm": request.no_harm,
        "--dp-epsilon": request.plan.epsilon,
    }
    for option, value in told.items():
        if value:
            raise ConfigError(
                f"{option} is about single rows, and --group-key draws whole groups",
                hint=f"Leave {option} out, and pick among the new groups afterwards.",
            )


def check_private(request: Request) -> None:
    """Raise ConfigError for what the guarantee of private training would not cover."""
    if not request.only_synthetic:
        raise ConfigError(
            "--dp-epsilon protects nobody in a file that holds the original rows",
            hint="Add --only-synthetic.",
        )
    told = {
        "--where": request.where,
        "--balance": request.balance,
        "--no-harm": request.no_harm,
    }
    for option, value in told.items():
        if value:
            raise ConfigError(
                f"{option} looks at the rows again, which --dp-epsilon does not account for",
                hint=f"Leave {option} out, and pick among the synthetic rows afterwards.",
            )


def advice(request: Request, rows: pa.Table, observer: Observer) -> Verdict | None:
    """Whether the rows that balance help; None where that is not asked or cannot be told."""
    if not (request.advise and request.balance) or request.only_synthetic:
        return None
    if request.rows is not None:
        return None
    try:
        return judged(request, rows, observer, amount=1.0)
    except ConfigError:  # of too few rows nothing can be told, and nothing was asked
        return None


def judged(
    request: Request, rows: pa.Table, observer: Observer, amount: float | None = None
) -> Verdict:
    """Whether adding rows helps, by which generator, and how many; or whether ``amount`` does."""
    plan = request.plan
    model = plan.model if request.named_model or amount is not None else ""
    if not request.balance:
        return verdict(rows, plan, observer, model, amount=amount)
    name = balance_column(request.balance, rows.schema)

    def wishes(real: pa.Table) -> list[Wish]:
        return balancing(request.balance, real.to_batches(), real.schema, None)

    return verdict(rows, replace(plan, target=name), observer, model, wishes, amount)


def allowed(gate: Verdict, wishes: list[Wish], total: int) -> list[Wish]:
    """As many rows as the verdict says."""
    if not gate.balances:
        return [Wish(int(gate.amount * total))]
    return [replace(wish, rows=int(gate.amount * wish.rows)) for wish in wishes]


def privacy_sentence(privacy: Mapping[str, float]) -> str:
    """What private training promises, and what not, for people."""
    return (
        f"Differentially private: epsilon {privacy['epsilon']:.2f}, delta {privacy['delta']:.1g}, "
        f"by the Rényi accountant over {privacy['steps']:,.0f} steps of noise "
        f"{privacy['noise']:.2f} on batches of {100 * privacy['rate']:.2g} % of the rows. This "
        "covers the model's weights. It does not cover each column's range, values, quantiles and "
        "missing share, which were learned without noise, nor the figures of a report."
    )


def wishes_of(request: Request, source: Workable) -> tuple[list[Wish], int]:
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


def asked_first(request: Request, source: Workable) -> Plan:
    """The plan, with the columns that values are asked for first."""
    names = [c.column for c in parse_conditions(request.where, source.schema, "--where")]
    if request.balance:
        names.append(balance_column(request.balance, source.schema))
    return replace(request.plan, first=tuple(dict.fromkeys(names)))


def guarded(drawing: Drawing) -> dict[str, int]:
    """Over all wishes."""
    return {name: sum(getattr(guard, name) for guard in drawing.guards) for name in GUARDED}


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
    """The batch with its origin, where the schema has that, in the schema's types."""
    own = pa.schema(list(schema)[: batch.num_columns])
    columns = list(converted(batch, own).columns)
    if len(schema) > len(columns):
        index = pa.array(np.zeros(len(batch), np.int32))
        columns.append(pa.DictionaryArray.from_arrays(index, [origin]).cast(pa.string()))
    return pa.RecordBatch.from_arrays(columns, schema=schema)
