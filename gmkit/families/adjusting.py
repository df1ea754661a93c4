"""Options of a trained model changed for one drawing: ``gmkit sample RUN --set steps=20``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gmkit.config import parse_settings, validated
from gmkit.errors import ConfigError, did_you_mean
from gmkit.families.family import Family, FamilyConfig


def adjustment(family: Family, settings: Mapping[str, Any] | Iterable[str]) -> FamilyConfig:
    """The family's options with ``settings`` put in: nested values or ``["steps=20"]``.

    Names are those of ``Family.adjustable``, with or without ``family.`` before them; of a stack's
    (``diffusion.steps``) the last part is enough where it is the only one. Raises ConfigError for
    any other, and for a value that the option cannot have.
    """
    given = settings if isinstance(settings, Mapping) else parse_settings(settings)
    if not given:
        return family.config
    values = family.config.model_dump()
    for name, value in _flat(given):
        *tables, option = _known(family, name).split(".")
        table = values
        for part in tables:
            table = table[part]
        table[option] = value
    found: FamilyConfig = validated(type(family.config), values, "family")
    return found


@contextmanager
def adjusted(family: Family, config: FamilyConfig) -> Iterator[None]:
    """Within, the family goes by ``config``."""
    own = family.config
    family.config = config
    try:
        yield
    finally:
        family.config = own


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of nested tables."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _known(family: Family, name: str) -> str:
    """The name in ``adjustable`` that is meant."""
    wanted = name.removeprefix("family.")
    if wanted in family.adjustable:
        return wanted
    ending = [known for known in family.adjustable if known.endswith(f".{wanted}")]
    if len(ending) == 1:
        return ending[0]
    names = sorted(family.adjustable)
    can = f"These can: {', '.join(names)}." if names else "Of this model none can."
    near = did_you_mean(wanted, names)
    if wanted in ("temperature", "sampling.temperature"):
        near = "The temperature is an option of its own: --temperature 0.7."
    raise ConfigError(
        f"option {name!r} cannot be changed for a drawing",
        hint=f"{near} {can}" if near.startswith(("Did", "The")) else can,
    )
