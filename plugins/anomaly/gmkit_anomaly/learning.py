"""From data to something that judges records: a trained run, and how its scores are read."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from gmkit.codecs import Codec
from gmkit.codecs.tables import TableCodec
from gmkit.config import merge
from gmkit.errors import DataError
from gmkit.observer import Observer
from gmkit_anomaly.detector import Detector

if TYPE_CHECKING:
    import gmkit

MODEL = "detector"
ROWS = 100_000
"""Records learned from; of more so many at random."""


@dataclass(frozen=True)
class Plan:
    """How what is usual is learned."""

    domain: str = "anomaly"
    model: str = MODEL
    scorers: tuple[str, ...] = ()
    """Which to use; none: those that win."""
    contaminated: bool = True
    seed: int = 0
    time_budget: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    rows: int = ROWS


@dataclass(frozen=True)
class Scores:
    """What is said of N records."""

    score: NDArray[np.float64]
    p_value: NDArray[np.float64]
    columns: dict[str, NDArray[np.float64]]
    """Column → (N,) nats by which its value is less likely than usual."""


class Learned:
    """A run that judges. Its folder is temporary, or ``keep``, or one that was there before."""

    def __init__(self, run: gmkit.Run, temporary: Path | None = None) -> None:
        self.run = run
        self._temporary = temporary

    @property
    def codec(self) -> Codec:
        """The run's."""
        return self.run.codec

    @property
    def detector(self) -> Detector:
        """The run's family."""
        assert isinstance(self.run.family, Detector)
        return self.run.family

    @property
    def known(self) -> NDArray[np.float64]:
        """Scores of held-out records, ascending."""
        return np.asarray(self.detector.known.double())

    def owners(self) -> dict[str, str]:
        """Field → the column that it tells of."""
        if not isinstance(self.codec, TableCodec):
            return {name: name for name in self.detector.space.names}
        columns = self.codec.columns
        return {part: name for name, column in columns.items() for part in column.fields()}

    def scores(self, records: pa.RecordBatch) -> Scores:
        """Of records as the codec reads them. Raises DataError for those it cannot."""
        with torch.no_grad():
            batch = self.detector.space.pick(self.codec.encode(records), slice(None), "cpu")
            judged = self.detector.judge(batch)
            p_values = self.detector.p_values(judged)
        columns: dict[str, NDArray[np.float64]] = {}
        owners = self.owners()
        for name, value in judged.fields.items():
            column, found = owners[name], np.asarray(value.double())
            columns[column] = np.maximum(columns[column], found) if column in columns else found
        return Scores(np.asarray(judged.score), np.asarray(p_values), columns)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove what is temporary."""
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)


def learned_from(
    rows: pa.Table, plan: Plan, observer: Observer, keep: Path | None = None
) -> Learned:
    """Train. Raises GmkitError's subclasses."""
    import gmkit

    if rows.num_rows < 2:
        raise DataError(
            f"{rows.num_rows} row(s) to learn from: what is usual cannot be told from so few",
            hint="Give more rows, or known-normal ones with --train.",
        )
    temporary = None if keep else Path(tempfile.mkdtemp(prefix="gmkit-anomaly-"))
    try:
        run = gmkit.train(
            domain=plan.domain,
            model=plan.model,
            data=rows,
            out=keep or (temporary or Path()) / "run",
            settings=_settings(plan),
            seed=plan.seed,
            time_budget=plan.time_budget,
            observer=observer,
        )
    except BaseException:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        raise
    return Learned(run, temporary)


def _settings(plan: Plan) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if plan.model == MODEL:
        settings["family"] = {
            "contaminated": plan.contaminated,
            "members": list(plan.scorers),
        }
    return merge(settings, plan.settings)
