"""A table that ships inside scikit-learn, with a few mistakes made on purpose."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

SLIPS = ((60, "mean_smoothness", 10.0), (222, "worst_texture", 0.1), (418, "worst_area", 10.0))
"""Row, column, factor: a decimal point in the wrong place."""
MIXED_UP = ((131, 352, "mean_perimeter"), (305, 461, "mean_area"))
"""Row, the row whose value it has, column: by itself as usual as any, but not in its row."""


def tumours() -> Iterator[pa.RecordBatch]:
    """30 measurements of 569 tumours; the diagnosis, which is what one would look for, left out.
    Five of the numbers are wrong on purpose, see ``SLIPS`` and ``MIXED_UP``."""
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    names = [str(name).replace(" ", "_") for name in bunch.feature_names]
    values = bunch.data.copy()
    for row, name, factor in SLIPS:
        values[row, names.index(name)] *= factor
    for row, other, name in MIXED_UP:
        values[row, names.index(name)] = bunch.data[other, names.index(name)]
    yield pa.record_batch([pa.array(column) for column in values.T], names=names)
