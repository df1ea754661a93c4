"""``manifest.json``: what a run consists of, and the proof that nothing of it has changed.

It is written last, so a folder with a manifest is a complete run. It names every file with size
and SHA-256, and holds the SHA-256 of itself, taken with that value written as 64 zeros, so that
one flipped bit anywhere in the run is refused and the file named. This detects damage, not
forgery: who can write the folder can write a new manifest.

Files that the manifest does not list (notes, logs, symbolic links) may lie in a run. They are
ignored: ``verify(folder, files=…)`` refuses a file that is not listed, so what gmkit loads is
always listed and checked.
"""

from __future__ import annotations

import functools
import hashlib
import math
import os
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gmkit.artifact.faults import fault
from gmkit.artifact.files import (
    is_temporary,
    json_bytes,
    open_regular,
    parse_json,
    read_bytes,
    sync,
    write_bytes_atomic,
)
from gmkit.errors import ArtifactError

FORMAT = 1
"""Version of the run folder. A gmkit reads every format up to its own."""
NAME = "manifest.json"
CHECKPOINTS = "checkpoints"
LOADED = frozenset(
    {
        "model.safetensors",
        "codec.json",
        "codec.safetensors",
        "conditions.safetensors",
        "config.toml",
    }
)
"""The files a model is made from: once sealed, ``update`` takes no change to them."""

MAX_BYTES = 16 * 2**20
_FORBIDDEN = "\\:\0" if os.name == "nt" else "\0"
_ZEROS = b"0" * 64
_HEAD = b'{\n  "sha256_of_this_file": "'
_SELF = slice(len(_HEAD), len(_HEAD) + 64)
_RESTORE = "Restore it from a copy, or train again."


class FileFacts(BaseModel):
    """Size and SHA-256 (hexadecimal) of one file."""

    model_config = ConfigDict(frozen=True, strict=True)

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class DataFacts(BaseModel):
    """What the model was trained on."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow")

    name: str = ""
    fingerprint: str = ""
    rows: int = Field(default=0, ge=0)


class Manifest(BaseModel):
    """The facts of one run or checkpoint. Further facts given to ``seal`` are kept as they are."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow")

    format: int = Field(default=FORMAT, ge=1)
    gmkit: str = ""
    packages: dict[str, str] = Field(default_factory=dict)
    """Version of each distribution the run was made with: torch, safetensors, plugins."""
    domain: str = ""
    family: str = ""
    seed: int = 0
    data: DataFacts = Field(default_factory=DataFacts)
    created: str = ""
    """UTC, ISO 8601."""
    status: Literal["complete", "checkpoint"] = "complete"
    metrics: dict[str, float | None] = Field(default_factory=dict)
    """Summary of the evaluation; None for a figure that was not a finite number."""
    files: dict[str, FileFacts] = Field(default_factory=dict)
    """Path relative to the folder, with forward slashes → size and hash."""


def package_versions(distributions: Collection[str]) -> dict[str, str]:
    """The versions of those distributions that are installed, sorted by name."""
    found = {name: _version(name) for name in sorted(distributions)}
    return {name: version for name, version in found.items() if version}


@functools.cache  # each checkpoint asks again, and the answer takes milliseconds to find
def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # run from a source tree
        return ""


def make_manifest(facts: Mapping[str, Any], files: Mapping[str, FileFacts]) -> Manifest:
    """A manifest of ``files`` with ``facts`` (field names of Manifest, and any JSON beside).

    ``packages`` may be given as the names of distributions; torch and safetensors are always
    among them. Raises ArtifactError when a fact has the wrong type.
    """
    packages = facts.get("packages", ())
    versions = package_versions({"torch", "safetensors", *packages})
    named = dict(packages) if isinstance(packages, Mapping) else {}
    given = {
        "gmkit": package_versions({"gmkit"}).get("gmkit", "unknown"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **facts,
        "packages": {**versions, **named},
        "metrics": _finite_only(facts.get("metrics", {})),
        "format": FORMAT,
        "files": dict(files),
    }
    try:
        return Manifest.model_validate(given)
    except ValidationError as error:
        raise ArtifactError(
            f"{NAME} cannot be written: {_first(error)}", hint="Correct the fact given to seal."
        ) from error


def _finite_only(metrics: Mapping[str, float | None]) -> dict[str, float | None]:
    return {
        name: None if value is None or not math.isfinite(value) else float(value)
        for name, value in metrics.items()
    }


def _first(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, problem['loc']))[:200]!r}: {problem['msg']}"


def file_facts(path: Path) -> FileFacts:
    """Size and SHA-256 of a file, read as a stream. Raises ArtifactError naming it."""
    with open_regular(path) as file:
        try:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return FileFacts(sha256=digest, bytes=file.tell())
        except OSError as error:
            raise ArtifactError(
                f"{path}: cannot be read: {error.strerror}", hint=_RESTORE
            ) from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``manifest`` with its own hash as ``folder/manifest.json``. Raises DataError."""
    body = {"sha256_of_this_file": _ZEROS.decode(), **manifest.model_dump(mode="json")}
    data = bytearray(json_bytes(body))
    data[_SELF] = hashlib.sha256(data).hexdigest().encode()
    write_bytes_atomic(folder / NAME, bytes(data))


def read_manifest(folder: str | os.PathLike[str]) -> Manifest:
    """The manifest of a run, itself verified, its files not. Raises ArtifactError."""
    folder = Path(folder)
    path = folder / NAME
    _check_present(folder, path)
    data = read_bytes(path, max_bytes=MAX_BYTES)
    try:
        facts = parse_json(data)
    except ValueError as error:
        raise ArtifactError(f"{path}: is damaged: {error}", hint=_RESTORE) from error
    written = facts.get("format") if isinstance(facts, dict) else None
    if type(written) is int and written > FORMAT:
        raise ArtifactError(
            f"{path}: written by gmkit format {written}; this gmkit reads up to {FORMAT}",
            hint="Upgrade gmkit: pip install --upgrade gmkit",
        )
    blank = data[: _SELF.start] + _ZEROS + data[_SELF.stop :]
    digest = hashlib.sha256(blank).hexdigest().encode()
    if not data.startswith(_HEAD) or data[_SELF] != digest:
        raise ArtifactError(f"{path}: is damaged: it does not match its own hash", hint=_RESTORE)
    try:
        del facts["sha256_of_this_file"]
        return Manifest.model_validate(facts)
    except ValidationError as error:
        raise ArtifactError(
            f"{path}: is not a gmkit manifest: {_first(error)}", hint=_RESTORE
        ) from error


def _check_present(folder: Path, path: Path) -> None:
    """Say what the folder is when it holds no manifest."""
    # os.access and lexists, unlike pathlib, answer no instead of raising PermissionError.
    if os.path.lexists(path):
        return
    if not os.access(folder, os.F_OK):
        raise ArtifactError(f"{folder}: no such folder", hint="Give the folder of a run.")
    if os.access(folder / CHECKPOINTS, os.F_OK):
        raise ArtifactError(
            f"{folder}: unfinished run: it has checkpoints but no {NAME}",
            hint=f"Finish it with: gmkit train --resume {folder}",
        )
    raise ArtifactError(
        f"{folder}: not a gmkit run: it has no {NAME}",
        hint="Give the folder that gmkit train wrote.",
    )


def _members(folder: Path) -> Iterator[str]:
    """Relative paths of the files that belong to the run, sorted."""
    found = []
    for here, folders, files in os.walk(folder):
        top = Path(here) == folder
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and not (top and name == CHECKPOINTS)
        ]
        for name in files:
            path = Path(here, name)
            hidden = name.startswith(".") or is_temporary(name) or (top and name == NAME)
            if not hidden and path.is_file() and not path.is_symlink():
                found.append(path.relative_to(folder).as_posix())
    return iter(sorted(found))


def seal(folder: str | os.PathLike[str], facts: Mapping[str, Any]) -> Manifest:
    """Declare a run complete: hash its files, bring them to the disk, write the manifest.

    Every ordinary file is taken in, except hidden and temporary ones, links, and ``checkpoints/``,
    which have manifests of their own. ``facts``: see ``make_manifest``.
    Raises ArtifactError for a fact of the wrong type, DataError when the folder takes no file.
    """
    folder = Path(folder)
    files = {name: _brought_to_disk(folder / name) for name in _members(folder)}
    manifest = make_manifest(facts, files)
    fault("seal:before-manifest")
    write_manifest(folder, manifest)
    fault("seal:after-manifest")
    return manifest


def _brought_to_disk(path: Path) -> FileFacts:
    facts = file_facts(path)
    sync(path)
    return facts


def update(folder: str | os.PathLike[str], **facts: Any) -> Manifest:
    """Seal a run again after files were added or rewritten (an evaluation, a report).

    ``facts`` replace those of the manifest; ``metrics`` are merged into its metrics.
    Raises ArtifactError when a file that the model is loaded from (``LOADED``) is no longer the
    one that was sealed: damage is not sealed in.
    """
    folder = Path(folder)
    old = read_manifest(folder)
    for name in sorted(LOADED & old.files.keys()):
        _check_file(folder, name, old.files[name])
    kept = old.model_dump(mode="json", exclude={"files"})
    metrics = {**old.metrics, **facts.get("metrics", {})}
    return seal(folder, {**kept, **facts, "metrics": metrics})


def verify(folder: str | os.PathLike[str], *, files: Collection[str] | None = None) -> Manifest:
    """The manifest of a complete run whose files are exactly those that were sealed.

    ``files``: check only these (relative paths), which must be listed; all listed ones by
    default. About 1–2 s per GB. Raises ArtifactError naming the file: missing, cut off, changed,
    a link, outside the folder; an unfinished run; a format of the future.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    for name in manifest.files:
        _check_name(folder, name)
    for name in manifest.files if files is None else files:
        if name not in manifest.files:
            raise ArtifactError(
                f"{folder / name}: is not part of the run: {NAME} does not list it", hint=_RESTORE
            )
        _check_file(folder, name, manifest.files[name])
    return manifest


def _check_name(folder: Path, name: str) -> None:
    """Refuse a name that leads out of the folder, on any system."""
    parts = PurePosixPath(name).parts
    plain = "/".join(parts) == name and not any(c in name for c in _FORBIDDEN)
    if not parts or not plain or ".." in parts or name.startswith("/") or name == NAME:
        raise ArtifactError(
            f"{folder / NAME}: lists {name[:200]!r}, which is no path inside the run",
            hint="Do not use this folder unless you trust where it came from.",
        )


def _check_file(folder: Path, name: str, expected: FileFacts) -> None:
    path = folder / name
    for parent in path.relative_to(folder).parents:
        if (folder / parent).is_symlink() and parent.parts:
            raise ArtifactError(
                f"{path}: lies behind a symbolic link; a run holds ordinary files only",
                hint="Put a copy of the folder in its place.",
            )
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
    if size != expected.bytes:
        found = "is empty" if size == 0 else f"has {size:,} bytes"
        raise ArtifactError(
            f"{path}: {found}, {expected.bytes:,} were sealed: cut off or changed", hint=_RESTORE
        )
    if file_facts(path).sha256 != expected.sha256:
        raise ArtifactError(
            f"{path}: is damaged: its SHA-256 is not the one in {NAME}", hint=_RESTORE
        )
