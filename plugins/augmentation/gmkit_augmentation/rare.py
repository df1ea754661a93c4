"""Rare rows that are asked for by a condition have a model of their own.

A leaf of the common model holds rows of all classes; where one is rare, those that are drawn for it
would look like the others, and a copula would place them where no row is. A model of the rare rows
alone does neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pyarrow as pa

from gmkit.config import merge
from gmkit.observer import Observer
from gmkit_augmentation.conditions import all_of
from gmkit_augmentation.domain import ONE_PASS
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
        model = plan.rare_model or plan.model
        for wish in wishes if model in ONE_PASS else ():
            if not wish.conditions or not wish.rows:
                continue
            rare = rows.filter(pa.array(all_of(wish.conditions, rows)))
            if LEAST <= rare.num_rows < SHARE * rows.num_rows:
                leaf = min(_LARGEST, max(_SMALLEST, rare.num_rows // _PARTS))
                options: dict[str, Any] = {"data": {"test": 0.0}}
                if model == MODEL:
                    options["family"] = {"leaf": leaf}
                given = plan.settings if model == plan.model else {}
                settings = merge(options, given)
                own = replace(plan, model=model, first=(), target="", settings=settings)
                found[wish] = stack.enter_context(Learned(rare, own, observer))
        yield found
