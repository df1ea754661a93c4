"""``gmkit doctor``."""

from __future__ import annotations

import pytest

from gmkit.cli import checks
from gmkit.cli.checks import Check, folder_check


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GMKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GMKIT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("GMKIT_PLUGINS", "gmkit-beasts")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_sound_installation(gmkit, home):
    outcome = gmkit("doctor", "--json")
    assert outcome.code == 0, outcome.out
    assert outcome.err == ""
    found = {check["name"]: check for check in outcome.json["checks"]}
    assert found["self-test: torch"]["found"] == "matrix product right"
    assert found["cache folder"]["found"].startswith(str(home / "cache"))
    assert found["plugin core"]["status"] == "ok"
    assert {"python", "gmkit", "torch", "cores", "gpu", "torch threads"} <= set(found)


def test_a_failed_plugin_and_a_missing_library(gmkit, home, install, monkeypatch):
    install(
        "gmkit-beasts",
        "@hookimpl\ndef gmkit_register_domains():\n"
        "    return [DomainInfo(name='beasts', loader='a:B', requires=('a_library_away',))]",
        plugin="beasts",
    )
    install("no-import", "import a_module_away")
    monkeypatch.setenv("GMKIT_PLUGINS", "beasts,no-import")
    outcome = gmkit("doctor")
    assert outcome.code == 4
    text = " ".join(outcome.out.split())
    assert "fail a_library_away ModuleNotFoundError: No module named 'a_library_away'" in text
    assert "pip install --upgrade gmkit-beasts" in text
    assert "fail plugin no-import failed: No module named 'a_module_away'" in text


def test_folder_is_made_and_measured(tmp_path):
    check = folder_check("data folder", tmp_path / "a" / "b", "move it")
    assert check.status in ("ok", "warn")
    assert "GiB free" in check.found
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    check = folder_check("data folder", tmp_path / "file" / "b", "move it")
    assert (check.status, check.advice) == ("fail", "move it")
    assert "Not a directory" in check.found


def test_folder_with_little_space(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "LOW_SPACE", 2**80)
    assert folder_check("data folder", tmp_path, "move it").status == "warn"


def test_python_outside_the_tested_range(monkeypatch):
    monkeypatch.setattr(checks.sys, "version_info", (3, 10, 1))
    assert checks._python().status == "warn"


def test_more_threads_than_cores(monkeypatch):
    import torch

    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    monkeypatch.setattr(checks, "usable_cores", lambda: 2)
    assert checks._threads() == Check(
        "torch threads", "warn", "64 for 2 usable cores", "Set OMP_NUM_THREADS=2."
    )
