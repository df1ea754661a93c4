"""Data sets by address: fetched once, checked by size and SHA-256, resumed when cut off.

Environment: ``GMKIT_DATA`` (folder of data sets), ``GMKIT_OFFLINE=1`` (fetch nothing),
``GMKIT_MIRROR`` (address that stands before ``host/path`` of every data set), ``https_proxy`` and
its relatives as urllib reads them.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import ipaddress
import os
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from gmkit.artifact.files import sync
from gmkit.data.cache import datasets_folder
from gmkit.data.unpack import is_archive, unpack
from gmkit.errors import ConfigError, DataError, PluginError

if TYPE_CHECKING:
    import pyarrow as pa

    from gmkit.api import DatasetInfo

ATTEMPTS = 5
BACK_OFF = 0.5
"""Seconds before the second attempt; twice as long before each further one."""
TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as broken."""
_CHUNK = 1 << 18
_PASSING = {408, 425, 429, 500, 502, 503, 504}
"""HTTP states that may be gone at the next attempt."""

_CONNECTION = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    ssl.SSLError,
)

Progress = Callable[[int, int], None]
"""Called with (bytes so far, bytes in all)."""


class Loads(Protocol):
    """The part of ``gmkit.plugins.Registry`` used here."""

    def load(self, info: Any) -> Any:
        """The object a record's ``loader`` names."""
        ...


class _BrokenError(Exception):
    """A fault that another attempt may not meet."""


def dataset_path(info: DatasetInfo, registry: Loads) -> Path | Iterator[pa.RecordBatch]:
    """The file of a data set, the folder of an archive's files (the inner one, where there is only
    one), or what an embedded one yields.

    Raises DataError when it cannot be had, PluginError for a loader that does not work.
    """
    if info.loader is None:
        file = fetch(info)
        return _unpacked(file, info) if is_archive(file) else file
    try:
        made = registry.load(info)()
    except (DataError, PluginError):
        raise
    except Exception as fault:
        raise PluginError(
            f"the loader of data set {info.name!r} failed: {fault}",
            hint="gmkit doctor says whether its library is installed.",
        ) from fault
    if isinstance(made, (str, Path)):
        return Path(made)
    batches: Iterator[pa.RecordBatch] = iter(made)
    return batches


def fetch(info: DatasetInfo, *, progress: Progress | None = None) -> Path:
    """The verified file of a data set, downloaded unless a good copy lies ready, and those that
    belong beside it.

    A partial download is kept and continued. Raises DataError: offline, unreachable, too long,
    wrong content; each with what to do.
    """
    for further in _beside(info):
        _fetch_one(further, progress)
    return _fetch_one(info, progress)


def _beside(info: DatasetInfo) -> list[DatasetInfo]:
    """The further files, each as a data set of one file."""
    return [replace(info, beside=(), **asdict(file)) for file in info.beside]


def _fetch_one(info: DatasetInfo, progress: Progress | None) -> Path:
    file = datasets_folder() / info.name / _file_name(info)
    if _good(file, info):
        return file
    if os.environ.get("GMKIT_OFFLINE", "") not in ("", "0"):
        state = "is damaged" if file.exists() else "is not here"
        raise DataError(
            f"data set {info.name!r} {state} and GMKIT_OFFLINE forbids fetching it",
            file=str(file),
            hint=f"Lay a copy of {info.url} there, or unset GMKIT_OFFLINE.",
        )
    address = _address(info)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return _locked(info, address, file, progress)
    except OSError as fault:
        raise DataError(
            f"data set {info.name!r} cannot be kept: {fault.strerror or fault}",
            file=str(file),
            hint=f"It takes {info.size:,} bytes. Make room, or set GMKIT_DATA to another folder.",
        ) from fault


def cached(info: DatasetInfo) -> Path | None:
    """The file that ``fetch`` would give at once, judged by its size where that is as expected;
    None if it is not there, or not all that belongs beside it."""
    file = datasets_folder() / info.name / _file_name(info)
    try:
        ready = file.stat().st_size == info.size or _repacked(file, info)
    except OSError:
        return None
    return file if ready and all(map(cached, _beside(info))) else None


def _locked(info: DatasetInfo, address: str, file: Path, progress: Progress | None) -> Path:
    """One process downloads, others wait for it; the system frees the lock of a dead one."""
    from filelock import FileLock

    part = file.with_name(f".{file.name}.part")
    with FileLock(file.with_name(f".{file.name}.lock")):
        if _good(file, info):  # another process was first
            return file
        _download(info, address, part, progress)
        sync(part)
        part.replace(file)
    return file


def _download(info: DatasetInfo, address: str, part: Path, progress: Progress | None) -> None:
    """Fill ``part`` with the right bytes, in as many attempts as allowed."""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(BACK_OFF * 2 ** (attempt - 1))
        resumed = part.exists() and part.stat().st_size > 0
        try:
            _attempt(info, address, part, progress)
        except _BrokenError as fault:
            if attempt + 1 == ATTEMPTS:
                place = part.with_name(_file_name(info))
                raise DataError(
                    f"data set {info.name!r} cannot be fetched from {address}: {fault}",
                    hint=f"{ATTEMPTS} attempts failed; check the network (proxies: https_proxy). "
                    f"What came so far is kept. Or lay a copy at {place}",
                ) from fault
            continue
        found = _sha256(part)
        if found == info.sha256:
            return
        part.unlink()
        if not resumed:  # a part left by something else may be at fault: try from the start
            raise DataError(
                f"data set {info.name!r} from {address} is not the file it should be: "
                f"SHA-256 {found}, expected {info.sha256}",
                hint="The file at that address has changed, or something on the way changed it.",
            )
    raise DataError(f"data set {info.name!r} from {address} could not be completed")


def _attempt(info: DatasetInfo, address: str, part: Path, progress: Progress | None) -> None:
    """Append to ``part`` until it is complete; _BrokenError where another attempt may help."""
    have = part.stat().st_size if part.exists() else 0
    if have >= info.size:  # whole, or longer than it may be; the hash decides
        return
    headers = {"User-Agent": "gmkit", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        request = urllib.request.Request(address, headers=headers)
        with _opener().open(request, timeout=TIMEOUT) as answer:
            continues = answer.status == 206 and _starts_at(answer, have)
            with part.open("ab" if continues else "wb") as out:
                _copy(answer, out, have if continues else 0, info, progress)
    except DataError:
        part.unlink(missing_ok=True)  # more than it may be: nothing to go on from
        raise
    except urllib.error.HTTPError as fault:
        if fault.code == 416:  # the part is no beginning of that file
            part.unlink(missing_ok=True)
            raise _BrokenError("the server refused to continue the download") from fault
        if fault.code in _PASSING:
            raise _BrokenError(f"HTTP {fault.code} {fault.reason}") from fault
        raise DataError(
            f"data set {info.name!r}: {address} answered HTTP {fault.code} {fault.reason}",
            hint="The file is no longer there, or needs a login. Set GMKIT_MIRROR to a mirror.",
        ) from fault
    except _CONNECTION as fault:
        raise _BrokenError(str(getattr(fault, "reason", fault)) or type(fault).__name__) from fault


def _copy(
    answer: http.client.HTTPResponse,
    out: IO[bytes],
    have: int,
    info: DatasetInfo,
    progress: Progress | None,
) -> None:
    declared = answer.headers.get("Content-Length")
    expected = have + int(declared) if declared and declared.isdigit() else info.size
    if expected > info.size:
        raise _too_long(info, expected)
    while chunk := answer.read(_CHUNK):
        have += len(chunk)
        if have > info.size:
            raise _too_long(info, have)
        out.write(chunk)
        if progress is not None:
            progress(have, info.size)
    if have < expected:
        raise _BrokenError(f"the connection ended after {have:,} of {expected:,} bytes")


def _too_long(info: DatasetInfo, found: int) -> DataError:
    return DataError(
        f"data set {info.name!r}: the server sends at least {found:,} bytes, "
        f"{info.size:,} are expected",
        hint="The file at that address has changed; nothing was kept of it.",
    )


def _starts_at(answer: http.client.HTTPResponse, have: int) -> bool:
    return str(answer.headers.get("Content-Range", "")).startswith(f"bytes {have}-")


def _address(info: DatasetInfo) -> str:
    """Where to fetch from, the mirror considered. Raises ConfigError for an unsafe address."""
    address = info.url
    if mirror := os.environ.get("GMKIT_MIRROR"):
        address = f"{mirror.rstrip('/')}/{address.partition('://')[2]}"
    if not _safe(address):
        raise ConfigError(f"{address} is not an https address; data sets are fetched by https only")
    return address


def _safe(address: str) -> bool:
    url = urllib.parse.urlsplit(address)
    if url.scheme == "https":
        return True
    if url.scheme != "http" or os.environ.get("GMKIT_ALLOW_LOOPBACK") != "1":
        return False
    with suppress(ValueError):
        return ipaddress.ip_address(url.hostname or "").is_loopback
    return False


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections to safe addresses only."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if not _safe(newurl):
            raise DataError(f"{req.full_url} redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_Redirects)


def _file_name(info: DatasetInfo) -> str:
    name = (
        info.file or urllib.parse.unquote(urllib.parse.urlsplit(info.url).path).rsplit("/", 1)[-1]
    )
    if not name or name.startswith(".") or "/" in name or "\\" in name:
        raise ConfigError(f"data set {info.name!r} has no usable file name: {name!r}")
    return name


def _good(file: Path, info: DatasetInfo) -> bool:
    try:
        same = file.stat().st_size == info.size and _sha256(file) == info.sha256
        return same or _repacked(file, info)
    except OSError:
        return False


def _repacked(file: Path, info: DatasetInfo) -> bool:
    """Whether a ``.gz`` holds what it should, although compressed otherwise."""
    if not info.content_sha256:
        return False
    try:
        with gzip.open(file, "rb") as stream:
            found = hashlib.file_digest(stream, "sha256")
    except (OSError, EOFError, zlib.error):
        return False
    return found.hexdigest() == info.content_sha256


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _unpacked(archive: Path, info: DatasetInfo) -> Path:
    folder = archive.with_name(f"{archive.name}-{info.sha256[:12]}")
    if not folder.is_dir():
        unpack(archive, folder, max_bytes=100 * info.size)
    inside = list(folder.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder
