"""Entry points of the installed distributions, read from their folders.

``importlib.metadata`` gives the same, but imports the standard library's e-mail parser: a third of
what ``gmkit --help`` takes. Distributions inside zip files are not searched.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

_FOLDERS = (".dist-info", ".egg-info")


@dataclass(frozen=True)
class EntryPoint:
    """A name, and what it stands for: ``"package.module"`` or ``"package.module:Name"``."""

    name: str
    value: str

    def load(self) -> Any:
        """Import it. Raises whatever the import does."""
        module, _, attribute = self.value.partition(":")
        found = import_module(module.strip())
        for part in filter(None, attribute.strip().split(".")):
            found = getattr(found, part)
        return found


def entry_points(group: str) -> Iterator[tuple[EntryPoint, str, str]]:
    """(entry point, distribution, version) of a group, in the order of ``sys.path``.

    Whatever cannot be read is left out: pip is the tool that reports it.
    """
    for place in sys.path:
        try:
            folders = sorted(p for p in Path(place or ".").iterdir() if p.suffix in _FOLDERS)
        except OSError:  # not there, or a zip file
            continue
        for folder in folders:
            try:
                text = (folder / "entry_points.txt").read_text(encoding="utf-8")
                found = list(_of_group(text, group)) if group in text else []
                if found:
                    distribution, version = _name_and_version(folder)
                    yield from ((entry, distribution, version) for entry in found)
            except (OSError, ValueError):
                continue


def _of_group(text: str, group: str) -> Iterator[EntryPoint]:
    """The lines ``name = value`` below ``[group]``; extras in brackets are left out."""
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
        elif section == group and "=" in line and not line.startswith(("#", ";")):
            name, value = line.split("=", 1)
            yield EntryPoint(name.strip(), value.split("[")[0].strip())


def _name_and_version(folder: Path) -> tuple[str, str]:
    """From the head of the metadata. Raises ValueError where it tells no name."""
    known: dict[str, str] = {}
    path = folder / ("METADATA" if folder.suffix == ".dist-info" else "PKG-INFO")
    with path.open(encoding="utf-8") as file:
        for line in file:
            if not line.strip():
                break
            key, _, value = line.partition(":")
            known.setdefault(key.lower(), value.strip())
    if not known.get("name"):
        raise ValueError(f"{path} names no distribution")
    return known["name"], known.get("version", "")
