"""Import rules that lint-imports cannot state; the others are contracts in pyproject.toml."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLUGINS = sorted(ROOT.glob("plugins/*/gmkit_*"))


def imports(file: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of each import in a file; the name is empty for ``import module``."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_plugins_import_no_private_name_of_the_core(plugin: Path) -> None:
    private = [
        f"{file.relative_to(ROOT)}: {module}.{name}"
        for file in plugin.rglob("*.py")
        for module, name in imports(file)
        if module.partition(".")[0] == "gmkit"
        and any(part.startswith("_") for part in [*module.split("."), name])
    ]
    assert private == []


@pytest.mark.parametrize("module", ["api", "hookspecs"])
def test_a_plugins_description_needs_only_the_standard_library_and_pluggy(module: str) -> None:
    found = {name.partition(".")[0] for name, _ in imports(ROOT / "gmkit" / f"{module}.py")}
    assert found - sys.stdlib_module_names <= {"pluggy", "gmkit"}


def test_errors_need_only_the_standard_library() -> None:
    found = {name.partition(".")[0] for name, _ in imports(ROOT / "gmkit" / "errors.py")}
    assert found <= sys.stdlib_module_names


def test_no_file_is_named_for_nothing() -> None:
    empty = {"utils.py", "util.py", "helpers.py", "misc.py", "common.py"}
    folders = [ROOT / "gmkit", ROOT / "tests", ROOT / "benchmarks", ROOT / "plugins"]
    assert [file for folder in folders for file in folder.rglob("*.py") if file.name in empty] == []


def test_nothing_unpickles() -> None:
    loads = {"pickle", "cloudpickle", "dill", "shelve", "marshal"}
    packages = [ROOT / "gmkit", *PLUGINS]
    found = [
        f"{file.relative_to(ROOT)}: {module}"
        for package in packages
        for file in package.rglob("*.py")
        for module, _ in imports(file)
        if module.partition(".")[0] in loads
    ]
    assert found == []
