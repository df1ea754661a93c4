"""How close samples come to what was asked of them, where the domain can measure it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa

from gmkit.metrics.evaluation import Figure
from gmkit.objectives.measure import Measure

__all__ = ["asked_figures"]


def asked_figures(
    samples: pa.RecordBatch, names: Iterable[str], measures: Mapping[str, Measure], seed: int
) -> dict[str, Figure]:
    """For each condition among ``names`` that is a measure of the domain: ``NAME error``, the mean
    of |measured − asked| over ``samples`` (proper records, with a column of what was asked of
    each), beside 0 of training records; and ``NAME error by chance``, the same were it asked of
    another sample: what a model that does not listen would have."""
    figures: dict[str, Figure] = {}
    rng = np.random.default_rng(seed)
    for name in names:
        if name not in measures or measures[name].argument or not len(samples):
            continue
        column = samples.column(name)
        if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
            continue
        asked = column.to_numpy(zero_copy_only=False).astype(np.float64)
        measured = measures[name].make("")(samples)
        error = float(np.nanmean(np.abs(measured - asked)))
        chance = float(np.nanmean(np.abs(measured - rng.permutation(asked))))
        figures[f"{name} error"] = Figure(f"{name} error", error, 0.0, "lower")
        figures[f"{name} error by chance"] = Figure(
            f"{name} error by chance", chance, math.nan, "lower"
        )
    return figures
