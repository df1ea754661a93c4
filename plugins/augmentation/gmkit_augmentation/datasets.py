"""Tables that ship inside scikit-learn."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa


def breast_cancer() -> Iterator[pa.RecordBatch]:
    """30 measurements and ``diagnosis``."""
    from sklearn.datasets import load_breast_cancer

    return _table(load_breast_cancer(), "diagnosis")


def wine() -> Iterator[pa.RecordBatch]:
    """13 measurements and ``cultivar``."""
    from sklearn.datasets import load_wine

    return _table(load_wine(), "cultivar")


def _table(bunch: object, target: str) -> Iterator[pa.RecordBatch]:
    names = [str(name).replace(" ", "_") for name in bunch.feature_names]  # type: ignore[attr-defined]
    columns = [pa.array(column) for column in bunch.data.T]  # type: ignore[attr-defined]
    classes = [str(bunch.target_names[i]) for i in bunch.target]  # type: ignore[attr-defined]
    yield pa.record_batch([*columns, pa.array(classes)], names=[*names, target])
