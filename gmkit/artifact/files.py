"""Files that are whole or absent: writing by rename, and reading that trusts nothing.

A file is written to ``.<name>.tmp-<pid>`` beside its place, brought to the disk (fsync), renamed
over the old one, and the rename brought to the disk too. Whoever is killed on the way leaves the
old file untouched and a temporary one that ``clear_litter`` removes at the next start.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import re
import shutil
import stat
from collections import Counter
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

from gmkit.errors import ArtifactError, DataError

_LITTER = re.compile(r"\..+\.tmp-(\d{1,10})")
_PID_LIMIT = 2**31
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

MAX_JSON_BYTES = 64 * 2**20
MAX_JSON_DEPTH = 64


def temporary_name(path: Path) -> Path:
    """Where this process writes what will become ``path``: hidden, beside it."""
    return path.with_name(f".{path.name}.tmp-{os.getpid()}")


def is_temporary(name: str) -> bool:
    """Whether a file or folder of this name is unfinished work of some process."""
    return _LITTER.fullmatch(name) is not None


def sync(path: Path) -> None:
    """Bring a file's bytes, or a folder's list of names, to the disk."""
    if os.name == "nt":  # Windows can neither open folders nor sync a file opened for reading
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file, a link (never what it points at) or a whole folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def cannot_write(path: Path, size: int, error: OSError) -> DataError:
    """The error for a write of ``size`` bytes to ``path`` that the system refused."""
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        with contextlib.suppress(OSError):  # the folder itself is gone: the reason alone must do
            reason += f", {shutil.disk_usage(path.parent).free:,} bytes free"
        hint = "Free some space (or raise the quota or file-size limit), or write elsewhere."
    else:
        hint = "Choose a folder that exists and that you may write to."
    return DataError(f"cannot write {size:,} bytes: {reason}", file=str(path), hint=hint)


def write_bytes_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Make ``path`` hold exactly ``data``, or leave it as it was.

    Raises DataError naming the path and the bytes needed when the system refuses (disk full,
    read-only, no such folder); the temporary file is then removed.
    """
    path = Path(path)
    temporary = temporary_name(path)
    try:
        # One of this name can only be from a dead process that had our number.
        remove(temporary)
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):  # read-only file system: nothing was created either
            remove(temporary)
        if isinstance(error, OSError):
            raise cannot_write(path, len(data), error) from error
        raise


def write_text_atomic(path: str | os.PathLike[str], text: str) -> None:
    """``write_bytes_atomic`` of ``text`` in UTF-8. Raises DataError."""
    write_bytes_atomic(path, text.encode())


def json_bytes(value: Any) -> bytes:
    """``value`` as the indented ASCII JSON that ``read_json`` takes back.

    Raises ValueError for NaN and infinities, TypeError for what JSON does not know.
    """
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def write_json_atomic(path: str | os.PathLike[str], value: Any) -> None:
    """``write_bytes_atomic`` of ``json_bytes(value)``. Raises DataError, ValueError, TypeError."""
    write_bytes_atomic(path, json_bytes(value))


def _alive(pid: int) -> bool:
    if os.name == "nt":  # there, signal 0 is Ctrl-C; litter is then left for the user
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it lives and belongs to another user
        return True
    return True


def clear_litter(folder: str | os.PathLike[str]) -> list[Path]:
    """Remove what dead processes left unfinished directly in ``folder``; returns what went.

    Work of living processes, this one included, stays. A missing or read-only folder is no error.
    """
    removed = []
    folder = Path(folder)
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        match = _LITTER.fullmatch(path.name)
        if match is None or int(match[1]) >= _PID_LIMIT or _alive(int(match[1])):
            continue
        try:
            remove(path)
        except OSError:
            continue
        removed.append(path)
    return removed


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Open an ordinary file for reading: no link followed, no device or pipe waited for.

    Raises ArtifactError naming the file.
    """
    path = Path(path)
    flags = os.O_RDONLY
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY", "O_CLOEXEC"):  # where the system has them
        flags |= getattr(os, name, 0)
    try:
        if path.is_symlink():
            raise ArtifactError(
                f"{path}: is a symbolic link; a run holds ordinary files only",
                hint="Put a copy of the file in its place.",
            )
        descriptor = os.open(path, flags)
    except FileNotFoundError as error:
        raise ArtifactError(
            f"{path}: is missing", hint="Restore it from a copy, or train again."
        ) from error
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{path}: cannot be opened: {getattr(error, 'strerror', None) or error}",
            hint="Check that you may read it.",
        ) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ArtifactError(
            f"{path}: is not an ordinary file", hint="Put the file of that name in its place."
        )
    return os.fdopen(descriptor, "rb")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the name {twice[:60]!r} occurs twice in one object")
    return result


def _constant(text: str) -> float:
    raise ValueError(f"{text} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:20]} is too large")
    return value


def _children(value: Any) -> Iterator[Any]:
    inner = value.values() if isinstance(value, dict) else value
    return (item for item in inner if isinstance(item, dict | list))


def _check_depth(value: Any, limit: int) -> None:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(limit):
        level = [child for item in level for child in _children(item)]
        if not level:
            return
    raise ValueError(f"it is nested deeper than {limit} levels")


def parse_json(data: bytes, *, max_depth: int = MAX_JSON_DEPTH) -> Any:
    """The value of strict JSON in UTF-8.

    Raises ValueError for anything else, and for what Python's parser lets pass: names that occur
    twice in one object, NaN, infinities, more than ``max_depth`` nested containers.
    """
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_constant,
            parse_float=_finite,
        )
    except RecursionError as error:
        raise ValueError(f"it is nested deeper than {max_depth} levels") from error
    _check_depth(value, max_depth)
    return value


def read_bytes(path: str | os.PathLike[str], *, max_bytes: int) -> bytes:
    """The bytes of an ordinary, non-empty file. Raises ArtifactError naming it."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise ArtifactError(
                f"{path}: has {size:,} bytes, more than the {max_bytes:,} such a file may have",
                hint="Restore the file from a copy.",
            )
        data = file.read(size)
    if not data:
        raise ArtifactError(f"{path}: is empty", hint="Restore it from a copy, or train again.")
    return data


def read_json(
    path: str | os.PathLike[str],
    *,
    max_bytes: int = MAX_JSON_BYTES,
    max_depth: int = MAX_JSON_DEPTH,
) -> Any:
    """The value of a JSON file of at most ``max_bytes``; see ``parse_json``.

    Raises ArtifactError naming the file.
    """
    data = read_bytes(path, max_bytes=max_bytes)
    try:
        return parse_json(data, max_depth=max_depth)
    except ValueError as error:
        raise ArtifactError(
            f"{path}: is not the JSON it should be: {error}",
            hint="Restore the file from a copy, or train again.",
        ) from error
