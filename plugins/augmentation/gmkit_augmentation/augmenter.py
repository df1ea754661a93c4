"""Augmenting from Python, in the manner of scikit-learn and imbalanced-learn.

>>> import gmkit
>>> more = gmkit.Augmenter(target="income").fit(frame).sample(1000, where="age>60")
>>> X, y = gmkit.Augmenter().fit_resample(X, y)
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np
import pyarrow as pa

from gmkit.data.sampling import sampled_rows
from gmkit.data.source import open_source
from gmkit.errors import ConfigError
from gmkit.observer import Observer
from gmkit_augmentation.balance import balancing
from gmkit_augmentation.conditions import parse_conditions
from gmkit_augmentation.constraints import parse_constraints
from gmkit_augmentation.domain import TablesDomain
from gmkit_augmentation.drawing import Drawing, Wish
from gmkit_augmentation.learning import MODEL, Learned, Plan, check_column
from gmkit_augmentation.rare import own_models
from gmkit_augmentation.rules import Rules, found_rules
from gmkit_augmentation.whole import plain_whole

_TARGET = "_gmkit_target"


class Augmenter:
    """Learns a table and draws rows like its own, in the kind of table that it was given."""

    def __init__(
        self,
        *,
        target: str = "",
        model: str = MODEL,
        columns: Mapping[str, str] | None = None,
        constraints: Iterable[str] = (),
        seed: int = 0,
        time_budget: float | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """``columns``: name → number, category, identifier, text or constant, where that is not
        to be inferred. ``constraints``: what holds in every new row, ``["start<=end"]``."""
        self.plan = Plan(
            model=model,
            target=target,
            kinds=dict(columns or {}),
            settings=dict(settings or {}),
            seed=seed,
            time_budget=time_budget,
        )
        self.constraints = tuple(constraints)
        self._learned: Learned | None = None
        self._rules = Rules()
        self._like: Any = None
        self._draws = 0

    def fit(self, data: Any, y: Any = None) -> Self:
        """Learn ``data``: a pandas or polars frame, an Arrow table, a path. ``y`` is not used.
        Raises DataError for what cannot be learned."""
        source = open_source(_storable(data), domain=TablesDomain())
        check_column(self.plan.target, source.schema, "target")
        parse_constraints(self.constraints, source.schema, "constraints")
        observer = Observer()
        rows = sampled_rows(source, self.plan.rows, self.plan.seed, observer)
        self._rules = found_rules(rows)
        with Learned(rows, self.plan, observer) as learned:  # the folder is not needed again
            self._learned = learned
        self._like, self._draws = data, 0
        return self

    def sample(self, n: int, *, where: str | Iterable[str] = (), seed: int | None = None) -> Any:
        """``n`` new rows that meet ``where`` (``"age>60,sex=F"``). Without a ``seed`` each call
        gives others, the same ones in every process. Raises DataError, ConfigError."""
        learned = self._fitted()
        texts = [where] if isinstance(where, str) else list(where)
        conditions = parse_conditions([t for t in texts if t], learned.rows.schema, "where")
        table = self._drawn([Wish(n, tuple(conditions))], seed)
        return _as(table, self._like)

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:  # noqa: N803
        """``X`` and ``y`` with new rows behind them, so that all classes are as large as the
        largest (imbalanced-learn's interface)."""
        frame = _frame(X)
        if _TARGET in frame.column_names:
            raise ConfigError(f"X has a column {_TARGET!r}")
        named = [str(name) for name in frame.column_names]
        table = frame.rename_columns(named).append_column(_TARGET, pa.array(y))
        before = self.plan
        self.plan = Plan(**{**vars(before), "target": _TARGET})
        try:
            self.fit(table)
            wishes = balancing(_TARGET, table.to_batches(), table.schema, None)
            new = self._drawn(wishes, None)
        finally:
            self.plan = before
        both = pa.concat_tables([table, new.cast(table.schema)])
        features = both.drop_columns([_TARGET]).rename_columns(frame.column_names)
        return _as(features, X), _as_values(both.column(_TARGET), y)

    def _fitted(self) -> Learned:
        if self._learned is None:
            raise ConfigError("nothing was learned yet", hint="Call fit(table) first.")
        return self._learned

    def _drawn(self, wishes: list[Wish], seed: int | None) -> pa.Table:
        learned = self._fitted()
        schema = learned.codec.schema
        constraints = parse_constraints(self.constraints, schema, "constraints")
        number = self._draws if seed is None else None
        self._draws += seed is None
        observer = Observer()
        with own_models(learned.rows, wishes, self.plan, observer) as own:
            drawing = Drawing(
                learned, wishes, self._rules, constraints, observer, seed, number, own
            )
            return pa.Table.from_batches(drawing.batches(), schema)


def _storable(data: Any) -> Any:
    """Polars' texts and categories in Arrow types that rows can be taken of; anything else as it
    is."""
    if type(data).__module__.partition(".")[0] != "polars":
        return data
    table = pa.table(data)
    for place, field in enumerate(table.schema):
        coded = pa.types.is_dictionary(field.type)
        values = field.type.value_type if coded else field.type
        if pa.types.is_string_view(values) or pa.types.is_binary_view(values):
            plain = plain_whole(table, field.name)
            table = table.set_column(
                place, field.name, plain.dictionary_encode() if coded else plain
            )
    return table


def _frame(data: Any) -> pa.Table:
    """Rows of X: a frame, a table, or a matrix, whose columns are numbered."""
    if isinstance(data, np.ndarray):
        if data.ndim != 2:
            raise ConfigError(f"X has {data.ndim} dimensions, expected rows and columns")
        return pa.table({str(i): pa.array(column) for i, column in enumerate(data.T)})
    if isinstance(data, pa.Table):
        return data
    table = pa.table(_storable(data))
    return table.drop_columns([n for n in table.column_names if n.startswith("__index_level_")])


def _as(table: pa.Table, like: Any) -> Any:
    """The table as the kind of table that ``like`` is."""
    package = type(like).__module__.partition(".")[0]
    if isinstance(like, np.ndarray):
        return np.stack([column.to_numpy() for column in table.columns], axis=1).astype(like.dtype)
    if package == "pandas":
        frame = table.to_pandas()
        return frame.astype(dict(like.dtypes)) if set(frame) == set(like) else frame
    if package == "polars":
        frame = sys.modules["polars"].from_arrow(table)  # theirs, since they gave one of its frames
        return frame.cast(dict(like.schema)) if set(frame.columns) == set(like.columns) else frame
    return table


def _as_values(column: pa.ChunkedArray, like: Any) -> Any:
    package = type(like).__module__.partition(".")[0]
    if package == "pandas":
        return column.to_pandas().astype(like.dtype).rename(like.name)
    if package == "polars":
        series = sys.modules["polars"].from_arrow(column)
        return series.cast(like.dtype).alias(like.name)
    if isinstance(like, np.ndarray):
        return column.to_numpy().astype(like.dtype)
    return column.to_pylist() if isinstance(like, list) else column
