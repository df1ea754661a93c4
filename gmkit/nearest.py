"""Of several drawings of each record, the one that comes nearest to what was asked of it.

A model listens to its conditions only so far; where the domain can measure what was asked for, it
is cheap to draw a few records for each and to keep one: selection among draws in place of gradients
(Li et al. 2024, "Derivative-free guidance in continuous and discrete diffusion models", best of N).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmkit.errors import ConfigError
from gmkit.objectives.measure import Measure

__all__ = ["check_measurable", "measurable", "nearest_of"]


def measurable(names: Iterable[str], measures: Mapping[str, Measure]) -> list[str]:
    """Those of the conditions that the domain measures."""
    return [name for name in names if name in measures and not measures[name].argument]


def check_measurable(names: Iterable[str], measures: Mapping[str, Measure]) -> None:
    """Raise ConfigError where none of the conditions asked for is one."""
    names = list(names)
    if measurable(names, measures):
        return
    able = ", ".join(measurable(measures, measures))
    what = f"{', '.join(names)} cannot be measured" if names else "nothing is asked for"
    raise ConfigError(
        f"the best of several is what comes nearest to the conditions asked for, and {what}",
        hint=f'Ask for conditions by where, such as "qed=0.9"; measured are: {able}.'
        if able
        else "This domain measures nothing; leave best_of at 1.",
    )


def nearest_of(
    count: int,
    drawn: Callable[[int], pa.RecordBatch],
    names: Iterable[str],
    measures: Mapping[str, Measure],
) -> pa.RecordBatch:
    """Row by row the nearest of ``count`` batches ``drawn(0)``, … of the same length, which have
    columns of what was asked of each record: by the sum of |measured − asked| over conditions, each
    in units of the range that its measure tells. What is no proper record is farthest."""
    measured = {name: measures[name].make("") for name in measurable(names, measures)}

    def distance(records: pa.RecordBatch) -> NDArray[np.float64]:
        total = np.zeros(len(records))
        for name, measure in measured.items():
            asked = records.column(name).to_numpy(zero_copy_only=False).astype(np.float64)
            total += np.abs(measure(records) - asked) / (measures[name].high - measures[name].low)
        return np.where(np.isnan(total), np.inf, total)

    best = drawn(0)
    far = distance(best)
    for number in range(1, count):
        other = drawn(number)
        nearer = distance(other)
        rows = np.arange(len(best)) + len(best) * (nearer < far)
        both = pa.Table.from_batches([best, other]).take(pa.array(rows))
        best, far = both.combine_chunks().to_batches()[0], np.minimum(far, nearer)
    return best
