"""Where gmkit keeps what it can make or fetch again, and the cache of prepared records.

An entry of the prepared cache is a folder named by its key. It appears by rename, with a list of
the SHA-256 of its files; one that no longer agrees with its list is dropped and made anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gmkit.artifact.files import clear_litter, remove, sync, temporary_name
from gmkit.errors import ConfigError, DataError

DEFAULT_SIZE = 5_000_000_000
_LIST = "entry.json"
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kMGT]?)B?\s*", re.IGNORECASE)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def cache_folder() -> Path:
    """``$GMKIT_CACHE``, else ``gmkit`` in ``$XDG_CACHE_HOME``, else ``~/.cache/gmkit``."""
    if own := os.environ.get("GMKIT_CACHE"):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a relative path is to be ignored.
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "gmkit"


def datasets_folder() -> Path:
    """``$GMKIT_DATA``, else ``datasets`` in the cache folder."""
    own = os.environ.get("GMKIT_DATA")
    return Path(own).expanduser() if own else cache_folder() / "datasets"


def prepared_cache(key: str) -> Path:
    """The folder of the entry ``key``, there only if the entry is whole; marks it as used now.

    ``key``: hexadecimal, say the SHA-256 of the data's fingerprint and the codec's options.
    A damaged entry is removed, so ``prepared_cache(key).is_dir()`` says whether to make it.
    """
    entry = _entry(key)
    if entry.is_dir():
        if _whole(entry):
            with suppress(OSError):  # a cache that may only be read serves as well
                os.utime(entry / _LIST)
        else:
            _drop(entry)
    return entry


@contextmanager
def new_prepared(key: str) -> Iterator[Path]:
    """A folder to fill, which becomes the entry ``key`` on a clean exit and vanishes on another.

    Then the least recently used entries beyond the size allowed are dropped. Where another process
    made the same entry meanwhile, that one stays. Raises DataError where nothing can be written.
    """
    entry = _entry(key)
    temporary = temporary_name(entry)
    try:  # the folder is made within: a signal may come at any moment
        entry.parent.mkdir(parents=True, exist_ok=True)
        clear_litter(entry.parent)
        remove(temporary)
        temporary.mkdir()
        yield temporary
        _complete(temporary, entry)
    except OSError as fault:
        raise _told(entry, fault) from fault
    finally:
        with suppress(OSError):
            remove(temporary)
    evict(keep=key)


def evict(max_bytes: int | None = None, *, keep: str = "") -> int:
    """Drop the least recently used entries until all take at most ``max_bytes``.

    Default: ``$GMKIT_CACHE_SIZE`` ("2GB", "500MB", bytes), else 5 GB. ``keep``: a key to spare.
    Returns the bytes freed. Raises ConfigError for a size that cannot be understood.
    """
    limit = _allowed() if max_bytes is None else max_bytes
    entries = [(_used(path), _bytes(path), path) for path in _entries()]
    total, freed = sum(size for _, size, _ in entries), 0
    for _, size, path in sorted(entries):
        if total - freed <= limit:
            break
        if path.name != keep:
            _drop(path)
            freed += size
    return freed


def _entry(key: str) -> Path:
    if not re.fullmatch(r"[0-9a-f]{8,128}", key):
        raise ValueError(f"cache key {key!r} is not lower-case hexadecimal")
    return cache_folder() / "prepared" / key


def _entries() -> list[Path]:
    folder = cache_folder() / "prepared"
    return [p for p in folder.iterdir() if p.name[0] != "."] if folder.is_dir() else []


def _drop(entry: Path) -> None:
    with suppress(OSError):  # what stays is found damaged and made anew
        remove(entry)


def _used(entry: Path) -> float:
    try:
        return (entry / _LIST).stat().st_mtime
    except OSError:
        return 0.0


def _bytes(entry: Path) -> int:
    total = 0
    for path in entry.rglob("*"):
        with suppress(OSError):  # removed meanwhile by another process
            total += path.stat().st_size if path.is_file() else 0
    return total


def _complete(temporary: Path, entry: Path) -> None:
    """Write the list of files, flush all and rename."""
    sums = {p.relative_to(temporary).as_posix(): _sha256(p) for p in _files(temporary)}
    (temporary / _LIST).write_text(json.dumps(sums, indent=1, sort_keys=True), encoding="utf-8")
    for path in _files(temporary):
        sync(path)
    try:
        temporary.rename(entry)
    except OSError:
        if not _whole(entry):  # not merely made by another process meanwhile
            _drop(entry)
            temporary.rename(entry)


def _whole(entry: Path) -> bool:
    """Whether the entry's files are those of its list, byte for byte."""
    try:
        sums = json.loads((entry / _LIST).read_text(encoding="utf-8"))
        files = {p.relative_to(entry).as_posix(): p for p in _files(entry)}
        files.pop(_LIST)
        return bool({name: _sha256(path) for name, path in files.items()} == sums)
    except (OSError, ValueError, KeyError):
        return False


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _allowed() -> int:
    text = os.environ.get("GMKIT_CACHE_SIZE", "")
    if not text:
        return DEFAULT_SIZE
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ConfigError(f"GMKIT_CACHE_SIZE={text!r} is no size", hint='Write "2GB" or "500MB".')
    return int(float(match[1]) * _UNITS[match[2].lower()])


def _told(entry: Path, fault: OSError) -> DataError:
    return DataError(
        f"the cache of prepared records cannot be written: {fault.strerror or fault}",
        file=str(entry),
        hint="Make room there, or set GMKIT_CACHE to a folder that can be written.",
    )
