"""What judges long tables: a law in closed form, learned and used without torch.

Loading torch takes as long as judging a million records, and as much memory as all the rest. So
where nobody chose anything and the table is long, this stands in for a trained run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmkit.codecs.tables import TableCodec
from gmkit.codecs.tables.numbers import plain_column
from gmkit.domain import installed_domain
from gmkit.memory import give_back
from gmkit.observer import Observer
from gmkit.seeds import derive
from gmkit_anomaly.encoded import Encoded, Scores, encoded
from gmkit_anomaly.plan import Plan
from gmkit_anomaly.quick_law import Law
from gmkit_anomaly.quick_scale import QuickScale
from gmkit_anomaly.ranges import Ranges
from gmkit_anomaly.reasons import Reason, reasons_of, strongest

if TYPE_CHECKING:
    from gmkit.codecs import Batch

TRIM = 0.1
"""Share of contaminated records that the law is not learned from, the oddest."""
HELD, MOST_HELD = 0.25, 10_000
"""Records that scores are compared with: a share, and at most so many."""


class Quick:
    """As ``Learned``, of a table of plain columns."""

    domain = "anomaly"

    def __init__(self, rows: pa.Table, plan: Plan, observer: Observer) -> None:
        """Learn. Raises GmkitError's subclasses."""
        observer.stage("Learning")
        self.rows = rows.num_rows
        self.contaminated = plan.contaminated
        codec = installed_domain(plan.domain).codec({})
        assert isinstance(codec, TableCodec)
        self.codec = codec.fit(rows.to_batches())
        plain = [plain_column(column.combine_chunks()) for column in rows.columns]
        records = pa.RecordBatch.from_arrays(plain, names=rows.column_names)
        self._owners = {
            field: name
            for name, column in codec.columns.items()
            for field in column.encode(records.column(name))
        }
        arrays = codec.arrays(records)
        order = np.random.default_rng(derive(plan.seed, "quick")).permutation(self.rows)
        held, known = np.split(order, [min(MOST_HELD, int(HELD * self.rows))])
        trim = TRIM if plan.contaminated else 0.0
        owners = self._owners or dict.fromkeys(arrays, "")
        self._law = Law({n: values[known] for n, values in arrays.items()}, owners, trim=trim)
        others = {n: values[held] for n, values in arrays.items()}
        self._scale = QuickScale(self._law.totals(others))
        self._usual = {n: float(nats.mean()) for n, nats in self._law.nats(others).items()}
        give_back()

    kept: None = None
    """No record stays."""

    def close(self) -> None:
        """Nothing is kept anywhere."""

    @property
    def known(self) -> NDArray[np.float64]:
        """Scores of held-out records, ascending."""
        return self._scale.scores

    @property
    def among(self) -> NDArray[np.float64]:
        """Scores of which a share is flagged, ascending."""
        return self._scale.scores

    @property
    def far_out(self) -> float:
        """Share of held-out records that are far out."""
        return self._scale.far_out

    def owners(self) -> dict[str, str]:
        """Field → the column that it tells of."""
        return self._owners

    def encode(self, records: pa.RecordBatch, first_row: int = 0, name: str = "") -> Encoded:
        """Raises DataError for a table that does not fit, counted from ``first_row``."""

        def arrays(some: pa.RecordBatch) -> Batch:
            found: Any = self.codec.arrays(some)  # arrays, where others have tensors
            return found  # type: ignore[no-any-return]

        return encoded(self.codec, arrays, records, first_row, name)

    def scores(self, some: Encoded, *, columns: bool) -> Scores:
        """Of encoded records."""
        arrays: Any = some.batch
        if not some.rows:
            return Scores(np.empty(0), np.empty(0), {})
        score, p_value = self._scale.judged(self._law.totals(arrays))
        found: dict[str, NDArray[np.float64]] = {}
        for field, nats in self._law.nats(arrays).items() if columns else ():
            name, more = self._owners.get(field, ""), nats - self._usual[field]
            found[name] = np.maximum(found[name], more) if name in found else more
        return Scores(score, p_value, found)

    def reasons(self, records: pa.RecordBatch) -> list[list[Reason]]:
        """For each of some records, as the codec reads them."""
        some = self.encode(records)
        named = strongest(self.scores(some, columns=True).columns)
        arrays: Any = some.batch
        mean, deviation = self._law.expected(arrays)
        places: dict[str, list[int]] = {}
        codes = np.zeros(mean.shape[1], np.int64)
        for part in self._law.parts:
            places[part.field] = list(range(part.first, part.first + part.width))
            if part.codes is not None:
                codes[part.rows] = part.codes
        found = Ranges(self.codec.columns, places, codes, mean, deviation)
        return reasons_of(records, named, found)
