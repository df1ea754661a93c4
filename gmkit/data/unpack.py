"""Archives: unpacked only where every entry is an ordinary file inside the folder.

Refused: absolute paths, ``..``, links, devices, names given twice, and expansion beyond 100 to 1,
counted in bytes actually produced and not in what the archive says.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO, Any

from gmkit.artifact.files import clear_litter, remove, sync, temporary_name
from gmkit.errors import DataError

RATIO = 100
"""Most bytes that one byte of archive may become …"""
SMALL = 1 << 20
"""… but this many are harmless from any archive."""
_ENTRIES = 1_000_000
_CHUNK = 1 << 20
_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_FAULTS = (
    OSError, EOFError, ValueError, RuntimeError, NotImplementedError, OverflowError,
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError,
)  # fmt: skip


def is_archive(path: Path) -> bool:
    """Whether the name is that of an archive of files (a lone ``.gz`` is not)."""
    return path.name.lower().endswith((".zip", *_TARS))


def unpack(archive: Path, folder: Path, *, max_bytes: int) -> None:
    """Make ``folder`` from a zip, a tar (gz, bz2, xz) or a lone gz; it appears whole, by rename.

    ``max_bytes``: most bytes to produce. Raises DataError naming the archive and the entry, with
    nothing left behind; also where ``folder`` exists.
    """
    if folder.exists():
        raise DataError("exists already", file=str(folder), hint="Remove it to unpack again.")
    temporary = temporary_name(folder)
    try:
        clear_litter(folder.parent)
        remove(temporary)
        temporary.mkdir()
        budget = _Budget(archive, min(max_bytes, max(RATIO * archive.stat().st_size, SMALL)))
        for name, stream in _entries(archive, budget):
            _extract(archive, temporary, name, stream, budget)
        temporary.rename(folder)
    except DataError:
        raise
    except _FAULTS as fault:
        raise DataError(f"cannot be unpacked: {fault}", file=str(archive)) from fault
    finally:
        with suppress(OSError):
            remove(temporary)


class _Budget:
    """Bytes that may still be produced."""

    def __init__(self, archive: Path, limit: int) -> None:
        self._archive = archive
        self._limit = limit
        self._used = 0

    def spend(self, amount: int) -> None:
        self._used += amount
        if self._used > self._limit:
            raise DataError(
                f"would unpack to more than {self._limit:,} bytes",
                file=str(self._archive),
                hint=f"More than {RATIO} to 1, or more than expected: likely a decompression bomb.",
            )


class _Metered:
    """A decompressed stream that spends the budget: headers and padding count as well."""

    def __init__(self, stream: IO[bytes], budget: _Budget) -> None:
        self._stream = stream
        self._budget = budget

    def read(self, size: int = -1) -> bytes:
        block = self._stream.read(_CHUNK if size < 0 else min(size, _CHUNK))
        self._budget.spend(len(block))
        return block


def _entries(archive: Path, budget: _Budget) -> Iterator[tuple[str, Any]]:
    """Name and content of every file; refuses whatever else is in there."""
    name = archive.name.lower()
    if name.endswith(".zip"):
        yield from _zip_entries(archive)
    elif name.endswith(_TARS):
        yield from _tar_entries(archive, budget)
    elif name.endswith(".gz"):
        with gzip.open(archive) as stream:
            yield archive.name[:-3], stream
    else:
        raise DataError("is neither zip, tar nor gz", file=str(archive))


def _zip_entries(archive: Path) -> Iterator[tuple[str, Any]]:
    with zipfile.ZipFile(archive) as file:
        infos = file.infolist()
        if len(infos) > _ENTRIES:
            raise DataError(f"holds {len(infos):,} entries", file=str(archive))
        for info in infos:
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(archive, info.filename, "is a link or a device")
            _check_name(archive, info.filename)
            if not info.is_dir():
                with file.open(info) as stream:
                    yield info.filename, stream


def _tar_entries(archive: Path, budget: _Budget) -> Iterator[tuple[str, Any]]:
    # Read as a stream, so that the meter sees every byte, an entry's header included.
    with (
        _decompressed(archive) as raw,
        tarfile.open(fileobj=_Metered(raw, budget), mode="r|") as file,  # type: ignore[call-overload]
    ):
        for count, info in enumerate(file):
            if count >= _ENTRIES:
                raise DataError(f"holds over {_ENTRIES:,} entries", file=str(archive))
            if not (info.isreg() or info.isdir()):
                raise _refused(archive, info.name, "is a link or a device")
            _check_name(archive, info.name)
            if info.isreg():
                yield info.name, file.extractfile(info)


@contextmanager
def _decompressed(archive: Path) -> Iterator[IO[bytes]]:
    openers: dict[str, Any] = {".gz": gzip.open, ".tgz": gzip.open, ".bz2": bz2.open}
    openers |= {".xz": lzma.open}
    opener = openers.get(archive.suffix.lower(), open)
    with opener(archive, "rb") as stream:
        yield stream


def _check_name(archive: Path, name: str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name or "\0" in name or not path.parts:
        raise _refused(archive, name, "leads out of the folder")


def _refused(archive: Path, name: str, why: str) -> DataError:
    return DataError(
        f"entry {name!r} {why}; nothing was unpacked",
        file=str(archive),
        hint="Get the archive from its publisher again; this one is malformed or hostile.",
    )


def _extract(archive: Path, folder: Path, name: str, stream: Any, budget: _Budget) -> None:
    target = folder.joinpath(*PurePosixPath(name.replace("\\", "/")).parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    # A tar's bytes were metered as they were decompressed.
    metered = archive.name.lower().endswith(_TARS)
    try:
        with target.open("xb") as out:
            while block := stream.read(_CHUNK):
                if not metered:
                    budget.spend(len(block))
                out.write(block)
    except FileExistsError:
        raise _refused(archive, name, "occurs twice") from None
    sync(target)
