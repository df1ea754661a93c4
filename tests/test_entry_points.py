"""Entry points read from folders: the same as the standard library finds, without its e-mail."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from gmkit.entry_points import EntryPoint, entry_points


def lay(site: Path, name: str, text: str, metadata: str | None = None) -> None:
    folder = site / name
    folder.mkdir()
    (folder / "entry_points.txt").write_text(text)
    if metadata is not None:
        (folder / "METADATA").write_text(metadata)


@pytest.mark.parametrize("group", ["gmkit.plugins", "console_scripts", "pytest11"])
def test_the_standard_library_finds_the_same(group: str) -> None:
    mine = {(e.name, e.value) for e, _, _ in entry_points(group)}
    theirs = importlib.metadata.entry_points(group=group)
    assert mine == {(e.name, e.value.split("[")[0].strip()) for e in theirs}
    assert mine


def test_names_versions_and_what_is_left_out(site: Path) -> None:
    good = "Metadata-Version: 2.1\nName: A.Good\nVersion: 1.2\n\nName: body\n"
    text = (
        "# a comment\n[other]\nx = y\n[mine]\n; another\none = a.b:C [extra]\ntwo=c\n[last]\nz=1\n"
    )
    lay(site, "a_good-1.2.dist-info", text, good)
    lay(site, "nameless-1.0.dist-info", text, "Version: 1.0\n")
    lay(site, "bare-1.0.dist-info", text)
    assert list(entry_points("mine")) == [
        (EntryPoint("one", "a.b:C"), "A.Good", "1.2"),
        (EntryPoint("two", "c"), "A.Good", "1.2"),
    ]
    assert list(entry_points("absent")) == []


def test_loading() -> None:
    assert EntryPoint("p", "pathlib").load() is sys.modules["pathlib"]
    assert EntryPoint("p", "pathlib : Path.home").load() == Path.home
    with pytest.raises(ModuleNotFoundError):
        EntryPoint("p", "no_such_module_here").load()
    with pytest.raises(AttributeError):
        EntryPoint("p", "pathlib:Nothing").load()


def test_help_needs_no_mail() -> None:
    code = "import sys; from gmkit.cli.main import main; main(['--help'])"
    code += "; print('email' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
