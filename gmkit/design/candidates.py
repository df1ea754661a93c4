"""From proposals to what could be scored: proper, new, on the scaffold, and what each is worth."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gmkit.codecs import Codec
from gmkit.design.archive import Archive
from gmkit.design.surrogate import Surrogate, likeness
from gmkit.design.ways import PARENT, WAY
from gmkit.domain import Domain
from gmkit.objectives.change import Scaffold
from gmkit.objectives.objective import Scorer

__all__ = ["Candidates", "Sieve", "joined"]

Floats = NDArray[np.float64]
Bits = NDArray[np.bool_]
CROWD, CROWDED = 100, 0.45
"""Of so many best records, the mean likeness from which a proposal counts as more of the same."""


@dataclass(frozen=True)
class Candidates:
    """Proper records that were not scored yet, n of them."""

    records: pa.RecordBatch
    """As prepared."""
    ways: list[str]
    """How each was proposed."""
    features: Bits | None
    """(n, d), what a guess rests on."""
    penalty: Floats
    """(n,) in [0, 1]."""
    worth: Floats
    """(n,), by which they are chosen; zeros without a guess."""

    def __len__(self) -> int:
        return len(self.records)

    def take(self, rows: NDArray[np.int64]) -> Candidates:
        """Some rows."""
        return Candidates(
            self.records.take(pa.array(rows, pa.int64())),
            [self.ways[row] for row in rows],
            None if self.features is None else self.features[rows],
            self.penalty[rows],
            self.worth[rows],
        )

    def best(self, n: int) -> Candidates:
        """The ``n`` of most worth, of equals the earlier."""
        return self.take(np.argsort(-self.worth, kind="stable")[:n])

    def valued(self, guess: Surrogate, caution: float, best: Bits) -> Candidates:
        """With the guess plus ``caution`` deviations, times the penalty, as their worth; less for
        what is more of the same as the ``best`` (m, d)."""
        if not len(self) or self.features is None:
            return self
        mean, spread = guess.predict(self.features)
        crowd = likeness(self.features, best).mean(1) - CROWDED
        worth = (mean + caution * spread) * self.penalty * np.exp(-4.0 * np.maximum(crowd, 0.0))
        return replace(self, worth=np.asarray(worth, np.float64))


def joined(first: Candidates, second: Candidates, column: str) -> Candidates:
    """Both, each record once."""
    known = set(first.records.column(column).to_pylist())
    texts = second.records.column(column).to_pylist()
    second = second.take(np.flatnonzero([text not in known for text in texts]))
    features = None
    if first.features is not None and second.features is not None:
        features = np.concatenate([first.features, second.features])
    both = pa.Table.from_batches([first.records, second.records]).combine_chunks()
    return Candidates(
        both.to_batches()[0] if len(both) else first.records,
        first.ways + second.ways,
        features,
        np.concatenate([first.penalty, second.penalty]),
        np.concatenate([first.worth, second.worth]),
    )


class Sieve:
    """Makes candidates of proposals."""

    def __init__(
        self,
        codec: Codec,
        archive: Archive,
        domain: Domain,
        penalties: Scorer | None,
        scaffold: Scaffold | None,
        choice: np.random.Generator,
    ) -> None:
        self._codec, self._archive, self._domain = codec, archive, domain
        self._penalties, self._scaffold, self._choice = penalties, scaffold, choice

    def __call__(
        self, proposed: pa.RecordBatch, parents: pa.RecordBatch, made: Counter[str]
    ) -> Candidates:
        """The proper ones of ``proposed`` in their one form, new ones only; ``made`` counts what
        was proposed by each way."""
        made.update(proposed.column(WAY).to_pylist())
        usable = self._codec.prepare(proposed).records
        if self._scaffold is not None and len(usable):
            usable = self._scaffolded(usable, parents, self._scaffold)
        new = self._archive.unknown(usable)
        ways = new.column(WAY).to_pylist()
        records = new.drop_columns([WAY, PARENT])
        penalty = np.ones(len(records))
        if self._penalties is not None and len(records):
            penalty = self._penalties(records).score
        features = self._domain.features(records) if len(records) else None
        return Candidates(records, ways, features, penalty, np.zeros(len(records)))

    def _scaffolded(
        self, usable: pa.RecordBatch, parents: pa.RecordBatch, scaffold: Scaffold
    ) -> pa.RecordBatch:
        """Those that hold the scaffold; of the others, the parents filled with parts of them."""
        column = self._archive.column
        held = scaffold.holds(usable)
        rest = usable.take(pa.array(np.flatnonzero(~held), pa.int64()))
        kept = usable.take(pa.array(np.flatnonzero(held), pa.int64()))
        if not len(rest):
            return kept
        origin = parents.select([column]).take(rest.column(PARENT))
        texts = scaffold.fill(origin, rest.select([column]), self._choice)
        columns = {
            column: pa.array(texts, pa.string()),
            WAY: rest.column(WAY),
            PARENT: rest.column(PARENT),
        }
        filled = self._codec.prepare(pa.RecordBatch.from_pydict(columns)).records
        filled = filled.take(pa.array(np.flatnonzero(scaffold.holds(filled)), pa.int64()))
        both = pa.Table.from_batches([kept, filled.select(kept.schema.names)])
        return both.combine_chunks().to_batches()[0] if len(both) else kept
