"""gmkit: generative models for every kind of data.

>>> import gmkit
>>> run = gmkit.train(domain="molecules", model="vae")
>>> run.sample(10)

The public names load on first use (PEP 562): importing gmkit imports nothing else.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gmkit.api import hookimpl
    from gmkit.errors import (
        ArtifactError,
        ConfigError,
        DataError,
        GmkitError,
        Interrupted,
        PluginError,
        TrainingError,
    )
    from gmkit.learn import train
    from gmkit.run import Run, load

    __version__: str
    AnomalyDetector: Any
    Augmenter: Any

__all__ = [
    "ArtifactError",
    "ConfigError",
    "DataError",
    "GmkitError",
    "Interrupted",
    "PluginError",
    "Run",
    "TrainingError",
    "__version__",
    "hookimpl",
    "load",
    "train",
]

_PLUGINS = {
    "AnomalyDetector": ("anomaly", "gmkit_anomaly.estimator"),
    "Augmenter": ("augmentation", "gmkit_augmentation.augmenter"),
}
"""Names that a first-party plugin brings: extra, module."""
_HOMES = {"hookimpl": "gmkit.api", "Run": "gmkit.run", "load": "gmkit.run", "train": "gmkit.learn"}


def __getattr__(name: str) -> Any:
    if name in _PLUGINS:
        return _of_plugin(name)
    if name not in __all__:
        raise AttributeError(f"module 'gmkit' has no attribute {name!r}")
    value = (
        _version()
        if name == "__version__"
        else getattr(import_module(_HOMES.get(name, "gmkit.errors")), name)
    )
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PLUGINS})


def _of_plugin(name: str) -> Any:
    """What a plugin brings. Raises PluginError where it is not installed."""
    extra, module = _PLUGINS[name]
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        from gmkit.errors import PluginError

        hint = f"pip install 'gmkit[{extra}]'"
        raise PluginError(f"gmkit.{name} needs the plugin {extra}", hint=hint) from error


def _version() -> str:
    """The installed distribution's version; ``0+unknown`` for a checkout that is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("gmkit")
    except PackageNotFoundError:
        return "0+unknown"
