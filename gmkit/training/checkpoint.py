"""Checkpoints: where a training run can be taken up again after a kill.

``run/checkpoints/step-00001234/`` holds one safetensors file for each group of tensors (model,
ema, optimiser …), ``state.json`` and a manifest. The folder is written under a temporary name,
each file brought to the disk, and renamed: under its own name it is complete. No generator state
is stored, since noise and shuffling derive from (seed, step).
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from gmkit.artifact.faults import fault
from gmkit.artifact.files import (
    cannot_write,
    clear_litter,
    read_json,
    remove,
    sync,
    temporary_name,
    write_json_atomic,
)
from gmkit.artifact.manifest import CHECKPOINTS, file_facts, make_manifest, verify, write_manifest
from gmkit.artifact.tensors import load_tensors, save_tensors
from gmkit.errors import ArtifactError

_log = logging.getLogger(__name__)
_NAME = re.compile(r"step-(\d{8,18})(?:\.(\d{1,9}))?")
_GROUP = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)*")
_STATE = "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """What one checkpoint holds."""

    step: int
    """Steps of training done."""
    tensors: dict[str, dict[str, torch.Tensor]]
    """Group (model, ema, optimiser …) → name → tensor, on the CPU."""
    facts: dict[str, Any]
    """What ``save_checkpoint`` was given, after a passage through JSON."""
    path: Path
    """The folder it came from: an older one than asked for when there are warnings."""
    warnings: list[str] = field(default_factory=list)
    """One line for each newer checkpoint that was damaged and passed over."""


def _order(path: Path) -> tuple[int, int] | None:
    """(step, attempt) from the name of a checkpoint's folder; None if it is none."""
    match = _NAME.fullmatch(path.name)
    if match is None or path.is_symlink() or not path.is_dir():
        return None
    return int(match[1]), int(match[2] or 0)


def _checkpoints(parent: Path) -> list[Path]:
    """The complete checkpoints in ``parent``, newest first."""
    found = [(order, path) for path in parent.iterdir() if (order := _order(path)) is not None]
    return [path for _, path in sorted(found, reverse=True)]


def save_checkpoint(
    folder: Path,
    step: int,
    tensors: Mapping[str, Mapping[str, torch.Tensor]],
    facts: Mapping[str, Any],
    keep: int = 2,
) -> Path:
    """Write a checkpoint of ``step`` into the run ``folder``; returns its folder.

    ``tensors``: group → name → tensor of any shape and dtype that safetensors takes, step counters
    included; ``facts``: JSON with finite numbers. Afterwards the ``keep`` (≥ 1) newest stay. A
    checkpoint of a later step belongs to a course that was given up (the run was rolled back, or
    that one was found damaged) and goes too; one of the same step is replaced.
    Killed at any point, the previous or the new checkpoint loads.
    Raises TrainingError for non-finite tensors, DataError when the disk refuses, ValueError for
    a misnamed group or a negative step.
    """
    for group in tensors:
        if not _GROUP.fullmatch(group):
            raise ValueError(f"group {group!r} is not a lower-case word")
    if step < 0:
        raise ValueError(f"step {step} is negative")
    parent = folder / CHECKPOINTS
    target = parent / f"step-{step:08d}"
    temporary = temporary_name(target)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        remove(temporary)  # of a dead process that had our number
        temporary.mkdir()
        _write(temporary, step, tensors, facts)
        fault("checkpoint:before-rename")
        target = _free(target)
        temporary.rename(target)
        fault("checkpoint:after-rename")
        sync(parent)
    except BaseException as error:
        _remove_if_possible(temporary)
        if isinstance(error, OSError):
            size = sum(tensor.nbytes for named in tensors.values() for tensor in named.values())
            raise cannot_write(target, size, error) from error
        raise
    fault("checkpoint:before-prune")
    _prune(target, keep)
    return target


def _write(
    folder: Path,
    step: int,
    tensors: Mapping[str, Mapping[str, torch.Tensor]],
    facts: Mapping[str, Any],
) -> None:
    fault("checkpoint:before-files")
    for group, named in tensors.items():
        save_tensors(folder / f"{group}.safetensors", named)
        fault(f"checkpoint:after-{group}")
    write_json_atomic(folder / _STATE, {"step": step, "facts": dict(facts)})
    fault("checkpoint:after-state")
    names = [*(f"{group}.safetensors" for group in tensors), _STATE]
    files = {name: file_facts(folder / name) for name in names}
    write_manifest(folder, make_manifest({"status": "checkpoint"}, files))
    fault("checkpoint:after-manifest")


def _free(target: Path) -> Path:
    """``target``, or a name of the same step that counts as newer than those there.

    A folder cannot be renamed over another, and removing the other first would leave a moment
    with neither.
    """
    path, attempt = target, 0
    while os.path.lexists(path):
        attempt += 1
        path = target.with_name(f"{target.name}.{attempt}")
    return path


def _prune(newest: Path, keep: int) -> None:
    """Remove all checkpoints beside ``newest`` but the ``keep`` newest up to it."""
    every = _checkpoints(newest.parent)
    kept = every[every.index(newest) :][: max(keep, 1)]
    for path in every:
        if path in kept:
            continue
        # Renamed first: a removal cut short leaves litter, not a checkpoint with files missing.
        gone = temporary_name(path)
        try:
            remove(gone)
            path.rename(gone)
        except OSError as error:
            _log.warning("old checkpoint %s cannot be removed: %s", path, error.strerror)
            continue
        _remove_if_possible(gone)


def _remove_if_possible(path: Path) -> None:
    try:
        remove(path)
    except OSError as error:
        _log.warning("%s cannot be removed: %s", path, error.strerror)


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint of the run ``folder``; None when there is none.

    What dead processes left unfinished in the run is removed.
    """
    parent = folder / CHECKPOINTS
    if not parent.is_dir():
        return None
    for path in [*clear_litter(folder), *clear_litter(parent)]:
        _log.info("removed the unfinished %s", path)
    return next(iter(_checkpoints(parent)), None)


def _load(path: Path) -> Checkpoint:
    manifest = verify(path)
    if manifest.status != "checkpoint" or _STATE not in manifest.files:
        raise ArtifactError(f"{path}: is not a checkpoint", hint="Give a folder of checkpoints/.")
    state = read_json(path / _STATE)
    step, facts = (state.get("step"), state.get("facts")) if isinstance(state, dict) else (0, 0)
    if type(step) is not int or not isinstance(facts, dict):
        raise ArtifactError(f"{path / _STATE}: has no step and facts", hint="Use an older one.")
    tensors = {
        name.removesuffix(".safetensors"): load_tensors(path / name)
        for name in manifest.files
        if name.endswith(".safetensors")
    }
    return Checkpoint(step=step, tensors=tensors, facts=facts, path=path)


def load_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in ``path`` with every hash verified, or the next older one that is whole.

    A damaged one is logged as a warning and told in ``warnings``. Raises ArtifactError, naming
    what is wrong with ``path``, when no older one loads either.
    """
    siblings = _checkpoints(path.parent) if _order(path) is not None else []
    older = siblings[siblings.index(path) + 1 :] if path in siblings else []
    problems: list[str] = []
    first: ArtifactError | None = None
    for candidate in [path, *older]:
        try:
            found = _load(candidate)
        except ArtifactError as error:
            problems.append(f"{error.message}; passed over")
            first = first or error
            continue
        for problem in problems:
            _log.warning("%s", problem)
        found.warnings.extend(problems)
        return found
    assert first is not None
    raise ArtifactError(
        f"{first.message} ({len(problems)} checkpoint(s) tried, none loads)",
        hint="Start the training anew, without --resume.",
    ) from first
