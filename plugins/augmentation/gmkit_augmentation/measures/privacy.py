"""Whether synthetic rows are nearer to the rows learned from than to others.

share       of synthetic rows whose nearest real row is one learned from rather than one held
            out (as many of both): .5 where nothing is remembered (distance to closest record;
            Platzer & Reutterer 2021)
ratio       distance to the nearest of the rows learned from over that to the second nearest:
            near 0 for copies, to be compared with that of held-out rows
attack      area under the curve of guessing by nearness to a synthetic row who was learned
            from: .5 is a coin's
copies      of a row learned from, among synthetic rows
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmkit.codecs.tables.row_keys import row_keys
from gmkit_augmentation.measures.matrices import Distances

ROWS = 4000
"""Rows of each sort, at most: distances are looked at between all."""
LEAST = 30


@dataclass(frozen=True)
class Privacy:
    """Figures of the module's table; NaN where too few rows are held out."""

    share: float
    ratio: float
    ratio_held_out: float
    attack: float
    copies: float
    repeated: float
    """Share of the rows learned from that occur more than once: such rows are copies of nobody."""
    compared: int
    """Rows of each sort."""


def privacy(learned: pa.Table, synthetic: pa.Table, holdout: pa.Table, seed: int = 0) -> Privacy:
    """``learned``: rows learned from; ``holdout``: rows that were not."""
    copies = _copies(learned, synthetic)
    count = min(learned.num_rows, holdout.num_rows, ROWS)
    if count < LEAST or synthetic.num_rows < LEAST:
        nan = math.nan
        return Privacy(nan, nan, nan, nan, copies, _repeated(learned), count)
    rng = np.random.default_rng(seed)
    distances = Distances(pa.concat_tables([learned, holdout]))
    seen = distances.points(_some(learned, count, rng))
    unseen = distances.points(_some(holdout, count, rng))
    drawn = distances.points(_some(synthetic, ROWS, rng))
    to_seen, to_unseen = _nearest(drawn, seen), _nearest(drawn, unseen)
    share = (to_seen[:, 0] < to_unseen[:, 0]).mean() + (to_seen[:, 0] == to_unseen[:, 0]).mean() / 2
    between = _nearest(unseen, seen)
    from sklearn.metrics import roc_auc_score

    nearness = np.concatenate([_nearest(seen, drawn)[:, 0], _nearest(unseen, drawn)[:, 0]])
    attack = roc_auc_score(np.repeat([1, 0], count), -nearness)
    return Privacy(
        float(share),
        _ratio(to_seen),
        _ratio(between),
        float(attack),
        copies,
        _repeated(learned),
        count,
    )


def _nearest(points: NDArray[np.float32], among: NDArray[np.float32]) -> NDArray[np.float64]:
    """Distances to the two nearest, (N, 2)."""
    from sklearn.neighbors import NearestNeighbors

    found: NDArray[np.float64] = NearestNeighbors(n_neighbors=2).fit(among).kneighbors(points)[0]
    return found


def _ratio(nearest: NDArray[np.float64]) -> float:
    return float(np.median(nearest[:, 0] / np.maximum(nearest[:, 1], 1e-9)))


def _copies(learned: pa.Table, rows: pa.Table) -> float:
    """Share of rows that equal one learned from; NaN for none."""
    if not rows.num_rows:
        return math.nan
    known = {key for batch in learned.to_batches() for key in row_keys(batch).to_pylist()}
    keys = [key for batch in rows.to_batches() for key in row_keys(batch).to_pylist()]
    return sum(key in known for key in keys) / len(keys)


def _repeated(rows: pa.Table) -> float:
    """Share of rows that occur more than once; NaN of none."""
    keys = Counter(key for batch in rows.to_batches() for key in row_keys(batch).to_pylist())
    several = sum(count for count in keys.values() if count > 1)
    return several / rows.num_rows if rows.num_rows else math.nan


def _some(table: pa.Table, count: int, rng: np.random.Generator) -> pa.Table:
    count = min(count, table.num_rows)
    return table.take(pa.array(rng.choice(table.num_rows, count, replace=False)))
