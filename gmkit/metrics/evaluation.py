"""All of a domain's metrics about a model's samples, each beside its floor.

The floor is the same metric of a copy of training records: what a model that only remembers
would reach. Distances cannot be expected below it, and novelty is where remembering fails.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from gmkit.api import MetricInfo
from gmkit.errors import PluginError
from gmkit.observer import Observer
from gmkit.plugins import Registry


@dataclass(frozen=True)
class Figure:
    """One figure of an evaluation; NaN where it is not defined."""

    name: str
    value: float
    floor: float
    direction: str


@dataclass(frozen=True)
class Evaluation:
    """Figures by name, and the metrics that could not be computed with the reason."""

    figures: dict[str, Figure]
    missing: dict[str, str] = field(default_factory=dict)
    samples: int = 0

    def values(self) -> dict[str, float]:
        """Name → value."""
        return {name: figure.value for name, figure in self.figures.items()}

    def floors(self) -> dict[str, float]:
        """Name → floor."""
        return {name: figure.floor for name, figure in self.figures.items()}

    def to_json(self) -> dict[str, Any]:
        """JSON-able; an undefined figure is null."""
        return {
            "samples": self.samples,
            "figures": {
                name: {
                    "value": _number(f.value),
                    "floor": _number(f.floor),
                    "direction": f.direction,
                }
                for name, f in self.figures.items()
            },
            "missing": self.missing,
        }


def evaluate_samples(
    registry: Registry,
    domain: str,
    tables: Mapping[str, pa.Table],
    observer: Observer,
    *,
    quick: bool = False,
) -> Evaluation:
    """Metrics of ``domain`` on ``tables``: ``real`` (trained on), ``synthetic``, ``holdout``,
    ``floor`` (a copy of as many training records). ``quick``: only the cheap ones. A metric
    whose optional library is missing is named in ``missing``."""
    infos = list(metrics_of(registry, domain, quick=quick))
    figures: dict[str, Figure] = {}
    missing: dict[str, str] = {}
    for done, info in enumerate(infos):
        observer.advance(done, len(infos))
        try:
            metric = registry.load(info)
            values = metric(tables["real"], tables["synthetic"], tables["holdout"])
            floors = metric(tables["real"], tables["floor"], tables["holdout"])
        except PluginError as error:
            missing[info.name] = str(error).replace("\n", " ")
            continue
        for name, value in values.items():
            floor = floors.get(name, math.nan)
            figures[name] = Figure(name, float(value), float(floor), info.direction)
    observer.advance(len(infos), len(infos))
    return Evaluation(figures, missing, tables["synthetic"].num_rows)


def metrics_of(registry: Registry, domain: str, *, quick: bool) -> Iterable[MetricInfo]:
    """The metrics of a domain and those of every domain."""
    for info in registry.metrics().values():
        if info.domain in ("", domain) and (info.quick or not quick):
            yield info


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
