"""``gmkit data ls|get``, with the download replaced: no test needs a network."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from gmkit.errors import DataError

SHA = "0" * 64
SETS = f"""
@hookimpl
def gmkit_register_domains():
    return [DomainInfo(name="beasts", loader="beasts:Beasts")]
@hookimpl
def gmkit_register_datasets():
    return [
        DatasetInfo(name="toy-cats", domain="beasts", licence="CC0", loader="cats:path",
                    rows=1234, default=True, summary="A few cats"),
        DatasetInfo(name="big-cats", domain="beasts", licence="MIT", size=5000000,
                    url="https://example.org/cats.csv", sha256="{SHA}"),
        DatasetInfo(name="dogs", domain="kennel", licence="MIT", size=10,
                    url="https://example.org/dogs.csv", sha256="{SHA}"),
    ]
"""


@pytest.fixture
def cache(install, tmp_path: Path, monkeypatch) -> Path:
    """Installs the sets; a file in this folder counts as fetched."""
    install("gmkit-beasts", SETS, plugin="beasts")
    monkeypatch.setenv("GMKIT_PLUGINS", "beasts")
    folder = tmp_path / "cache"
    folder.mkdir()

    def cached(info):
        path = folder / info.name
        return path if path.exists() else None

    def fetch(info, progress=None):
        if info.name == "dogs":
            raise DataError("SHA-256 differs", file=info.url, hint="Try again.")
        for done in range(0, info.size + 1, info.size // 4):
            progress(done, info.size)
        (folder / info.name).touch()
        return folder / info.name

    fake = ModuleType("gmkit.data.download")
    fake.cached, fake.fetch = cached, fetch
    monkeypatch.setitem(sys.modules, "gmkit.data.download", fake)
    return folder


def test_ls(gmkit, cache):
    outcome = gmkit("data", "ls")
    rows = {line.split()[0]: " ".join(line.split()) for line in outcome.out.splitlines()}
    assert rows["toy-cats"] == "toy-cats beasts 1,234 CC0 embedded (default) A few cats"
    assert rows["big-cats"] == "big-cats beasts 5.0 MB MIT to fetch"
    assert outcome.err == "Next: gmkit data get big-cats\n"
    assert gmkit("data", "ls", "--quiet").err == ""


def test_ls_of_one_domain_as_json(gmkit, cache):
    (cache / "big-cats").touch()
    rows = gmkit("data", "ls", "--domain", "beasts", "--json").json["datasets"]
    assert [(row["name"], row["where"]) for row in rows] == [
        ("toy-cats", "embedded"),
        ("big-cats", "ready"),
    ]
    assert rows[0] == {
        "name": "toy-cats",
        "domain": "beasts",
        "rows": 1234,
        "size": 0,
        "licence": "CC0",
        "where": "embedded",
        "default": True,
        "summary": "A few cats",
        "citation": "",
    }


def test_ls_of_an_unknown_domain(gmkit, cache):
    outcome = gmkit("data", "ls", "--domain", "beests")
    assert outcome.code == 4
    assert "Did you mean 'beasts'?" in outcome.err


def test_get_prints_the_path_and_what_comes_next(gmkit, cache):
    outcome = gmkit("data", "get", "big-cats")
    assert outcome.code == 0
    assert outcome.out == f"{cache / 'big-cats'}\n"
    assert "big-cats" in outcome.err
    assert "100%" in outcome.err or "5.0" in outcome.err or "4.8" in outcome.err
    assert "Next: gmkit train --domain beasts --data big-cats" in outcome.err


def test_get_as_json(gmkit, cache):
    outcome = gmkit("data", "get", "big-cats", "--json")
    assert outcome.err == ""
    assert outcome.json == {
        "name": "big-cats",
        "domain": "beasts",
        "path": str(cache / "big-cats"),
        "where": "ready",
    }


def test_get_of_an_embedded_set_fetches_nothing(gmkit, cache):
    outcome = gmkit("data", "get", "toy-cats")
    assert outcome.out == "toy-cats is embedded: there is nothing to fetch\n"
    assert outcome.err == "Next: gmkit train --domain beasts\n"


def test_get_that_fails(gmkit, cache):
    outcome = gmkit("data", "get", "dogs")
    assert outcome.code == 3
    assert "SHA-256 differs" in outcome.err
    assert outcome.out == ""


def test_get_of_an_unknown_set(gmkit, cache):
    outcome = gmkit("data", "get", "big-cat")
    assert outcome.code == 4
    assert "unknown data set 'big-cat'" in outcome.err
    assert "Did you mean 'big-cats'?" in outcome.err


def test_ready_means_a_file_of_the_right_size(install, gmkit, tmp_path, monkeypatch):
    install("gmkit-beasts", SETS, plugin="beasts")
    monkeypatch.setenv("GMKIT_PLUGINS", "beasts")
    monkeypatch.setenv("GMKIT_DATA", str(tmp_path / "data"))
    file = tmp_path / "data" / "dogs" / "dogs.csv"
    file.parent.mkdir(parents=True)

    def where() -> str:
        rows = gmkit("data", "ls", "--json").json["datasets"]
        return next(row["where"] for row in rows if row["name"] == "dogs")

    file.write_bytes(b"short")
    assert where() == "to fetch"
    file.write_bytes(b"ten bytes!")
    assert where() == "ready"


def test_one_wrongly_described_set_hides_no_other(install, gmkit, monkeypatch):
    install("gmkit-beasts", SETS.replace("dogs.csv", ""), plugin="beasts")
    monkeypatch.setenv("GMKIT_PLUGINS", "beasts")
    rows = gmkit("data", "ls", "--json").json["datasets"]
    assert [row["where"] for row in rows][::2] == ["embedded", "unusable"]
