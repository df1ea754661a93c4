"""Rare rows that are asked for by a condition have a model of their own.

A leaf of the common model holds rows of all classes; where one is rare, those that are drawn for it
would look like the others. Trees of the rare rows alone, with smaller leaves, do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pyarrow as pa

from gmkit.config import merge
from gmkit.observer import Observer
from gmkit_augmentation.conditions import all_of
from gmkit_augmentation.drawing import Wish
from gmkit_augmentation.learning import MODEL, Learned, Plan

SHARE = 0.25
"""Rows are rare below this share of all,"""
LEAST = 30
"""and of fewer nothing can be learned alone."""
_PARTS = 20
"""Leaves that the rows would fill evenly; none has more than the family's default."""
_LARGEST = 15
_SMALLEST = 3


@contextmanager
def own_models(
    rows: pa.Table, wishes: Sequence[Wish], plan: Plan, observer: Observer
) -> Iterator[dict[Wish, Learned]]:
    """Models for the wishes that are about rare rows; gone afterwards."""
    with ExitStack() as stack:
        found: dict[Wish, Learned] = {}
        for wish in wishes if plan.model == MODEL else ():
            if not wish.conditions or not wish.rows:
                continue
            rare = rows.filter(pa.array(all_of(wish.conditions, rows)))
            if LEAST <= rare.num_rows < SHARE * rows.num_rows:
                leaf = min(_LARGEST, max(_SMALLEST, rare.num_rows // _PARTS))
                options = {"family": {"leaf": leaf}, "data": {"test": 0.0}}
                own = replace(plan, first=(), target="", settings=merge(options, plan.settings))
                found[wish] = stack.enter_context(Learned(rare, own, observer))
        yield found
