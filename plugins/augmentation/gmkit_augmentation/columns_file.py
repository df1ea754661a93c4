"""``columns.toml``: what columns are, where that is not to be inferred, and what must hold."""

from __future__ import annotations

from pathlib import Path

from gmkit.config import read_toml
from gmkit.errors import ConfigError, did_you_mean

KINDS = ("number", "category", "identifier", "text", "constant")


def read_kinds(path: Path) -> dict[str, str]:
    """Column → kind, of a file with the table ``[columns]``. Raises ConfigError."""
    settings = read_toml(path)
    columns = settings.get("columns", {} if "constraints" in settings else None)
    if not isinstance(columns, dict):
        raise ConfigError(
            f"{path} has no table [columns]", hint='Write for example:\n[columns]\nzip = "category"'
        )
    for name, kind in columns.items():
        if kind not in KINDS:
            near = did_you_mean(str(kind), KINDS)
            raise ConfigError(f"{path}: {name} = {kind!r} is no kind of column", hint=near)
    return {str(name): str(kind) for name, kind in columns.items()}


def read_constraints(path: Path) -> tuple[str, ...]:
    """``constraints = ["start<=end", …]`` of the same file. Raises ConfigError."""
    found = read_toml(path).get("constraints", [])
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise ConfigError(
            f"{path}: constraints is no list of texts",
            hint='Write for example:\nconstraints = ["start<=end", "unique(order)"]',
        )
    return tuple(found)


def kinds_toml(kinds: dict[str, str]) -> str:
    """The file that says so."""
    import tomlkit

    return tomlkit.dumps({"columns": kinds})
