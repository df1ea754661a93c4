"""Fixtures shared by tests of several areas."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

# A shared machine makes any time limit of a single example a matter of luck.
settings.register_profile("gmkit", deadline=None)
settings.load_profile("gmkit")

Install = Callable[..., None]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder on ``sys.path`` (subprocesses' too) where fake distributions are laid."""
    folder = tmp_path / "site"
    folder.mkdir()
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(ROOT)]))
    for variable in ("GMKIT_PLUGINS", "GMKIT_DISABLE_PLUGINS", "GMKIT_STRICT_PLUGINS"):
        monkeypatch.delenv(variable, raising=False)
    yield folder
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def install(site: Path) -> Install:
    """``install(distribution, source, plugin=…, version=…, api=…)`` lays a plugin in ``site``."""

    def install(
        distribution: str,
        source: str,
        *,
        plugin: str = "",
        version: str = "1.0",
        api: str | None = "1.0",
    ) -> None:
        # Not the name a real plugin has, which other tests of this process may have imported.
        module = f"fake_{distribution.replace('-', '_')}"
        info = site / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        )
        (info / "entry_points.txt").write_text(
            f"[gmkit.plugins]\n{plugin or distribution} = {module}\n"
        )
        head = "from gmkit.api import *\n"
        if api is not None:
            head += f"__gmkit_api__ = {api!r}\n"
        (site / f"{module}.py").write_text(head + dedent(source))

    return install
