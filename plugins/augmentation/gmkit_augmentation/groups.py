"""Rows that belong together: a customer's orders, a patient's visits.

A table with a group key is learned as two: groups, with what does not change within one and how
many rows it has; and steps, with each row beside the row before it of the same group:

    p(group) = p(constants, size) Π_t p(row_t | constants, size, t, row_{t−1})

New groups are drawn first, then their first rows, second rows and so on, all groups at once. Keys
are new. Columns that never fall (or never rise) within a group do not in new ones either.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from gmkit.codecs.tables.columns import Identifier, Levels, Text
from gmkit.codecs.tables.numbers import is_number, plain_type, to_numbers, typed_column
from gmkit.codecs.tables.row_keys import row_keys
from gmkit.errors import ConfigError
from gmkit.observer import Observer
from gmkit.randomness import derive, generator
from gmkit_augmentation.conditions import Mask
from gmkit_augmentation.finishing import Finisher
from gmkit_augmentation.guard import ROUNDS
from gmkit_augmentation.learning import Learned, Plan
from gmkit_augmentation.rules import Rules
from gmkit_augmentation.whole import plain_whole, whole

SIZE, PLACE, BEFORE = "_gmkit_size", "_gmkit_place", "before "
FEWEST = 10
"""Groups below which nothing can be learned of them."""
_SHARED = 5
"""Groups that a class has on average, or it tells nothing of them."""
_PLACES = 50
"""Places in a group that are told apart."""
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Order:
    """Rows sorted by group: ``rows`` (N,) their numbers, ``first`` where a group begins."""

    rows: Numbers
    first: Mask

    @property
    def places(self) -> Numbers:
        """0 for a group's first row, then 1, …"""
        starts = np.flatnonzero(self.first)
        begin = np.repeat(starts, np.diff([*starts, len(self.rows)]))
        return np.arange(len(self.rows)) - begin

    @property
    def sizes(self) -> Numbers:
        """Rows of each group."""
        starts = np.flatnonzero(self.first)
        return np.diff([*starts, len(self.rows)])


def ordered(rows: pa.Table, key: str) -> Order:
    """Rows by group, each group's in the order of the table."""
    encoded = plain_whole(rows, key).dictionary_encode(null_encoding="encode")
    codes = np.asarray(encoded.indices, dtype=np.int64)
    order = np.argsort(codes, kind="stable")
    first = np.ones(len(codes), bool)
    first[1:] = codes[order][1:] != codes[order][:-1]
    return Order(order, first)


class Groups:
    """Learns both tables and draws groups."""

    def __init__(
        self, rows: pa.Table, key: str, plan: Plan, rules: Rules, observer: Observer
    ) -> None:
        """``rules``: of single rows, kept in new ones. Raises ConfigError for too few groups, or a
        key that is no identifier."""
        self.key, self.plan, self.schema, self._observer = key, plan, rows.schema, observer
        self._rules = rules
        order = ordered(rows, key)
        groups = int(order.first.sum())
        if groups < FEWEST or groups == len(order.rows):
            raise ConfigError(
                f"--group-key {key}: {groups:,} groups in {len(order.rows):,} rows are too few to "
                "learn from, or every row is a group of its own",
                hint="Name a column that several rows share, or leave --group-key out.",
            )
        table = rows.take(pa.array(order.rows)).combine_chunks()
        self.constant, self.varying = self._sorted_out(table, order)
        self._directions = self._monotone(table, order)
        starts = pa.array(np.flatnonzero(order.first))
        heads = table.select([key, *self.constant]).take(starts)
        heads = heads.append_column(SIZE, pa.array(order.sizes))
        kinds = {n: k for n, k in plan.kinds.items() if n in heads.column_names}
        own = replace(plan, kinds={**kinds, key: "identifier"}, target="", first=())
        self.heads = Learned(heads, own, observer)
        self._telling = [n for n in self.constant if self._tells(n, groups)]
        try:
            steps = self._steps(table, order)
            given = [n for n in steps.column_names if n not in self.varying]
            kinds = {n: k for n, k in plan.kinds.items() if n in steps.column_names}
            target = plan.target if plan.target in self.varying else ""
            own = replace(plan, kinds=kinds, target=target, first=tuple(given))
            self.steps = Learned(steps, own, observer)
        except BaseException:
            self.heads.close()
            raise
        self._given = given
        self._template = steps.slice(0, 1)
        self._finisher = Finisher(self.heads.codec, heads)

    def close(self) -> None:
        """Remove what was learned."""
        self.heads.close()
        self.steps.close()

    def _tells(self, name: str, groups: int) -> bool:
        """Whether a group's rows can follow it: a value of hardly any other group says nothing."""
        column = self.heads.codec.columns[name]
        if isinstance(column, Levels):
            return column.size * _SHARED <= groups
        return not isinstance(column, Identifier | Text)

    def _sorted_out(self, table: pa.Table, order: Order) -> tuple[list[str], list[str]]:
        """Columns that are the same in all rows of a group, and the others."""
        constant: list[str] = []
        varying: list[str] = []
        for name in table.column_names:
            if name == self.key:
                continue
            column = plain_whole(table, name).dictionary_encode(null_encoding="encode")
            codes = np.asarray(column.indices)
            same = bool((codes[1:] == codes[:-1])[~order.first[1:]].all())
            (constant if same else varying).append(name)
        return constant, varying

    def _monotone(self, table: pa.Table, order: Order) -> dict[str, int]:
        """Columns without gaps that never fall (1), or never rise (−1), within a group."""
        found = {}
        for name in self.varying:
            column = plain_whole(table, name)
            if not is_number(plain_type(column.type)) or column.null_count:
                continue
            values, _ = to_numbers(column)
            steps = np.diff(values)[~order.first[1:]]
            for direction in (1, -1):
                if (steps * direction >= 0).all():
                    found[name] = direction
        return found

    def _steps(self, table: pa.Table, order: Order) -> pa.Table:
        """Constants, size and place, the row before, and the row."""
        sizes = np.repeat(order.sizes, order.sizes)
        columns = {name: table.column(name) for name in self._telling}
        columns[SIZE] = pa.array(sizes)
        columns[PLACE] = pa.array(np.minimum(order.places, _PLACES))
        before = pa.array(np.arange(len(order.rows)) - 1, mask=order.first)
        for name in self.varying:
            columns[BEFORE + name] = whole(table.column(name)).take(before)
        columns |= {name: table.column(name) for name in self.varying}
        return pa.table(columns)

    def batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        """Exactly ``rows`` rows of new groups; the last group may be cut short."""
        done = number = 0
        while done < rows:
            many = max(8, min(4096, int(1.2 * (rows - done) / self._mean_size()) + 1))
            batch = self._drawn(many, derive(self.plan.seed, "groups", number), rows - done, done)
            number += 1
            done += len(batch)
            self._observer.advance(done, rows)
            yield self._rules.repaired(batch, frozenset({self.key}))

    def _mean_size(self) -> float:
        return float(pc.mean(self.heads.rows.column(SIZE)).as_py())

    def _drawn(self, groups: int, seed: int, most: int, done: int) -> pa.RecordBatch:
        heads = next(self.heads.run.sample_batches(groups, seed=seed, chunk=groups))
        heads = self._finisher.finished(heads, done)
        sizes = np.maximum(np.asarray(heads.column(SIZE)), 1)
        sizes = sizes[: int(np.searchsorted(np.cumsum(sizes), most)) + 1]
        heads = heads.slice(0, len(sizes))
        parts, owners = [], []
        active: Numbers = np.arange(len(sizes))
        last: pa.RecordBatch | None = None
        place = 0
        while len(active):
            step = self._next(heads, sizes, active, last, place, derive(seed, "step", place))
            parts.append(step)
            owners.append(active)
            place += 1
            going = sizes[active] > place
            active, last = active[going], step.filter(pa.array(going))
        owner = np.concatenate(owners)
        order = np.argsort(owner, kind="stable")
        steps = pa.Table.from_batches(parts).take(pa.array(order)).combine_chunks()
        table = self._assembled(heads, steps, owner[order])
        return table.slice(0, most).combine_chunks().to_batches()[0]

    def _next(
        self,
        heads: pa.RecordBatch,
        sizes: Numbers,
        active: Numbers,
        last: pa.RecordBatch | None,
        place: int,
        seed: int,
    ) -> pa.RecordBatch:
        """The next row of every group that has one."""
        run, codec, count = self.steps.run, self.steps.codec, len(active)
        blank = self._template.take(pa.array(np.zeros(count, np.int64))).combine_chunks()
        columns = {n: whole(blank.column(n)) for n in blank.column_names}
        for name in self._telling:
            columns[name] = self._known(name, heads.column(name).take(pa.array(active)))
        columns[SIZE] = self._known(SIZE, pa.array(sizes[active]))
        columns[PLACE] = self._known(PLACE, pa.array(np.full(count, min(place, _PLACES))))
        if last is not None:
            for name in self.varying:
                columns[BEFORE + name] = self._known(BEFORE + name, last.column(name))
        schema = self._template.schema
        batch = pa.RecordBatch.from_arrays([columns[f.name] for f in schema], schema=schema)
        space = run.family.space
        encoded = space.pick(codec.encode(batch), slice(None), run.device)
        fixed = {field for n in self._given for field in codec.columns[n].fields()}
        masks = {
            n: torch.full(encoded[n].shape, n in fixed, device=run.device) for n in space.names
        }

        def drawn(rows: Numbers, seed: int) -> pa.RecordBatch:
            some = {name: value[rows] for name, value in encoded.items()}
            open_ = {name: mask[rows] for name, mask in masks.items()}
            values = run.family.complete(some, open_, generator(seed, device=run.device))
            made: pa.RecordBatch = codec.decode({n: v.cpu() for n, v in values.items()})
            return made.select(self.varying)

        found = drawn(np.arange(count), seed)
        constants = heads.select(self.constant).take(pa.array(active))
        for number in range(ROUNDS):  # what holds in the data holds in new rows
            wrong = np.flatnonzero(~self._in_order(constants, found))
            if not len(wrong):
                break
            again = drawn(wrong, derive(seed, number))
            order = np.arange(count)
            order[wrong] = count + np.arange(len(wrong))
            both = pa.Table.from_batches([found, again]).take(pa.array(order))
            found = both.combine_chunks().to_batches()[0]
        return found

    def _in_order(self, constants: pa.RecordBatch, steps: pa.RecordBatch) -> Mask:
        """Rows that keep every ordering, and whose sums can be put right, (N,)."""
        arrays = [*constants.columns, *steps.columns]
        names = [*constants.schema.names, *steps.schema.names]
        rows = pa.RecordBatch.from_arrays(arrays, names)
        kept = np.ones(len(rows), bool)
        for rule in self._rules.ordered:
            if rule.low in names and rule.high in names:
                kept &= rule.mask(rows)
        for total in self._rules.sums:  # put right later, where they lie within the data's range
            if total.bounds.keys() <= set(names):
                kept &= total.mask(total.repaired(rows, frozenset()))
        return kept

    def _known(self, name: str, column: pa.Array) -> pa.Array:
        """What is given, as the model of steps knows it: a value that it never saw there is taken
        for the nearest number, for missing, or for any."""
        learned = self.steps.codec.columns[name]
        if not isinstance(learned, Levels) or learned.rare is not None:
            return column
        plain = plain_whole(pa.record_batch([column], [name]), name)
        seen = pc.is_in(plain, value_set=learned.values)
        if learned.missing:
            seen = pc.or_(seen, plain.is_null())
        if pc.all(seen).as_py() or not len(learned.values):
            return column
        if learned.missing:
            other = pa.nulls(len(plain), plain.type)
        elif is_number(plain.type):
            known, _ = to_numbers(learned.values)
            values, _ = to_numbers(plain)
            near = np.abs(known[None, :] - values[:, None]).argmin(1)
            other = learned.values.take(pa.array(near))
        else:
            other = learned.values.take(pa.array(np.zeros(len(plain), np.int64)))
        return typed_column(pc.if_else(seen, plain, other), column.type)

    def _assembled(self, heads: pa.RecordBatch, steps: pa.Table, owner: Numbers) -> pa.Table:
        """Rows of the table's schema; monotone columns in order within each group."""
        parts = {n: heads.column(n).take(pa.array(owner)) for n in (self.key, *self.constant)}
        for name in self.varying:
            column = whole(steps.column(name))
            if direction := self._directions.get(name):
                values, _ = to_numbers(plain_whole(steps, name))
                column = column.take(pa.array(np.lexsort((direction * values, owner))))
            parts[name] = column
        return pa.Table.from_arrays([parts[f.name] for f in self.schema], schema=self.schema)


def whole_groups(rows: pa.RecordBatch, key: str, share: float, seed: int) -> Mask:
    """Rows of the groups that a share of all keys has, by a hash of the key."""
    import hashlib

    keys = row_keys(rows.select([key])).dictionary_encode()
    limit = int(share * 2**32)
    salt = derive(seed, "groups").to_bytes(8, "big")
    chosen = [
        int.from_bytes(hashlib.blake2b(k, digest_size=4, key=salt).digest(), "big") < limit
        for k in keys.dictionary.to_pylist()
    ]
    mask: Mask = np.asarray(chosen, bool)[np.asarray(keys.indices)]
    return mask
