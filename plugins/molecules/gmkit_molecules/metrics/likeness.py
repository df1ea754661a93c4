"""Likeness: whether the samples look like the training molecules at a glance."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from gmkit_molecules.metrics.features import Molecules, molecules

__all__ = ["likeness"]

LIMIT = 1_000
"""Most records taken from each side; their median is good to about 4 % of the spread."""


def likeness(real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
    """Median weight and median QED of the samples over those of the training molecules.

    1 where they agree. Of more than ``LIMIT`` records a fixed random part is taken. NaN without
    valid molecules on either side.
    """
    samples, training = molecules(_part(synthetic)), molecules(_part(real))
    return {f"median_{n}_ratio": _ratio(samples, training, n) for n in ("weight", "qed")}


def _part(table: pa.Table) -> pa.Table:
    if table.num_rows <= LIMIT:
        return table
    rows = np.random.default_rng(0).choice(table.num_rows, LIMIT, replace=False)
    return table.take(np.sort(rows))


def _ratio(samples: Molecules, training: Molecules, name: str) -> float:
    above, below = _median(samples, name), _median(training, name)
    return above / below if below else float("nan")


def _median(mols: Molecules, name: str) -> float:
    # Both at once, so that molecules are parsed once for the two.
    values = np.repeat(mols.properties("weight", "qed")[name], mols.counts.astype(np.int64))
    values = values[~np.isnan(values)]
    return float(np.median(values)) if len(values) else float("nan")
