"""Detecting from Python, by scikit-learn's interface of outlier detectors.

>>> import gmkit
>>> detector = gmkit.AnomalyDetector(contamination=0.02).fit(X)
>>> detector.predict(X)  # −1 abnormal, 1 normal
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from gmkit.errors import DataError
from gmkit.families import Step
from gmkit.randomness import generator
from gmkit.trunks import TrunkConfig
from gmkit_anomaly.alignment import Alignment
from gmkit_anomaly.codec import AnomalyCodec
from gmkit_anomaly.detector import Detector, DetectorConfig
from gmkit_anomaly.flagging import rule_of
from gmkit_anomaly.labels import label_notes

Floats = NDArray[np.float64]
NORMAL = 0.01
"""Share of known-normal rows beyond the threshold, where none is given."""


class AnomalyDetector(OutlierMixin, BaseEstimator):  # type: ignore[misc]
    """The detector of ``gmkit detect-anomalies`` on matrices of numbers, in which NaN is a missing
    value, and on data frames and Arrow tables of any columns."""

    n_features_in_: int
    mixed_: bool
    feature_names_in_: NDArray[np.object_]

    def __init__(
        self,
        *,
        contamination: float | str = "auto",
        novelty: bool = False,
        scorers: Sequence[str] | None = None,
        random_state: int | None = None,
    ) -> None:
        """``contamination``: the share of training rows beyond the threshold, or "auto":
        as many as are far out, where they are known to be normal a hundredth.
        ``novelty``: training rows are known to be normal. ``scorers``: which to use (`gmkit
        plugins ls`); None: those that win."""
        self.contamination = contamination
        self.novelty = novelty
        self.scorers = scorers
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803
        """Learn (N, D) numbers, or a table of D columns. ``y`` is not used. Warns of a column that
        looks like a label left in. Raises ValueError for what is no such matrix or table."""
        records = self._checked(X, reset=True)
        if self.contamination != "auto" and not 0 < float(self.contamination) <= 0.5:
            raise ValueError(f"contamination is 'auto' or in (0, 0.5], not {self.contamination!r}")
        seed = self._seed()
        with _as_value_error():
            codec = AnomalyCodec({}).fit([records])
        space = codec.space
        config = DetectorConfig(members=list(self.scorers or ()), contaminated=not self.novelty)
        detector = Detector(space, config, TrunkConfig())
        data = codec.encode(records)
        count = 0
        while detector.learned < 1:
            step = Step(count, detector.learned, generator(seed, "step", count))
            detector.learn(data, step)
            count += 1
        self._codec_state = codec.state()
        self.detector_ = detector.eval()
        known = np.asarray(self._of(records, fields=False).score.double())
        if not self.novelty:
            names = [str(n) for n in getattr(self, "feature_names_in_", records.schema.names)]
            some = records.rename_columns(names)
            for note in label_notes(some, known, "Leave it out."):
                warnings.warn(note, stacklevel=2)
        share = None if self.contamination == "auto" else float(self.contamination)
        if share is None and self.novelty:
            share = NORMAL
        rule = rule_of(known, None, fdr=None, contamination=share, far_out=self.detector_.far_out)
        at = rule.score
        if known.min() < known.max():  # the most abnormal row is one by definition
            at = min(at, float(known.max()))
        self.offset_ = float(np.nextafter(-at, np.inf))  # a row at the threshold is beyond it
        return self

    def score_samples(self, X: Any) -> Floats:  # noqa: N803
        """(N,), lower is more abnormal."""
        return -np.asarray(self._judged(X, fields=False).score.double())

    def decision_function(self, X: Any) -> Floats:  # noqa: N803
        """``score_samples`` less the threshold: negative for the abnormal."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> NDArray[np.int64]:  # noqa: N803
        """−1 for the abnormal, 1 for the rest."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def p_values(self, X: Any) -> Floats:  # noqa: N803
        """(N,) conformal p-values against rows held out while learning."""
        judged = self._judged(X, fields=False)
        return np.asarray(self.detector_.p_values(judged).double())

    def contributions(self, X: Any) -> Floats:  # noqa: N803
        """(N, D) nats by which each value is less likely than usual, given its row."""
        codec = AnomalyCodec.from_state(self._codec_state)
        judged = self._judged(X)
        found = np.zeros((len(judged.score), self.n_features_in_))
        for place, column in enumerate(codec.columns.values()):
            parts = [judged.fields[n] for n in column.fields() if n in judged.fields]
            if parts:
                found[:, place] = torch.stack(parts).amax(0).double().numpy()
        return found

    def _judged(self, X: Any, *, fields: bool = True) -> Any:  # noqa: N803
        check_is_fitted(self)
        return self._of(self._checked(X, reset=False), fields=fields)

    def _of(self, records: pa.RecordBatch, *, fields: bool) -> Any:
        codec = AnomalyCodec.from_state(self._codec_state)
        with _as_value_error():
            aligned = Alignment(codec, records.schema, "X")(records)
            tensors = codec.encode(aligned)
        encoded = self.detector_.space.pick(tensors, slice(None), "cpu")
        with torch.no_grad():
            return self.detector_.judge(encoded, fields=fields)

    def _checked(self, X: Any, *, reset: bool) -> pa.RecordBatch:  # noqa: N803
        least = 2 if reset else 1
        table = mixed(X) if reset or self.mixed_ else None
        if reset:
            self.mixed_ = table is not None
        elif self.mixed_ and table is None:
            table = whole(X)
            if table is None:
                raise ValueError(
                    f"the detector learned a table of {self.n_features_in_} columns: give a data "
                    f"frame or an Arrow table, not {type(X).__name__}"
                )
        if table is not None:
            if len(table) < least:
                raise ValueError(f"Found array with {len(table)} sample(s), {least} are needed")
            if reset:
                self.feature_names_in_ = np.asarray(table.column_names, dtype=object)
                self.n_features_in_ = table.num_columns
            return table.combine_chunks().to_batches()[0]
        found = validate_data(
            self,
            X,
            reset=reset,
            dtype=np.float64,
            ensure_all_finite="allow-nan",
            ensure_min_samples=least,
        )
        return _batch(np.asarray(found))

    def _seed(self) -> int:
        from sklearn.utils import check_random_state

        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def __sklearn_tags__(self) -> Any:
        """NaN is taken for missing."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def whole(data: Any) -> pa.Table | None:
    """A data frame or Arrow table as the latter; None of what is neither. Raises ValueError for one
    that Arrow does not take."""
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data])
    try:
        if isinstance(data, pa.Table):
            return data
        if type(data).__module__.partition(".")[0] == "pandas" and hasattr(data, "columns"):
            return pa.Table.from_pandas(data, preserve_index=False)
        return pa.table(data) if hasattr(data, "__arrow_c_stream__") else None
    except (pa.ArrowInvalid, pa.ArrowTypeError) as fault:
        raise ValueError(f"X cannot be read as a table: {fault}") from fault


def mixed(data: Any) -> pa.Table | None:
    """``whole`` of what has columns other than numbers, which are no matrix."""
    kinds = getattr(data, "dtypes", None)  # of pandas: nothing is converted to find out
    if kinds is not None and all(getattr(kind, "kind", "O") in "fiub" for kind in kinds):
        return None
    try:
        table = whole(data)
    except ValueError:
        if kinds is None:
            raise
        return None  # scikit-learn knows what to say of it
    if table is None:
        return None
    plain = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
    matrix = all(any(is_so(field.type) for is_so in plain) for field in table.schema)
    return None if matrix or not table.num_columns else table


@contextmanager
def _as_value_error() -> Iterator[None]:
    """As scikit-learn's users expect it."""
    try:
        yield
    except DataError as error:
        where = f"column {error.column!r} " if error.column else ""
        raise ValueError(f"{where}{error.reason}. {error.hint or ''}".strip()) from error


def _batch(matrix: Floats) -> pa.RecordBatch:
    names = [str(i) for i in range(matrix.shape[1])]
    columns = [pa.array(np.ascontiguousarray(column)) for column in matrix.T]
    return pa.RecordBatch.from_arrays(columns, names=names)
