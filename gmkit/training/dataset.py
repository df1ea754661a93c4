"""From a source to tensors: prepare, fit the codec, encode, split; cached by data fingerprint."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from gmkit.artifact.files import read_json, write_json_atomic
from gmkit.artifact.tensors import load_tensors, save_tensors
from gmkit.codecs import Batch, Codec, CodecState, Prepared
from gmkit.config import DataConfig
from gmkit.data.cache import new_prepared, prepared_cache
from gmkit.data.rejects import REJECTS, RejectFile
from gmkit.data.source import Source
from gmkit.data.splits import split
from gmkit.domain import Domain
from gmkit.engines.local import SMALL_ROWS, default_workers, map_batches
from gmkit.errors import ConfigError, DataError
from gmkit.observer import Observer
from gmkit.randomness import derive

PARTS = ("train", "valid", "test")
BATCH_ROWS = 2048
CACHE_FORMAT = 3
"""Raised when what lies in a cache entry changes its meaning."""


@dataclass
class Dataset:
    """Usable records, their tensors and the part each belongs to."""

    name: str
    fingerprint: str
    records: pa.Table
    encoded: Batch
    """Compact tensors by field name, (N, …)."""
    parts: np.ndarray
    """(N,) index into ``PARTS``."""
    rejects: bytes | None
    """The file of unusable records; None when there were none."""
    rejected: int

    def part(self, name: str) -> Batch:
        """Tensors of one part."""
        rows = torch.from_numpy(np.flatnonzero(self.parts == PARTS.index(name)))
        return {field: value[rows] for field, value in self.encoded.items()}

    def table(self, name: str) -> pa.Table:
        """Records of one part."""
        return self.records.filter(pa.array(self.parts == PARTS.index(name)))


def build_dataset(
    source: Source,
    domain: Domain,
    codec: Codec,
    config: DataConfig,
    seed: int,
    observer: Observer,
) -> tuple[Dataset, Codec]:
    """Records and tensors of ``source``, and the codec fitted on them (from the cache if it was
    fitted before). Raises DataError when nothing usable is left, or, when strict, at the first
    unusable record; ConfigError for variants of what is written in one way only."""
    if config.variants > 1 and not codec.varies:
        raise ConfigError(
            f"data.variants is {config.variants}, but {domain.info.name} are written in one way",
            hint="Leave it out.",
        )
    observer.stage(f"Reading {source.name}")
    fingerprint = source.fingerprint()
    key = _key(fingerprint, domain, codec, config)
    with _entry(key, source, codec, config, observer) as entry:
        facts = read_json(entry / "facts.json")
        records = pq.read_table(entry / "records.parquet", page_checksum_verification=True)
        fitted = read_codec(entry, type(codec))
        encoded = load_tensors(entry / "encoded.safetensors")
        rejects = (entry / REJECTS).read_bytes() if facts["rejected"] else None
    if config.strict and facts["rejected"]:
        first = facts["first"]
        raise DataError(
            f"{first['reason']} "
            f"({facts['rejected']:,} of {facts['rows']:,} records cannot be used)",
            file=source.name,
            row=first["row"],
            column=first["column"],
            hint=f"Without --strict they are set aside in {REJECTS} and training goes on.",
        )
    shares = {"train": 1 - config.valid - config.test, "valid": config.valid, "test": config.test}
    if config.valid or config.test:
        groups = (domain.groups(batch) for batch in records.to_batches())
        parts = split(groups, shares, seed)
    else:  # nothing to keep apart
        parts = np.zeros(records.num_rows, np.int8)
    dataset = Dataset(
        name=source.name,
        fingerprint=fingerprint,
        records=records,
        encoded=encoded,
        parts=parts,
        rejects=rejects,
        rejected=int(facts["rejected"]),
    )
    return dataset, fitted


def varied(records: pa.Table, codec: Codec, variants: int, seed: int) -> list[Batch]:
    """Tensors of prepared records in further ways to write them, ``variants`` − 1 in all."""
    found = []
    for number in range(1, variants):
        rng = np.random.default_rng(derive(seed, "variant", number))
        batches = records.to_batches(BATCH_ROWS)
        found.append(joined([codec.encode(codec.vary(batch, rng)) for batch in batches]))
    return found


def write_codec(folder: Path, codec: Codec) -> None:
    """``codec.json``, and ``codec.safetensors`` when it knows tensors."""
    state = codec.state()
    write_json_atomic(folder / "codec.json", state.facts)
    if state.tensors:
        save_tensors(folder / "codec.safetensors", state.tensors)


def read_codec(folder: Path, kind: type[Codec]) -> Codec:
    """The codec that ``write_codec`` stored. Raises ArtifactError."""
    tensors = folder / "codec.safetensors"
    return kind.from_state(
        CodecState(
            facts=read_json(folder / "codec.json"),
            tensors=load_tensors(tensors) if tensors.exists() else {},
        )
    )


def _key(fingerprint: str, domain: Domain, codec: Codec, config: DataConfig) -> str:
    """Everything that the cached entry depends on."""
    from importlib import metadata

    package = type(codec).__module__.partition(".")[0]
    try:
        version = metadata.version(package.replace("_", "-"))
    except metadata.PackageNotFoundError:
        version = ""
    facts = {
        "format": CACHE_FORMAT,
        "data": fingerprint,
        "domain": domain.info.name,
        "version": version,
        "codec": codec.config.model_dump(mode="json"),
        "column": config.column,
        "limit": config.limit,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@contextmanager
def _entry(
    key: str, source: Source, codec: Codec, config: DataConfig, observer: Observer
) -> Iterator[Path]:
    """The folder of prepared records: of the cache, made where it is not there; or one that is
    gone afterwards, where the user wants no copy of the data kept."""
    if not config.cache:
        with tempfile.TemporaryDirectory(prefix="gmkit-prepared-") as place:
            _fill(Path(place), source, codec, config, observer)
            yield Path(place)
        return
    entry = prepared_cache(key)
    if not entry.is_dir():
        with new_prepared(key) as folder:
            _fill(folder, source, codec, config, observer)
    yield entry


def _fill(
    folder: Path, source: Source, codec: Codec, config: DataConfig, observer: Observer
) -> None:
    """Prepare on all cores, fit and encode into ``folder``."""
    observer.stage(f"Preparing {source.name}")
    facts: dict[str, Any] = {"rows": 0, "rejected": 0, "first": None}
    batches = list(_prepared(source, codec, config, folder, facts, observer))
    if not batches:
        first = facts["first"]
        raise DataError(
            f"none of {facts['rows']:,} records can be used; row {first['row']}, "
            f"column {first['column']!r}: {first['reason']}",
            file=source.name,
            hint="Check that the column is the right one (--column).",
        )
    observer.stage("Fitting the codec")
    codec.fit(batches)
    table = pa.Table.from_batches(batches)
    pq.write_table(table, folder / "records.parquet", compression="zstd", write_page_checksum=True)
    encoded = [codec.encode(batch) for batch in batches]
    save_tensors(folder / "encoded.safetensors", joined(encoded))
    write_codec(folder, codec)
    write_json_atomic(folder / "facts.json", facts)


def _prepared(
    source: Source,
    codec: Codec,
    config: DataConfig,
    folder: Path,
    facts: dict[str, Any],
    observer: Observer,
) -> Iterator[pa.RecordBatch]:
    """Prepared batches; counts rows and rejects into ``facts`` and the reject file."""
    total = min(filter(None, (source.count(), config.limit)), default=None)
    raw = _limited(source.batches(BATCH_ROWS), config.limit)
    if total is None:  # a text file: looked into far enough to know whether it is a small one
        ahead = list(itertools.islice(raw, math.ceil(SMALL_ROWS / BATCH_ROWS)))
        rows = sum(len(batch) for _, batch in ahead)
        total = rows if rows < SMALL_ROWS else None
        raw = itertools.chain(ahead, raw)
    prepares = type(codec).prepare is not Codec.prepare  # else there is nothing to share out
    workers = default_workers() if prepares else 1
    results = map_batches(partial(_prepare, codec), raw, workers=workers, rows_hint=total)
    with RejectFile(folder / REJECTS) as rejects, _placed(source):
        for rows, result in results:
            named = [r._replace(column=source.stored_name(r.column)) for r in result.rejects]
            rejects.add(named)
            if named and facts["first"] is None:
                facts["first"] = named[0]._asdict()
            facts["rows"] += rows
            facts["rejected"] += len(named)
            observer.advance(facts["rows"], total)
            if len(result.records):
                yield result.records


@contextmanager
def _placed(source: Source) -> Iterator[None]:
    """Within, a DataError that knows no file is told with the source's, and its column with the
    name that the user knows."""
    try:
        yield
    except DataError as error:
        if error.file:
            raise
        column = source.stored_name(error.column)
        raise DataError(
            error.reason, file=source.name, row=error.row, column=column, hint=error.hint
        ) from error


def _prepare(codec: Codec, numbered: tuple[int, pa.RecordBatch]) -> tuple[int, Prepared]:
    """How many records there were, and what became of them; in a worker process."""
    first_row, records = numbered
    return len(records), codec.prepare(records, first_row)


def _limited(
    batches: Iterator[pa.RecordBatch], limit: int | None
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Batches with the number of their first row, up to ``limit`` rows."""
    row = 0
    for batch in batches:
        if limit is not None and row + len(batch) >= limit:
            yield row, batch.slice(0, limit - row)
            return
        yield row, batch
        row += len(batch)


def joined(batches: list[Batch]) -> Batch:
    """One Batch of all."""
    return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}


def copy_rejects(dataset: Dataset, folder: Path) -> Path | None:
    """Put the reject file into the run's folder."""
    if dataset.rejects is None:
        return None
    (folder / REJECTS).write_bytes(dataset.rejects)
    return folder / REJECTS
