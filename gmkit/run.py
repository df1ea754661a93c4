"""A run: load a trained model, draw from it, evaluate it. The Python side of the commands.

>>> import gmkit
>>> run = gmkit.load("runs/molecules-vae")
>>> table = run.sample(10)
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from gmkit.artifact import manifest as manifests
from gmkit.artifact.files import clear_litter, write_json_atomic
from gmkit.artifact.manifest import Manifest
from gmkit.artifact.tensors import load_tensors, tensor_shapes
from gmkit.codecs import Batch, Codec
from gmkit.config import RunConfig, read_toml
from gmkit.data.formats import CORE_FORMATS
from gmkit.data.sink import Sink
from gmkit.data.source import Source, open_source
from gmkit.design.archive import Archive
from gmkit.design.search import SearchConfig, search
from gmkit.drawing import DrawOptions, decoded, draw
from gmkit.errors import ConfigError
from gmkit.families import Family
from gmkit.interpolation import between
from gmkit.metrics.asked import asked_figures
from gmkit.metrics.evaluation import Evaluation, Figure, evaluate_samples
from gmkit.metrics.likelihood import model_figures
from gmkit.objectives.objective import Scorer
from gmkit.observer import Observer
from gmkit.plugins import registry
from gmkit.randomness import derive, generator
from gmkit.training.batches import in_order
from gmkit.training.dataset import Dataset, read_codec
from gmkit.training.placement import choose_device
from gmkit.training.pool import ConditionPool
from gmkit.training.resolve import resolve

if TYPE_CHECKING:
    from gmkit.domain import Domain
    from gmkit.objectives.change import Scaffold

SEEDS = 20_000
"""Given records that a search looks at, at most."""


def load(path: str | Path, *, verify: bool = True, device: str = "auto") -> Run:
    """A finished run. Every file's SHA-256 is checked unless ``verify`` is False.

    Raises ArtifactError naming the damaged file, PluginError when its domain or family is not
    installed.
    """
    folder = Path(path)
    clear_litter(folder)
    if verify:
        manifests.verify(folder)
    else:
        manifests.read_manifest(folder)
    resolved = resolve(read_toml(folder / "config.toml"), stored=True)
    codec = read_codec(folder, type(resolved.codec))
    family = resolved.family(codec.space, resolved.family_config, resolved.trunk_config)
    weights = folder / "model.safetensors"
    family.make_room(tensor_shapes(weights))
    expected = {k: (tuple(v.shape), v.dtype) for k, v in family.state_dict().items()}
    family.load_state_dict(load_tensors(weights, expected))
    family.to(choose_device(device)).eval()
    pool = ConditionPool.load(folder, codec)
    return Run(folder, resolved.config, resolved.domain, codec, family, pool=pool)


class Run:
    """A trained model with its codec and domain, in a folder."""

    def __init__(
        self,
        folder: Path,
        config: RunConfig,
        domain: Domain,
        codec: Codec,
        family: Family,
        dataset: Dataset | None = None,
        pool: ConditionPool | None = None,
    ) -> None:
        """``pool``: of a model with conditions, where those not asked for come from."""
        self.folder = folder
        self.config = config
        self.domain = domain
        self.codec = codec
        self.family = family
        self.evaluation: Evaluation | None = None
        """The latest evaluation in this process."""
        self._dataset = dataset
        self._pool = pool

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}, {self.config.domain} {self.config.model})"

    @property
    def manifest(self) -> Manifest:
        """Facts of the finished run: versions, seed, data, figures, hashes."""
        return manifests.read_manifest(self.folder)

    @property
    def device(self) -> torch.device:
        """Where the model lies."""
        return next(self.family.parameters()).device

    # ------------------------------------------------------------ drawing

    def sample(self, n: int, **options: Unpack[DrawOptions]) -> pa.Table:
        """``n`` new records. The same seed gives the same bytes; default: the run's seed.

        Options (``DrawOptions``): ``where``, what they shall be, of a model trained with
        conditions: ``"qed=0.9"`` or ``{"qed": 0.9}``; conditions not named are those of random
        training records. The table has them all as columns. ``prompt``: how the records begin;
        ``infill``: a record with gaps; both as the domain reads them. ``windows``: texts so many
        windows long. ``best_of``: how many to draw for each, to keep the one nearest to ``where``
        where the domain can measure that. ``seed``; ``temperature``;
        ``settings``: options of the model that may be changed for a drawing, ``["steps=20"]``;
        ``observer``: is told what happens. Raises ConfigError for what cannot be asked for.
        """
        return pa.Table.from_batches(self.sample_batches(n, **options))

    def sample_batches(self, n: int, **options: Unpack[DrawOptions]) -> Iterator[pa.RecordBatch]:
        """``n`` new records in batches (``drawing.chunk_of``), drawn as they are asked for."""
        measures = self.domain.measures()
        return draw(
            self.family, self.codec, self._pool, self.config, n, measures=measures, **options
        )

    def shown(self, n: int) -> pa.RecordBatch:
        """The first of the samples kept in the run's folder."""
        table = pq.read_table(self.folder / "samples.parquet", page_checksum_verification=True)
        return table.slice(0, n).combine_chunks().to_batches()[0]

    def write_samples(self, path: str | Path, n: int, **options: Unpack[DrawOptions]) -> int:
        """Draw ``n`` records into a file, whose ending decides the format; returns how many were
        written, which is fewer where the format cannot hold a record (a string that is no
        molecule has no place in an .sdf). Memory is flat in ``n``. Options as ``sample``'s.
        Raises DataError."""
        formats = {**CORE_FORMATS, **self.domain.formats()}
        Sink(Path(path), pa.schema([]), formats)  # a place that cannot be: told before drawing
        observer = options.get("observer")
        batches = self.sample_batches(n, **options)
        first = next(batches)
        drawn = 0
        with Sink(Path(path), first.schema, formats) as sink:
            for batch in itertools.chain([first], batches):
                sink.write(batch)
                drawn += len(batch)
                if observer is not None:
                    observer.advance(drawn, n)
        return drawn - sink.skipped

    def reconstruct(self, records: Any, *, seed: int = 0) -> pa.Table:
        """Records through the latent and back, without noise."""
        rng = generator(seed, "reconstruct", device=self.device)
        parts = [
            decoded(self.codec, {**batch, **self.family.reconstruct(batch, rng)})
            for batch in self._batches(records)
        ]
        return pa.Table.from_batches(parts)

    def records(self, data: Any) -> pa.Table:
        """Records of any kind that ``train`` takes, as the codec reads them."""
        return pa.Table.from_batches(list(self._source(data).batches()))

    def rewritten(self, records: Any) -> pa.Table:
        """Records as the codec writes them: what ``reconstruct`` would give if nothing were
        lost."""
        return pa.Table.from_batches(
            [decoded(self.codec, batch) for batch in self._encoded(records)]
        )

    def interpolate(self, first: Any, last: Any, steps: int = 8) -> pa.Table:
        """``steps`` records on the way from one to the other through the latent, the most likely
        ones there; the ends come back as the model reconstructs them.

        ``first``, ``last``: a record of the domain's main column, or a path, of which the first
        record counts. Raises ConfigError where the model has no latent.
        """
        one, two = self._first(first), self._first(last)
        both = {name: torch.cat([one[name], two[name]]) for name in one}
        [ends] = in_order(both, self.family.space, 2, self.device)
        rng = generator(0, "interpolate", device=self.device)
        found = between(self.family, ends, steps, rng)
        return pa.Table.from_batches([decoded(self.codec, found)])

    def encode(self, records: Any) -> torch.Tensor:
        """Latents (N, D)."""
        return torch.cat([self.family.encode(b).cpu() for b in self._batches(records)])

    def log_prob(self, records: Any, *, samples: int = 1, seed: int = 0) -> torch.Tensor:
        """A lower bound of log p in nats for each record, (N,); tighter with more samples."""
        rng = generator(seed, "log_prob", device=self.device)
        parts = [-self.family.log_prob(b, rng, samples).total.cpu() for b in self._batches(records)]
        return torch.cat(parts)

    def design(
        self,
        archive: Archive,
        objective: Scorer,
        *,
        penalties: Scorer | None = None,
        seeds: Any = None,
        scaffold: Scaffold | None = None,
        config: SearchConfig | None = None,
    ) -> Iterator[int]:
        """Search for records that ``objective`` likes, into ``archive``; yields the number of calls
        made after each round.

        ``penalties``: factors on the score. ``seeds``: records to begin with; default: those the
        model was trained on. ``scaffold``: what every record must hold. The run itself stays as
        it is: a copy of its model learns. Raises ConfigError for a model with conditions or records
        without a main column.
        """
        if self.codec.conditions.names or not self.domain.column:
            raise ConfigError(
                f"{self} cannot design: its records have conditions, or no main column",
                hint="Train one without --condition; its properties are found by the search.",
            )
        config = config or SearchConfig()
        given = self.dataset().table("train") if seeds is None else self.records(seeds)
        given = _some(given.select([self.domain.column]), SEEDS, config.seed)
        return search(
            copy.deepcopy(self.family),
            self.codec,
            archive,
            objective,
            penalties,
            given.combine_chunks().to_batches()[0],
            config,
            self.domain,
            scaffold,
        )

    # ------------------------------------------------------------ judging

    def evaluate(
        self,
        n: int = 1000,
        *,
        seed: int | None = None,
        quick: bool = False,
        save: bool = True,
        data: Any = None,
        observer: Observer | None = None,
    ) -> Evaluation:
        """The domain's metrics on ``n`` samples, each beside its floor; and, unless ``quick``,
        the model's own bound and reconstruction on held-out records.

        ``save``: write ``evaluation.json`` into the run. ``data``: where the training data lies
        now, if it moved. Raises DataError when it is not the data of the run.
        """
        watcher = observer or Observer()
        dataset = self.dataset(data, watcher)
        watcher.stage(f"Drawing {n:,} samples")
        synthetic = self.sample(n, seed=seed)
        real, holdout = dataset.table("train"), dataset.table("test")
        watcher.stage("Measuring")
        tables = {
            "real": real,
            "synthetic": synthetic,
            "holdout": holdout,
            "floor": _some(real, n, derive(self.config.seed, "floor")),
        }
        result = evaluate_samples(registry(), self.config.domain, tables, watcher, quick=quick)
        result.figures.update(self._asked(synthetic))
        if not quick:
            batches = in_order(dataset.part("test"), self.family.space, 256, self.device)
            held_out = holdout.combine_chunks().to_batches()
            measure = self.domain.measure(held_out[0]) if held_out else None
            result.figures.update(model_figures(self.family, batches, self.config.seed, measure))
        self.evaluation = result
        if save:
            write_json_atomic(self.folder / "evaluation.json", result.to_json())
            manifests.update(self.folder, metrics=result.values())
        return result

    def _asked(self, samples: pa.Table) -> dict[str, Figure]:
        """How close samples come to their conditions, of those that the domain measures."""
        names, measures = self.codec.conditions.names, self.domain.measures()
        if not set(names) & set(measures):
            return {}
        batch = samples.combine_chunks().to_batches()[0]
        proper = batch.filter(self.domain.validate(batch))
        return asked_figures(proper, names, measures, derive(self.config.seed, "asked"))

    def dataset(self, data: Any = None, observer: Observer | None = None) -> Dataset:
        """The records this run was trained on, with the same split."""
        if self._dataset is None:
            from gmkit.training.session import reopen

            self._dataset = reopen(
                self.folder, self.config, self.domain, data, observer or Observer()
            )
        return self._dataset

    def _first(self, data: Any) -> Batch:
        """The first record of a file, or the one given, as a batch of one."""
        if isinstance(data, str) and not Path(data).exists():
            data = [data]
        batch = next(self._encoded(data))
        return {name: value[:1] for name, value in batch.items()}

    def _batches(self, records: Any) -> list[Batch]:
        """Records of any kind that ``train`` takes → batches on the model's device."""
        return [
            part
            for batch in self._encoded(records)
            for part in in_order(batch, self.family.space, 256, self.device)
        ]

    def _encoded(self, records: Any) -> Iterator[Batch]:
        """Their tensors, part by part."""
        return (self.codec.encode(batch) for batch in self._source(records).batches())

    def _source(self, records: Any) -> Source:
        return open_source(
            records, domain=self.domain, registry=registry(), column=self.config.data.column
        )


def _some(table: pa.Table, n: int, seed: int) -> pa.Table:
    """``n`` random rows (all, if there are fewer), in random order."""
    rng = torch.Generator().manual_seed(seed)
    rows = torch.randperm(table.num_rows, generator=rng)[:n]
    return table.take(pa.array(rows.numpy()))
