"""A table that ships inside scikit-learn."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa


def tumours() -> Iterator[pa.RecordBatch]:
    """30 measurements of 569 tumours; the diagnosis, which is what one would look for, left out."""
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    names = [str(name).replace(" ", "_") for name in bunch.feature_names]
    yield pa.record_batch([pa.array(column) for column in bunch.data.T], names=names)
