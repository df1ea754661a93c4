"""What pyarrow and the system raise on bad files, told as DataError."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from gmkit.errors import DataError, GmkitError

FAULTS: tuple[type[Exception], ...] = (
    pa.ArrowException,  # includes cancelled, invalid, not implemented, capacity, serialisation
    OSError,  # includes ArrowIOError, gzip.BadGzipFile
    ValueError,  # includes UnicodeError
    KeyError,
    IndexError,
    TypeError,
    OverflowError,
    NotImplementedError,
    MemoryError,  # a damaged length asks for the moon
    EOFError,
    zlib.error,
)
"""A damaged file makes pyarrow raise any of these."""


@contextmanager
def readable(path: Path, place: str = "", *, hint: str = "") -> Iterator[None]:
    """Tell a fault met while reading ``path`` as DataError; ``place``: "row group 3"."""
    try:
        yield
    except GmkitError:
        raise
    except FAULTS as fault:
        raise DataError(
            f"{place}: {_reason(fault)}" if place else _reason(fault),
            file=str(path),
            hint=hint or _system_hint(fault),
        ) from fault


def _reason(fault: Exception) -> str:
    if isinstance(fault, FileNotFoundError):
        return "no such file"
    if isinstance(fault, PermissionError):
        return "no permission to read it"
    if isinstance(fault, MemoryError):
        return "asks for more memory than there is: damaged or truncated"
    if isinstance(fault, OSError) and fault.errno:
        return os.strerror(fault.errno)
    line = next((line for line in str(fault).splitlines() if line.strip()), type(fault).__name__)
    return f"cannot be read, damaged or truncated: {line.strip()[:300]}"


def _system_hint(fault: Exception) -> str:
    if isinstance(fault, (FileNotFoundError, PermissionError)):
        return ""
    return "Write or copy the file anew; compare its size and checksum with the original's."
