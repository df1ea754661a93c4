"""From what the user wrote to the files, or the generator, that it means."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gmkit.data.download import dataset_path
from gmkit.data.formats import FolderFormat, Format, ending, listed
from gmkit.errors import ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

    from gmkit.api import DatasetInfo, DomainInfo
    from gmkit.domain import Domain

_FIRST_PARTY = {
    "molecules": {".smi", ".smiles", ".sdf"},
    "images": {".png", ".jpg", ".jpeg", ".webp", ".bmp"},
    "audio": {".wav", ".flac", ".mp3", ".ogg"},
    "text": {".txt", ".md"},
}
"""Endings that the project's own domains read, for when their plugin is not installed."""


class Registry(Protocol):
    """What is asked of ``gmkit.plugins.Registry``."""

    def datasets(self) -> dict[str, DatasetInfo]:
        """Data sets by name."""
        ...

    def domains(self) -> dict[str, DomainInfo]:
        """Domains by name."""
        ...

    def load(self, info: Any) -> Any:
        """The object a record's ``loader`` names."""
        ...


@dataclass(frozen=True)
class Found:
    """Either files or a maker of batches, and the data set they are of, if any."""

    name: str
    files: tuple[Path, ...] = ()
    batches: Callable[[], Iterator[pa.RecordBatch]] | None = None
    info: DatasetInfo | None = None
    folder: Path | None = None
    """Where ``files`` are to be read as one by ``Domain.folder``."""


def find(
    data: str | Path | None,
    domain: Domain | None,
    registry: Registry,
    formats: Mapping[str, Format],
) -> Found:
    """Resolve a path, a data set's name or None. Raises DataError, ConfigError."""
    if data is None:
        return _dataset(_default(domain, registry), registry, formats, domain)
    if not str(data).strip():
        raise DataError("the name of the data is empty", hint="Give a file, folder or data set.")
    if isinstance(data, str) and "://" in data:
        raise DataError("addresses are not fetched", file=data, hint="Download the file first.")
    path = Path(data).expanduser()
    try:
        if path.exists():
            return _at(path, path.name, formats, domain, registry)
    except (OSError, ValueError) as fault:  # too long, a NUL, no permission on the way
        raise DataError(
            f"is no path that can be looked up: {fault}", file=str(data)[:200]
        ) from None
    known = registry.datasets()
    if str(data) in known:
        return _dataset(known[str(data)], registry, formats, domain)
    raise _missing(path, known)


def no_format(
    path: Path, formats: Mapping[str, Format], domain: Domain | None, registry: Registry
) -> DataError:
    """The error for a file whose ending nothing reads here; says what would read it."""
    end = path.suffix.lower()
    reading = [name for name, info in registry.domains().items() if end and end in info.extensions]
    absent = [name for name, ends in _FIRST_PARTY.items() if end in ends]
    if reading and (domain is None or domain.info.name not in reading):
        hint = f"Domain {reading[0]!r} reads {end}: add --domain {reading[0]}."
    elif absent and absent[0] not in registry.domains():
        hint = f"Domain {absent[0]!r} reads {end}: pip install gmkit[{absent[0]}]"
    else:
        hint = "Convert it to one of them."
    found = f"ends in {end!r}" if end else "has no ending"
    return DataError(f"{found}; can be read: {listed(formats)}", file=str(path), hint=hint)


def find_all(paths: Sequence[Path]) -> Found:
    """Several files as one source, in the order given. Raises DataError."""
    for path in paths:
        if not path.is_file():
            raise DataError("is not a file", file=str(path))
    return Found(f"{len(paths):,} files", tuple(paths))


def _at(
    path: Path,
    name: str,
    formats: Mapping[str, Format],
    domain: Domain | None,
    registry: Registry,
    info: DatasetInfo | None = None,
) -> Found:
    """What lies at an existing path: a file, tables in a folder, or a folder of a domain's own."""
    reader: FolderFormat | None = domain.folder() if domain is not None else None
    if reader is not None and path.is_dir():
        files = reader.files(path)
        tables = {p for p in _inside(path) if ending(p, formats)} - set(files)
        if files:  # pictures beside tables are not data
            tabled = Found(name, tuple(sorted(tables)), info=info)
            return tabled if tables else Found(name, files, info=info, folder=path)
    return Found(name, _files(path, formats, domain, registry), info=info)


def _inside(folder: Path) -> list[Path]:
    """Files directly in a folder. Hidden ones and the marks of other tools (_SUCCESS, _metadata)
    are not data."""
    return sorted(p for p in folder.iterdir() if p.is_file() and p.name[0] not in "._")


def _files(
    path: Path, formats: Mapping[str, Format], domain: Domain | None, registry: Registry
) -> tuple[Path, ...]:
    if path.is_file():
        return (path,)
    if not path.is_dir():
        raise DataError("is neither a file nor a folder", file=str(path))
    inside = _inside(path)
    files = tuple(p for p in inside if ending(p, formats))
    if not files:
        strange = [p for p in inside if p.suffix]
        hint = no_format(strange[0], formats, domain, registry).hint if strange else ""
        raise DataError(
            f"no file in this folder can be read; can be read: {listed(formats)}",
            file=str(path),
            hint=hint,
        )
    return files


def _dataset(
    info: DatasetInfo, registry: Registry, formats: Mapping[str, Format], domain: Domain | None
) -> Found:
    place = dataset_path(info, registry)
    if isinstance(place, Path):
        return _at(place, info.name, formats, domain, registry, info)
    return Found(info.name, batches=lambda: _again(info, registry), info=info)


def _again(info: DatasetInfo, registry: Registry) -> Iterator[pa.RecordBatch]:
    made = dataset_path(info, registry)
    assert not isinstance(made, Path)
    return made


def _default(domain: Domain | None, registry: Registry) -> DatasetInfo:
    if domain is None:
        raise ConfigError("no data given", hint="Name a file, a folder or a data set: --data NAME.")
    mine = [info for info in registry.datasets().values() if info.domain == domain.info.name]
    default = next((info for info in mine if info.default), None)
    if default is None:
        raise ConfigError(
            f"domain {domain.info.name!r} has no default data set",
            hint=f"Name a file with --data. {did_you_mean('', [i.name for i in mine])}".strip(),
        )
    return default


def _missing(path: Path, datasets: Mapping[str, DatasetInfo]) -> DataError:
    folder = path.parent
    try:
        beside = {p.name: str(p) for p in folder.iterdir() if p.name[0] != "."}
    except OSError:
        beside = {}
    hint = did_you_mean(path.name, [*beside, *datasets])
    if not hint.startswith("Did"):
        if not folder.is_dir():
            hint = f"There is no folder {folder}."
        else:
            hint = f"Data sets: {', '.join(sorted(datasets)) or 'none'} (gmkit data ls)."
    return DataError("no such file, folder or data set", file=str(path), hint=hint)
