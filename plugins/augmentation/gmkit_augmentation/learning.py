"""From a table to a model of it: a fair sample of the rows, a run, and what was held out."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from gmkit.codecs.tables import TableCodec
from gmkit.config import merge
from gmkit.errors import DataError, TrainingError, did_you_mean
from gmkit.observer import Observer
from gmkit.temporary import Temporary
from gmkit_augmentation.domain import ONE_PASS

if TYPE_CHECKING:
    import gmkit

MODEL = "trees"
ROWS = 100_000
"""Rows that a model is learned from; of a larger table so many at random."""
HELD_OUT = 2000
"""Rows that are not learned from, at most."""
FEW = 200
"""Of fewer rows none is spared."""


PRIVATE_MODEL = "vae"
"""Trained by gradients, to which noise can be added."""
_PRIVATE: dict[str, Any] = {
    "training": {"steps": 600, "batch_size": 256, "ema": 0.99, "learning_rate": 3e-3},
    "trunk": {"width": 64, "depth": 1},
    "data": {"valid": 0.0},
    "codec": {"text": "drop", "bins": 32},
}
"""What suits private training: few steps of a small network, and no text of the data's."""


@dataclass(frozen=True)
class Plan:
    """How a table is learned."""

    model: str = MODEL
    rare_model: str = ""
    """Of rare rows that are asked for; the same, where it is not said."""
    target: str = ""
    """The column that matters: it comes first, so that all others follow it."""
    first: tuple[str, ...] = ()
    """Columns that values will be asked for."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """Column → kind, where it is not to be inferred."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    time_budget: float | None = None
    rows: int = ROWS
    epsilon: float | None = None
    """Of differentially private training; None: no such."""


class Learned(Temporary):
    """A model of a table. Its run lies in a temporary folder until ``close``, or in ``keep``; no
    copy of the rows stays anywhere."""

    def __init__(self, rows: pa.Table, plan: Plan, observer: Observer, keep: Path | None = None):
        """Train. Raises GmkitError's subclasses."""
        import gmkit

        self.rows = rows
        """What was learned from."""
        self.plan = plan
        self._temporary = None if keep else Path(tempfile.mkdtemp(prefix="gmkit-augment-"))
        folder = keep or (self._temporary or Path()) / "run"
        try:
            self.run: gmkit.Run = gmkit.train(
                domain="augmentation",
                model=plan.model,
                data=rows,
                out=folder,
                settings=_settings(plan, inferred(rows, plan)),
                seed=plan.seed,
                time_budget=plan.time_budget,
                observer=observer,
            )
            self._check_begun()
        except BaseException:
            self.close()
            raise

    def _check_begun(self) -> None:
        """Raise TrainingError where the time was over before anything was learned."""
        told = (self.run.manifest.model_extra or {}).get("steps")
        if told == 0 and self.plan.time_budget is not None:
            raise TrainingError(
                f"the time budget of {self.plan.time_budget:g} s was used up before "
                f"{self.plan.model} learned anything, so there are no rows to write",
                hint=f"Give more time, or take --model {MODEL}, which takes seconds.",
            )

    @property
    def compared(self) -> pa.Table:
        """Rows that new ones are held against; of private training none, for that would tell."""
        return self.rows.slice(0, 0) if self.plan.epsilon is not None else self.rows

    @property
    def guarantee(self) -> dict[str, float] | None:
        """What the accountant of private training says."""
        found: dict[str, float] | None = (self.run.manifest.model_extra or {}).get("privacy")
        return found

    @property
    def codec(self) -> TableCodec:
        """The run's."""
        assert isinstance(self.run.codec, TableCodec)
        return self.run.codec


def inferred(rows: pa.Table, plan: Plan) -> TableCodec:
    """What the columns are taken for. Raises DataError for a column that cannot be learned,
    ConfigError for a kind that a column cannot be."""
    numbers = "real" if plan.model in ONE_PASS else "bins"
    config: dict[str, Any] = {"numbers": numbers, "columns": dict(plan.kinds)}
    codec = TableCodec(config).fit(rows.to_batches())
    codec.describe()
    return codec


def _settings(plan: Plan, codec: TableCodec) -> dict[str, Any]:
    """Options of the run."""
    rows = codec.rows
    settings: dict[str, Any] = {"data": {"test": held_out(rows), "cache": False}}
    if plan.epsilon is not None:
        private = {"training": {"dp_epsilon": plan.epsilon}}
        settings = merge(settings, _PRIVATE, private)
    if plan.kinds:
        settings = merge(settings, {"codec": {"columns": dict(plan.kinds)}})
    if plan.model == MODEL:
        names = dict.fromkeys([*plan.first, *([plan.target] if plan.target else [])])
        fields = [field for name in names for field in codec.columns[name].fields()]
        settings["family"] = {"first": fields}
    return merge(settings, plan.settings)


def held_out(rows: int) -> float:
    """The share of the rows that figures are measured with: a tenth, of many rows less."""
    return 0.0 if rows < FEW else min(0.1, HELD_OUT / rows)


def check_column(name: str, schema: pa.Schema, option: str) -> None:
    """Raise DataError where an option names a column that is not there."""
    if name and name not in schema.names:
        raise DataError(
            f"{option} names a column that the table does not have",
            column=name,
            hint=did_you_mean(name, schema.names),
        )
