"""What pip is told: versions in step, everything imported declared, pins within the ranges."""

from __future__ import annotations

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
OPTIONAL = {"tensorboard", "torchvision"}
"""Extras that the tests do without."""


def project(folder: Path) -> dict[str, Any]:
    """The ``[project]`` table of a distribution."""
    table: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return table


def declared(folder: Path) -> dict[str, Requirement]:
    """Requirements and those of extras, by name."""
    facts = project(folder)
    extras = facts.get("optional-dependencies", {}).values()
    lines = [*facts["dependencies"], *(line for extra in extras for line in extra)]
    return {canonicalize_name(Requirement(line).name): Requirement(line) for line in lines}


def requirement_lines() -> list[str]:
    """``requirements.txt`` without comments."""
    lines = (line.strip() for line in (ROOT / "requirements.txt").read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def imported(package: Path) -> set[str]:
    """Distributions that a package's modules import, but its own and the standard library."""
    modules = set()
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules.add((node.module or "").partition(".")[0])
    owners = packages_distributions()
    foreign = modules - sys.stdlib_module_names - {package.name}
    return {canonicalize_name(owners.get(module, [module])[0]) for module in foreign}


@pytest.mark.parametrize("folder", [ROOT, *PLUGINS], ids=lambda path: path.name)
def test_what_is_imported_is_declared(folder: Path) -> None:
    package = folder / project(folder)["name"].replace("-", "_")
    assert imported(package) <= declared(folder).keys()


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda path: path.name)
def test_plugins_keep_in_step_with_the_core(folder: Path) -> None:
    core, plugin = project(ROOT), project(folder)
    major, minor = core["version"].split(".")[:2]
    specifier = declared(folder)["gmkit"].specifier
    assert plugin["version"] == core["version"]
    assert {str(part) for part in specifier} == {
        f">={major}.{minor}",
        f"<{major}.{int(minor) + 1}",
    }
    assert plugin["requires-python"] == core["requires-python"]
    offered = declared(ROOT)[plugin["name"]]
    assert offered.specifier == specifier


def test_requirements_install_the_core_and_every_plugin_of_the_repository() -> None:
    editable = [line.removeprefix("-e ") for line in requirement_lines() if line.startswith("-e ")]
    assert editable == [".", *(path.relative_to(ROOT).as_posix() for path in PLUGINS)]


def test_requirements_pin_what_is_declared_within_its_range() -> None:
    lines = [line for line in requirement_lines() if not line.startswith("-e ")]
    pins = {canonicalize_name(Requirement(line).name): Requirement(line) for line in lines}
    versions = {}
    for name, pin in pins.items():
        (only,) = pin.specifier
        assert only.operator == "=="
        versions[name] = only.version
    own = {project(folder)["name"] for folder in [ROOT, *PLUGINS]}
    for folder in [ROOT, *PLUGINS]:
        wanted = {k: v for k, v in declared(folder).items() if k not in own | OPTIONAL}
        missing = wanted.keys() - versions.keys()
        outside = {k for k in wanted.keys() - missing if versions[k] not in wanted[k].specifier}
        assert (missing, outside) == (set(), set())


def test_requirements_name_no_index() -> None:
    text = (ROOT / "requirements.txt").read_text()
    assert "://" not in text
    assert not any(line.startswith(("-i", "-f", "--")) for line in requirement_lines())
