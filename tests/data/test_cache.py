"""The cache of prepared records."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gmkit.data.cache import (
    cache_folder,
    datasets_folder,
    evict,
    new_prepared,
    prepared_cache,
)
from gmkit.errors import ConfigError, DataError

A, B, C = "aaaaaaaa", "bbbbbbbb", "cccccccc"


def make(key: str, content: bytes = b"x" * 1_000, age: int = 0) -> Path:
    with new_prepared(key) as folder:
        (folder / "records.parquet").write_bytes(content)
    entry = prepared_cache(key)
    used = 1_700_000_000 - age
    os.utime(entry / "entry.json", (used, used))
    return entry


def test_folders_by_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("GMKIT_CACHE", "GMKIT_DATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "gmkit"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / ".cache" / "gmkit"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "gmkit"
    monkeypatch.setenv("GMKIT_CACHE", "~/own")
    assert cache_folder() == tmp_path / "own"
    assert datasets_folder() == tmp_path / "own" / "datasets"
    monkeypatch.setenv("GMKIT_DATA", str(tmp_path / "sets"))
    assert datasets_folder() == tmp_path / "sets"


def test_an_entry_appears_whole(cache: Path) -> None:
    assert not prepared_cache(A).exists()
    with new_prepared(A) as folder:
        (folder / "codec.json").write_text("{}")
        assert not prepared_cache(A).exists()
    assert (prepared_cache(A) / "codec.json").read_text() == "{}"


def test_a_failed_entry_leaves_nothing(cache: Path) -> None:
    with pytest.raises(RuntimeError), new_prepared(A) as folder:
        (folder / "codec.json").write_text("{}")
        raise RuntimeError
    assert list((cache / "prepared").iterdir()) == []


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "add", "list"])
def test_a_damaged_entry_is_dropped_and_made_anew(cache: Path, damage: str) -> None:
    entry = make(A)
    file = entry / "records.parquet"
    if damage == "flip":
        file.write_bytes(b"y" + file.read_bytes()[1:])
    elif damage == "truncate":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "remove":
        file.unlink()
    elif damage == "add":
        (entry / "more").touch()
    else:
        (entry / "entry.json").write_text("{")
    assert not prepared_cache(A).exists()
    assert make(A).is_dir()


def test_the_first_of_two_makers_wins(cache: Path) -> None:
    with new_prepared(A) as folder:
        (folder / "x").write_text("second")
        first = make(B, b"first")  # as another process would put it there
        first.rename(first.with_name(A))
    assert (prepared_cache(A) / "records.parquet").read_bytes() == b"first"
    assert [p.name for p in (cache / "prepared").iterdir()] == [A]


def test_the_least_recently_used_go_first(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, age in ((A, 30), (B, 20), (C, 10)):
        make(key, age=age)
    prepared_cache(A)  # used now
    assert 1_000 < evict(2_500) < 1_200
    assert {p.name for p in (cache / "prepared").iterdir()} == {A, C}
    evict(0, keep=C)
    assert {p.name for p in (cache / "prepared").iterdir()} == {C}


def test_the_size_allowed_is_kept_when_an_entry_is_made(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GMKIT_CACHE_SIZE", "1.2kB")
    make(A)
    make(B)
    assert {p.name for p in (cache / "prepared").iterdir()} == {B}
    monkeypatch.setenv("GMKIT_CACHE_SIZE", "plenty")
    with pytest.raises(ConfigError, match="GMKIT_CACHE_SIZE='plenty' is no size"):
        evict()


def test_a_cache_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GMKIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="cannot be written: Not a directory"), new_prepared(A):
        pass


def test_keys_are_hexadecimal(cache: Path) -> None:
    for key in ("../../etc", "short", "A" * 8, ""):
        with pytest.raises(ValueError, match="hexadecimal"):
            prepared_cache(key)
