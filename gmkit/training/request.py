"""What the user asked for, as settings; checked as far as needs no torch, to answer at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gmkit.config import Settings, merge, parse_settings, read_toml
from gmkit.errors import ConfigError
from gmkit.plugins import Registry, registry
from gmkit.training.budget import parse_duration

MODEL = "vae"
"""The family where neither the user nor the domain names one."""


def requested(
    *,
    config: str | Path | None = None,
    settings: Mapping[str, Any] | Iterable[str] = (),
    data: Any = None,
    **options: Any,
) -> Settings:
    """One table of the configuration file, ``settings`` and the dedicated options, later wins.

    ``options``: those of ``gmkit.train``. Raises ConfigError for what cannot be read.
    """
    given = settings if isinstance(settings, Mapping) else parse_settings(settings)
    budget = options.get("time_budget")
    dedicated: Settings = {
        "domain": options.get("domain") or None,
        "model": options.get("model") or None,
        "seed": options.get("seed"),
        "data": {
            "source": _place(data) if isinstance(data, str | Path) else None,
            "column": options.get("column") or None,
            "strict": options.get("strict"),
        },
        "trunk": {"size": options.get("size")},
        "codec": {"condition": _names(options.get("condition"))},
        "training": {
            "time_budget": parse_duration(budget) if isinstance(budget, str) else budget,
            "device": options.get("device"),
            "precision": options.get("precision"),
        },
    }
    return merge(read_toml(Path(config)) if config else {}, given, dedicated)


def _names(condition: str | Iterable[str] | None) -> list[str] | None:
    """Columns of ``"qed,logp"`` or ``["qed", "logp"]``; None for none at all."""
    if isinstance(condition, str):
        condition = [name.strip() for name in condition.split(",")] if condition.strip() else ()
    return list(condition or ()) or None


def check_names(settings: Settings) -> None:
    """Raise ConfigError where no domain is named, PluginError for an unknown domain or model."""
    known = registry()
    if not settings.get("domain"):
        data = settings.get("data")
        source = data.get("source") if isinstance(data, Mapping) else ""
        raise _no_domain(known, str(source or ""))
    known.get("domain", str(settings["domain"]))
    known.get("family", model_of(settings))


def model_of(settings: Settings) -> str:
    """The family's name: as asked for, else the domain's own, else the usual one."""
    domain = registry().domains().get(str(settings["domain"]))
    return str(settings.get("model") or (domain and domain.model) or MODEL)


def _place(data: str | Path) -> str:
    """A path made absolute, so that the run finds its data from any folder; a name as it is."""
    path = Path(data).expanduser()
    return str(path.absolute()) if os.path.lexists(path) else str(data)


def _no_domain(known: Registry, source: str) -> ConfigError:
    """What to type instead. A file's ending suggests a domain; it is never chosen silently, since
    the next plugin installed would change what the same command means."""
    domains = known.domains()
    reading = [n for n, info in domains.items() if source.lower().endswith(info.extensions)]
    dataset = known.datasets().get(source)
    if dataset is not None and dataset.domain in domains:
        reading = [dataset.domain]
    if not domains:
        hint = "No domain is installed. For molecules: pip install 'gmkit[molecules]'"
    elif reading and source:
        hint = f"{source} is for {reading[0]}: add --domain {reading[0]}"
    else:
        shown = "\n".join(f"  --domain {name:<12} {info.summary}" for name, info in domains.items())
        hint = f"Say what kind of data it is:\n{shown}"
    return ConfigError("no domain was given", hint=hint)
