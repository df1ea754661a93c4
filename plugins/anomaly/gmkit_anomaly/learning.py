"""From data to something that judges records: a trained run, and how its scores are read."""

from __future__ import annotations

import csv
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from gmkit.codecs import Batch, Codec
from gmkit.codecs.tables import TableCodec
from gmkit.config import merge
from gmkit.data.rejects import REJECTS
from gmkit.data.sink import write_table
from gmkit.domain import installed_domain
from gmkit.errors import DataError, Interrupted
from gmkit.memory import give_back
from gmkit.observer import Observer, Progress
from gmkit.temporary import Temporary
from gmkit_anomaly.detector import Detector
from gmkit_anomaly.encoded import Encoded, Scores, encoded
from gmkit_anomaly.expectations import expectations
from gmkit_anomaly.judging import Judging, judging
from gmkit_anomaly.plan import LEAST, MODEL, Plan
from gmkit_anomaly.reasons import Reason, reasons_of, strongest, valued

if TYPE_CHECKING:
    import gmkit


class Learned(Temporary):
    """A run that judges. Its folder is temporary, or stays."""

    def __init__(self, run: gmkit.Run, judge: Judging, temporary: Path | None = None) -> None:
        self.run = run
        self._judge = judge
        self._temporary = temporary
        self.rows = run.manifest.data.rows
        """Learned from."""

    @property
    def codec(self) -> Codec:
        """The run's."""
        return self.run.codec

    @property
    def domain(self) -> str:
        """Its name."""
        return self.run.config.domain

    @property
    def kept(self) -> Batch | None:
        """Some of the records that it learned from; None where no family keeps any."""
        family = self.run.family
        return family.kept() if isinstance(family, Detector) else None

    @property
    def contaminated(self) -> bool:
        """Whether some of what it learned from was taken to be abnormal."""
        return bool(self.run.config.family.get("contaminated", False))

    @property
    def known(self) -> NDArray[np.float64]:
        """Scores of held-out records, ascending."""
        return np.asarray(self._judge.known.double())

    @property
    def among(self) -> NDArray[np.float64]:
        """Scores of which a share is flagged, ascending."""
        return np.asarray(self._judge.among.double())

    @property
    def far_out(self) -> float:
        """Share of held-out records that are far out."""
        return self._judge.far_out

    def owners(self) -> dict[str, str]:
        """Field → the column that it tells of."""
        if not isinstance(self.codec, TableCodec):
            main = self.run.domain.column
            own = {name: main or name for name in self.run.family.space.names}
            own |= {name: name for name in self.codec.conditions.names}
            if not isinstance(self._judge, Detector):
                return own
            sums = self._judge.sums
            own |= {name: f"{own[of]}.{name.rpartition('.')[2]}" for name, of in sums.items()}
            return {name: own[name] for name in self._judge.judged.fields}
        columns = self.codec.columns
        return {part: name for name, column in columns.items() for part in column.fields()}

    def encode(self, records: pa.RecordBatch, first_row: int = 0, name: str = "") -> Encoded:
        """Raises DataError for a table that does not fit, counted from ``first_row``."""

        def tensors(some: pa.RecordBatch) -> Batch:
            fields, given = self._judge.read, self.codec.conditions
            if set(fields.names) <= set(given.names):  # what they are computed of is not read
                return fields.pick(given.encode(some), slice(None), "cpu")
            return fields.pick(self.codec.encode(some), slice(None), "cpu")

        return encoded(self.codec, tensors, records, first_row, name)

    def scores(self, some: Encoded, *, columns: bool) -> Scores:
        """Of encoded records; NaN of those that have no piece. A record of k pieces is as unusual
        as its most unusual one, with a p-value k times as large (Bonferroni)."""
        if not len(some.owner):
            nothing = np.full(some.rows, np.nan)
            return self._with_unseen(some, Scores(nothing, nothing.copy(), {}))
        with torch.no_grad():
            judged = self._judge.judge(some.batch, fields=columns)
            p_values = np.asarray(self._judge.p_values(judged))
        found: dict[str, NDArray[np.float64]] = {}
        if columns:
            owners = self.owners()
            for name, value in judged.fields.items():
                if name not in owners:  # such as what a likelihood owes to a latent
                    continue
                column, nats = owners[name], some.highest(np.asarray(value.double()), 0.0)
                found[column] = np.maximum(found[column], nats) if column in found else nats
        score = some.highest(np.asarray(judged.score.double()))
        if not some.whole:
            many = np.maximum(some.counts, 1)
            score = score - np.log(many)
            p_values = np.minimum(-some.highest(-p_values) * many, 1.0)
        return self._with_unseen(some, Scores(score, p_values, found))

    def _with_unseen(self, some: Encoded, found: Scores) -> Scores:
        """What was never learned counts as ten times as unlikely as the oddest held-out record."""
        rows = list(some.unseen)
        if rows:
            known = self.known
            found.score[rows] = (float(known[-1]) if len(known) else 0.0) + np.log(10)
            found.p_value[rows] = 0.1 / (len(known) + 1)
        return found

    def reasons(self, records: pa.RecordBatch) -> list[list[Reason]]:
        """For each of some records, as the codec reads them."""
        some = self.encode(records)
        found = self.scores(some, columns=True).columns
        reasons: list[list[Reason]] = [[] for _ in range(len(records))]
        if found:
            batch = some.first
            for name, values in self.codec.conditions.decode(batch).items():
                if name not in records.schema.names:  # computed
                    records = records.append_column(name, values)
            # what many elements amount to says more than that they are unusual in all
            main = self.run.domain.column
            why = strongest({name: nats for name, nats in found.items() if name != main} or found)
            named = [[name for name, _ in row] for row in why]
            rest = expectations(self.run.family, self.codec, batch, self.owners(), named)
            reasons = reasons_of(records, why, rest)
        for row, unseen in some.unseen.items():
            value = valued(records, row, unseen.column)
            reasons[row] = [Reason(unseen.column, value, "", 0.0, unseen.reason)]
        return reasons


def learned_from(
    rows: pa.Table, plan: Plan, observer: Observer, keep: Path | None = None
) -> Learned:
    """Train. Raises GmkitError's subclasses."""
    import gmkit

    if rows.num_rows < LEAST:
        raise DataError(
            f"{rows.num_rows} record(s) to learn from: what is usual cannot be told from so few",
            hint="Give more of them, or known-normal ones with --train.",
        )
    give_back()  # what reading needed
    temporary = None if keep else Path(tempfile.mkdtemp(prefix="gmkit-anomaly-"))
    try:
        run = gmkit.train(
            domain=plan.domain,
            model=plan.model,
            data=rows if keep is None or plan.model == MODEL else _beside(keep, rows, observer),
            out=keep or (temporary or Path()) / "run",
            settings=_settings(plan),
            seed=plan.seed,
            time_budget=plan.time_budget,
            strict=plan.strict or None,
            look=keep is not None,
            observer=observer if keep else _Passing(observer),
        )
        give_back()
        if keep is None and not plan.contaminated:
            _tell_rejects(run.folder / REJECTS, observer)
        return Learned(run, judging(run, plan.scorers, observer), temporary)
    except BaseException as error:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
            if isinstance(error, Interrupted):  # nothing stays that could be gone on with
                raise Interrupted("stopped while learning", signal=error.exit_code - 128) from error
        raise


class _Passing(Observer):
    """Hears of a run that will not stay: where its reject file lies is of no use."""

    def __init__(self, heard: Observer) -> None:
        self._heard = heard

    def stage(self, text: str) -> None:
        """As it is."""
        self._heard.stage(text)

    def advance(self, done: int, total: int | None) -> None:
        """As it is."""
        self._heard.advance(done, total)

    def progress(self, progress: Progress) -> None:
        """As it is."""
        self._heard.progress(progress)

    def note(self, text: str) -> None:
        """But for the reject file's."""
        if not text.endswith(REJECTS):
            self._heard.note(text)

    def close(self) -> None:
        """As it is."""
        self._heard.close()


def _tell_rejects(place: Path, observer: Observer) -> None:
    """How many of the records to learn from were of no use."""
    if not place.exists():
        return
    with place.open(encoding="utf-8", newline="") as file:
        rejects = list(csv.DictReader(file))
    first = rejects[0]
    observer.note(
        f"{len(rejects):,} records could not be learned from, the first in row {first['row']}: "
        f"{first['reason']}. They were left out."
    )


def _beside(keep: Path, rows: pa.Table, observer: Observer) -> str:
    """The records as a file that stays with a kept run: what other families say is calibrated by
    them again whenever the run is used."""
    place = keep.with_name(f"{keep.name}.data.parquet").absolute()
    write_table(place, rows, {})
    observer.note(f"Kept beside the run, which needs it to judge: {place.name}.")
    return str(place)


def reopened(folder: Path, plan: Plan, observer: Observer) -> Learned:
    """A finished run. Raises ArtifactError for a damaged one."""
    import gmkit

    run = gmkit.load(folder)
    return Learned(run, judging(run, plan.scorers, observer))


def _settings(plan: Plan) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if plan.model == MODEL:
        settings["family"] = {"contaminated": plan.contaminated, "members": list(plan.scorers)}
        settings["data"] = {"test": 0.0}  # what scores are compared with, it holds out itself
        telling = installed_domain(plan.domain).telling
        if telling and "condition" not in plan.settings.get("codec", {}):
            settings["codec"] = {"condition": list(telling)}
            settings["family"]["by"] = list(telling)
    return merge(settings, plan.settings)
