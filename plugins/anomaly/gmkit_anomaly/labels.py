"""A label left in by mistake: a column of two values of which the rarer goes with the scores."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gmkit.codecs.tables.numbers import plain_column
from gmkit.data.arrow_arrays import numpy_array

SEPARATES = 0.95
"""Area under the curve from which on a column is suspected by itself,"""
WITH_NAME = 0.7
"""and where its name says so."""
MOST = 0.45
"""Share of the rarer value in a label, at most,"""
FEWEST = 3
"""and rows that have it, at least: one odd row shows nothing."""
_NAME = re.compile(
    r"(^|[_\W])(label|labels|target|class|y|outlier|anomaly|anomalous|abnormal|fraud|is_?fraud|"
    r"is_?anomaly|attack|defect|diagnosis)$",
    re.IGNORECASE,
)


def label_notes(
    rows: pa.RecordBatch | pa.Table,
    scores: NDArray[np.float64],
    advice: str = "Leave it out with --ignore {name}.",
) -> list[str]:
    """A sentence for each suspect among the columns of ``rows``, which have these ``scores``, and
    what to do about it."""
    found = []
    for name in rows.schema.names:
        column = rows.column(name)
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
            if isinstance(column, pa.ChunkedArray):
                continue
        plain = plain_column(column)
        if pa.types.is_nested(plain.type) or plain.null_count:
            continue
        codes = numpy_array(pc.dictionary_encode(plain).indices)
        if not len(codes) or codes.max() != 1:
            continue
        ones = codes == 1
        if ones.mean() > 0.5:
            ones = ~ones
        if ones.sum() < FEWEST or ones.mean() > MOST:
            continue
        area = _area(ones, scores)
        if area >= (WITH_NAME if _NAME.search(name) else SEPARATES):
            found.append(
                f"Column {name!r} may be a label left in: its rarer value goes with the scores "
                f"(AUROC {area:.2f}). " + advice.format(name=name)
            )
    return found


def _area(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Area under the ROC curve, ties counted half (Mann & Whitney 1947)."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[place]
    many = int(positive.sum())
    others = len(scores) - many
    return float((rank[positive].sum() - many * (many + 1) / 2) / max(1, many * others))
