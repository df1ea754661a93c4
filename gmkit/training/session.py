"""One training session on a run's folder: start it, take it up again, complete it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from gmkit.artifact import manifest as manifests
from gmkit.artifact.card import model_card
from gmkit.artifact.files import (
    clear_litter,
    write_bytes_atomic,
    write_json_atomic,
    write_text_atomic,
)
from gmkit.artifact.manifest import file_facts
from gmkit.artifact.tensors import save_tensors
from gmkit.codecs import Batch, Codec
from gmkit.config import RunConfig, read_toml, write_toml
from gmkit.data.rejects import REJECTS
from gmkit.data.sink import write_table
from gmkit.data.source import Source, open_source
from gmkit.domain import Domain
from gmkit.errors import ArtifactError, ConfigError, DataError
from gmkit.families import Family
from gmkit.metrics.evaluation import Evaluation
from gmkit.observer import Observer
from gmkit.plugins import registry
from gmkit.randomness import derive
from gmkit.training.checkpoint import latest_checkpoint, load_checkpoint
from gmkit.training.dataset import (
    Dataset,
    build_dataset,
    copy_rejects,
    joined,
    read_codec,
    varied,
    write_codec,
)
from gmkit.training.loop import State, Trainer
from gmkit.training.placement import (
    choose_device,
    choose_precision,
    choose_threads,
    has_matrix_bf16,
    threads,
)
from gmkit.training.pool import ConditionPool
from gmkit.training.private import Guarantee
from gmkit.training.resolve import Resolved, resolve

START_FILES = ("config.toml", "codec.json", "codec.safetensors")
"""Written before training; every checkpoint keeps their hashes."""
DRAWN = 64
"""Samples that a domain may put into the picture of a run."""


@dataclass
class Session:
    """A run being trained."""

    folder: Path
    resolved: Resolved
    dataset: Dataset
    codec: Codec
    family: Family
    observer: Observer
    began: float
    """``time.monotonic`` when the command began: the time budget counts from here."""
    resume: bool = False
    state: State | None = None
    guarantee: Guarantee | None = None
    """Of private training."""

    def fit(self) -> State:
        """Train to the end, from the last checkpoint if there is one."""
        config = self.resolved.config.training
        device = choose_device(config.device)
        self.family.to(device)
        width = self.resolved.trunk_config.channels
        precision = choose_precision(config.precision, device, width)
        if config.precision == "bf16" and not has_matrix_bf16(device):
            self.observer.note("bf16 is slow on this processor: it has no bf16 matrix units.")
        if config.compile:
            for network in networks(self.family):
                network.compile(dynamic=True)
        work = sum(p.numel() for p in self.family.parameters()) * config.batch_size
        trainer = Trainer(
            family=self.family,
            train=self._training_part(),
            valid=self.dataset.part("valid"),
            config=config,
            seed=self.resolved.config.seed,
            folder=self.folder,
            precision=precision,
            observer=self.observer,
            spent=time.monotonic() - self.began,
            carry={"files": start_hashes(self.folder), "data": data_facts(self.dataset)},
        )
        if trainer.private is not None:
            self.guarantee = trainer.private.guarantee
        self.observer.stage("Training")
        with threads(choose_threads(config, work)):
            self.state = trainer.run(resume=self.resume)
        self.observer.advance(self.state.step, self.state.step)
        if self.state.step == 0 and config.time_budget:
            self.observer.note(
                f"The time budget of {config.time_budget:g} s was used up before the first step: "
                "the model is untrained. Prepared data is kept, so the same command again has more."
            )
        return self.state

    def _training_part(self) -> Batch:
        """Tensors to train on, each record written in ``data.variants`` ways."""
        train, config = self.dataset.part("train"), self.resolved.config
        if config.data.variants == 1:
            return train
        self.observer.stage("Writing training records in other ways")
        others = varied(self.dataset.table("train"), self.codec, config.data.variants, config.seed)
        return joined([train, *others])

    def complete(self, samples: pa.Table | None, evaluation: Evaluation) -> None:
        """Write what a finished run holds beside its checkpoints, samples if there are any; the
        manifest last."""
        domain, config = self.resolved.domain, self.resolved.config
        assert self.state is not None
        save_tensors(
            self.folder / "model.safetensors",
            {name: value.cpu().contiguous() for name, value in self.family.state_dict().items()},
        )
        pool = ConditionPool.of_training(self.codec, self.dataset, config.seed)
        if pool is not None:
            pool.save(self.folder)
        if samples is not None:
            write_table(self.folder / "samples.parquet", samples, {})
            drawing = domain.draw(samples.slice(0, DRAWN).to_batches()[0])
            if drawing is not None:
                ending = "png" if drawing.startswith(b"\x89PNG") else "svg"
                write_bytes_atomic(self.folder / f"samples.{ending}", drawing)
        write_json_atomic(self.folder / "evaluation.json", evaluation.to_json())
        facts = {
            "domain": config.domain,
            "family": config.model,
            "seed": config.seed,
            "data": data_facts(self.dataset),
            "metrics": evaluation.values(),
            "packages": manifests.package_versions({f"gmkit-{config.domain}", "torch"}),
            "steps": self.state.step,
            "seconds": round(self.state.elapsed, 1),
            "command": f"gmkit train --config {self.folder / 'config.toml'}",
            "conditions": self.codec.conditions.describe(),
        }
        if self.guarantee is not None:
            facts["privacy"] = vars(self.guarantee)
        known = registry().datasets().get(self.dataset.name)
        data = data_facts(self.dataset) | ({"licence": known.licence} if known else {})
        card = {
            **facts,
            "data": data,
            "floors": evaluation.floors(),
            "run": str(self.folder),
            "where": self.codec.conditions.example(),
        }
        write_text_atomic(self.folder / "README.md", model_card(card))
        manifests.seal(self.folder, facts)


def start_session(
    resolved: Resolved, data: Any, out: str | Path | None, observer: Observer, began: float
) -> Session:
    """A new run: its folder, data, codec and untrained family. When that fails the folder goes
    again."""
    config = resolved.config
    choose_device(config.training.device)  # one that is not there is told before any work
    source = open_source(
        data if data is not None else config.data.source or None,
        domain=resolved.domain,
        registry=registry(),
        column=config.data.column,
    )
    folder = new_folder(Path(out) if out else None, f"{config.domain}-{config.model}")
    try:
        return _begin(folder, resolved, source, observer, began)
    except BaseException:
        with contextlib.suppress(OSError):  # the fault itself is what must be told
            for name in (*START_FILES, REJECTS):
                (folder / name).unlink(missing_ok=True)
            folder.rmdir()
        raise


def _begin(
    folder: Path, resolved: Resolved, source: Source, observer: Observer, began: float
) -> Session:
    """Everything before the first step. ``config.toml`` comes first: from then on the run can be
    taken up again."""
    config = resolved.config
    dataset, codec = build_dataset(
        source, resolved.domain, resolved.codec, config.data, config.seed, observer
    )
    resolved = resolved.settled(dataset.records.num_rows)
    config = resolved.config
    write_text_atomic(folder / "config.toml", write_toml(config))
    write_codec(folder, codec)
    copied = copy_rejects(dataset, folder)
    if copied is not None:
        observer.note(f"{dataset.rejected:,} unusable records set aside in {copied}")
    for note in codec.notes():
        observer.note(note)
    family = new_family(resolved, codec)
    return Session(folder, resolved, dataset, codec, family, observer, began)


def resume_session(folder: Path, data: Any, observer: Observer) -> Session:
    """An unfinished run, to be taken up at its last checkpoint.

    One that was killed before its first checkpoint begins anew. Raises ConfigError for a finished
    run, ArtifactError for a damaged one or none at all, DataError when the data is no longer the
    same.
    """
    if not folder.is_dir():
        raise ArtifactError(f"{folder}: no such folder", hint="Give the folder of a run.")
    clear_litter(folder)
    if (folder / manifests.NAME).exists():
        raise ConfigError(
            f"{folder} is a finished run",
            hint=f"Look at it with: gmkit evaluate {folder}; or train another with --out.",
        )
    newest = latest_checkpoint(folder)
    if newest is None:
        return _from_its_start(folder, data, observer)
    carried = load_checkpoint(newest).facts["carry"]
    for name, sha256 in carried["files"].items():
        if not (folder / name).is_file() or file_facts(folder / name).sha256 != sha256:
            raise ArtifactError(
                f"{folder / name} is damaged or was changed since training began",
                hint="Restore it from a copy, or train again.",
            )
    resolved = resolve(read_toml(folder / "config.toml"), stored=True)
    choose_device(resolved.config.training.device)
    dataset = reopen(folder, resolved.config, resolved.domain, data, observer, carried["data"])
    codec = read_codec(folder, type(resolved.codec))
    family = new_family(resolved, codec)
    return Session(
        folder, resolved, dataset, codec, family, observer, time.monotonic(), resume=True
    )


def _from_its_start(folder: Path, data: Any, observer: Observer) -> Session:
    """A run that has its configuration and nothing else yet."""
    if not (folder / "config.toml").is_file():
        raise ArtifactError(
            f"{folder}: not a gmkit run: it has neither a checkpoint nor a config.toml",
            hint="Give the folder of an unfinished run, or train a new one without --resume.",
        )
    resolved = resolve(read_toml(folder / "config.toml"), stored=True)
    choose_device(resolved.config.training.device)
    source = _source(folder, resolved.config, resolved.domain, data)
    return _begin(folder, resolved, source, observer, time.monotonic())


def _source(folder: Path, config: RunConfig, domain: Domain, data: Any) -> Source:
    """What a run learns from: its own data, or ``data`` in place of it."""
    try:
        return open_source(
            data if data is not None else config.data.source or None,
            domain=domain,
            registry=registry(),
            column=config.data.column,
        )
    except DataError as error:
        if data is not None:
            raise
        raise DataError(
            f"the data of {folder} cannot be read: {error.reason}",
            file=error.file,
            column=error.column,
            hint="If it has moved, say where it is now: --data PATH.",
        ) from error


def reopen(
    folder: Path,
    config: RunConfig,
    domain: Domain,
    data: Any,
    observer: Observer,
    facts: dict[str, Any] | None = None,
) -> Dataset:
    """The data of a run, with the split it was trained on. Raises DataError if it changed."""
    if facts is None:
        facts = manifests.read_manifest(folder).data.model_dump()
    source = _source(folder, config, domain, data)
    if source.fingerprint() != facts["fingerprint"]:
        raise DataError(
            f"not the data that {folder} was trained on ({facts['name']}), or changed since",
            file=source.name,
            hint="Give the original with --data, or train a new run on this one.",
        )
    codec = domain.codec(config.codec)
    return build_dataset(source, domain, codec, config.data, config.seed, observer)[0]


def new_family(resolved: Resolved, codec: Codec) -> Family:
    """An untrained family, its weights drawn from the run's seed; the caller's random state is
    left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(resolved.config.seed, "weights"))
        return resolved.family(codec.space, resolved.family_config, resolved.trunk_config)


def networks(family: Family) -> Iterator[torch.nn.Module]:
    """The modules that a family calls, those of a stack's parts included."""
    for child in family.children():
        if isinstance(child, Family):
            yield from networks(child)
        else:
            yield child


def new_folder(wanted: Path | None, name: str) -> Path:
    """Make the run's folder: the one asked for, else the next free ``runs/NAME-2``.

    Raises ConfigError when it is there and not empty, DataError when it cannot be made.
    """
    try:
        if wanted is not None:
            _refuse_taken(wanted)
            wanted.mkdir(parents=True, exist_ok=True)
            return wanted
        number = 1
        while True:
            folder = Path("runs") / (name if number == 1 else f"{name}-{number}")
            try:
                folder.mkdir(parents=True)
                return folder
            except FileExistsError:
                number += 1
    except OSError as error:
        raise DataError(
            f"cannot make the folder {wanted or 'runs'}: {error.strerror}",
            hint="Choose a folder you may write to with --out.",
        ) from error


def _refuse_taken(wanted: Path) -> None:
    """Raise ConfigError for a file, or a folder that holds something, and say what it is."""
    clear_litter(wanted)
    if not wanted.exists() or (wanted.is_dir() and not any(wanted.iterdir())):
        return
    hint = "Choose another --out."
    if (wanted / manifests.NAME).exists():
        hint = f"It is a finished run: gmkit evaluate {wanted}, or choose another --out."
    elif (wanted / "config.toml").exists():
        hint = f"Go on with it: gmkit train --resume {wanted}, or choose another --out."
    raise ConfigError(f"{wanted} is already there", hint=hint)


def start_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of the files that training rests on."""
    return {
        name: file_facts(folder / name).sha256 for name in START_FILES if (folder / name).exists()
    }


def data_facts(dataset: Dataset) -> dict[str, Any]:
    """What the manifest says of the data."""
    return {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "rows": dataset.records.num_rows,
    }
