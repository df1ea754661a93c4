"""Fetching data sets, against a server on this machine that behaves in every bad way."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gmkit.api import DatasetInfo
from gmkit.data import download
from gmkit.data.download import cached, dataset_path, fetch
from gmkit.data.source import open_source
from gmkit.errors import ConfigError, DataError

CONTENT = b"smiles\n" + b"".join(f"{'C' * (i % 50 + 1)}\n".encode() for i in range(20_000))


class Server:
    """What the server has, how it fails, and what it was asked."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.break_after: list[int] = []
        """For each answer to come: bytes after which the connection is cut."""
        self.ranges = True
        self.states: list[int] = []
        """For each answer to come: an HTTP state instead of the content."""
        self.location = ""
        self.length = True
        self.asked: list[tuple[str, str | None]] = []
        self.url = ""


@pytest.fixture
def server(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server on the loopback, allowed for the test."""
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.asked.append((self.path, wanted))
            if state.states and (code := state.states.pop(0)) != 200:
                self.send_response(code)
                self.send_header("Location", state.location)
                self.end_headers()
                return
            start = int(wanted[6:-1]) if wanted and state.ranges else 0
            if start >= len(state.content):
                self.send_error(416)
                return
            body = state.content[start:]
            self.send_response(206 if start else 200)
            if start:
                total = len(state.content)
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            if state.length:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            cut = state.break_after.pop(0) if state.break_after else len(body)
            self.wfile.write(body[:cut])

        def log_message(self, *_: Any) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
    thread.start()
    state.url = f"http://127.0.0.1:{httpd.server_port}"
    monkeypatch.setenv("GMKIT_ALLOW_LOOPBACK", "1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "BACK_OFF", 0.001)
    yield state
    httpd.shutdown()
    thread.join()
    httpd.server_close()


Describe = Callable[..., DatasetInfo]


@pytest.fixture
def describe(server: Server) -> Describe:
    """A data set of CONTENT on the server."""

    def describe(content: bytes = CONTENT, file: str = "zinc.csv", **more: Any) -> DatasetInfo:
        facts = {
            "name": "zinc", "domain": "molecules", "licence": "free", "size": len(content),
            "url": f"{server.url}/sets/{file}", "sha256": hashlib.sha256(content).hexdigest(),
        }  # fmt: skip
        return DatasetInfo(**(facts | more))

    return describe


def left(cache: Path) -> set[str]:
    return {p.name for p in cache.rglob("*") if p.is_file() and not p.name.endswith(".lock")}


def test_a_good_file_is_fetched_once(server: Server, describe: Describe, cache: Path) -> None:
    seen: list[tuple[int, int]] = []
    assert cached(describe()) is None
    path = fetch(describe(), progress=lambda done, total: seen.append((done, total)))
    assert cached(describe()) == path
    assert path == cache / "datasets" / "zinc" / "zinc.csv"
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [d for d, _ in seen] == sorted(d for d, _ in seen)
    assert fetch(describe()) == path
    assert server.asked == [("/sets/zinc.csv", None)]
    assert left(cache) == {"zinc.csv"}


def test_a_broken_connection_is_resumed(server: Server, describe: Describe, cache: Path) -> None:
    server.break_after = [100_000, 50_000]
    assert fetch(describe()).read_bytes() == CONTENT
    assert [r for _, r in server.asked] == [None, "bytes=100000-", "bytes=150000-"]
    assert left(cache) == {"zinc.csv"}


def test_a_later_run_goes_on_where_the_first_gave_up(
    server: Server, describe: Describe, cache: Path
) -> None:
    server.break_after = [100_000] + [0] * 4
    with pytest.raises(DataError) as caught:
        fetch(describe())
    said = str(caught.value)
    assert f"the connection ended after 100,000 of {len(CONTENT):,} bytes" in said
    assert "5 attempts failed; check the network" in said
    assert left(cache) == {".zinc.csv.part"}
    server.asked.clear()
    assert fetch(describe()).read_bytes() == CONTENT
    assert [r for _, r in server.asked] == ["bytes=100000-"]


def test_a_server_that_ignores_ranges_sends_all_again(
    server: Server, describe: Describe, cache: Path
) -> None:
    server.ranges, server.break_after = False, [100_000]
    assert fetch(describe()).read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_a_part_of_another_file_is_not_trusted(
    server: Server, describe: Describe, cache: Path
) -> None:
    part = cache / "datasets" / "zinc" / ".zinc.csv.part"
    part.parent.mkdir(parents=True)
    for old in (b"something else", b"x" * (len(CONTENT) + 5)):
        part.write_bytes(old)
        assert fetch(describe()).read_bytes() == CONTENT
        (part.parent / "zinc.csv").unlink()


def test_wrong_content_is_refused(server: Server, describe: Describe, cache: Path) -> None:
    server.content = b"X" + CONTENT[1:]
    with pytest.raises(DataError) as caught:
        fetch(describe())
    found = hashlib.sha256(server.content).hexdigest()
    assert f"SHA-256 {found}, expected {hashlib.sha256(CONTENT).hexdigest()}" in str(caught.value)
    assert left(cache) == set()


@pytest.mark.parametrize("declared", [True, False])
def test_longer_content_is_refused(
    server: Server, describe: Describe, cache: Path, declared: bool
) -> None:
    server.content, server.length = CONTENT + b"C" * 1_000_000, declared
    with pytest.raises(DataError, match=rf"{len(CONTENT):,} are expected"):
        fetch(describe())
    assert left(cache) == set()
    assert len(server.asked) == 1


def test_shorter_content_is_refused(server: Server, describe: Describe) -> None:
    server.content = CONTENT[:-5]
    with pytest.raises(DataError, match=r"is not the file it should be|cannot be fetched"):
        fetch(describe())


def test_passing_faults_are_tried_again_and_lasting_ones_not(
    server: Server, describe: Describe
) -> None:
    server.states = [503, 429]
    assert fetch(describe()).read_bytes() == CONTENT
    assert len(server.asked) == 3
    server.asked.clear()
    server.states = [404]
    with pytest.raises(DataError, match="answered HTTP 404"):
        fetch(describe(name="other"))
    assert len(server.asked) == 1


def test_no_server_at_all(server: Server, describe: Describe) -> None:
    with pytest.raises(DataError, match=r"cannot be fetched .*Connection refused"):
        fetch(describe(url="http://127.0.0.1:9/zinc.csv"))


def test_offline_says_where_to_lay_the_file(
    server: Server, describe: Describe, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GMKIT_OFFLINE", "1")
    with pytest.raises(DataError) as caught:
        fetch(describe())
    place = cache / "datasets" / "zinc" / "zinc.csv"
    assert f"{place}: data set 'zinc' is not here and GMKIT_OFFLINE forbids" in str(caught.value)
    assert f"Lay a copy of {server.url}/sets/zinc.csv there" in str(caught.value)
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT[:-1])
    with pytest.raises(DataError, match="is damaged and GMKIT_OFFLINE forbids"):
        fetch(describe())
    place.write_bytes(CONTENT)
    assert fetch(describe()) == place
    assert server.asked == []


def test_gmkit_data_is_where_copies_lie(
    server: Server, describe: Describe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "sets" / "zinc" / "zinc.csv"
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    monkeypatch.setenv("GMKIT_DATA", str(tmp_path / "sets"))
    assert fetch(describe()) == place
    assert server.asked == []


def test_a_mirror_stands_before_host_and_path(
    server: Server, describe: Describe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GMKIT_MIRROR", f"{server.url}/mirror/")
    fetch(describe(url="https://example.org/a/zinc.csv"))
    assert server.asked == [("/mirror/example.org/a/zinc.csv", None)]


@pytest.mark.parametrize(
    "url", ["http://example.org/a.csv", "ftp://example.org/a.csv", "file:///etc/passwd"]
)
def test_only_https(describe: Describe, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="fetched by https only"):
        fetch(describe(url=url))


def test_loopback_needs_leave(describe: Describe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GMKIT_ALLOW_LOOPBACK")
    with pytest.raises(ConfigError, match="fetched by https only"):
        fetch(describe())


def test_redirects_away_from_https_are_not_followed(server: Server, describe: Describe) -> None:
    server.states, server.location = [302], "http://example.org/zinc.csv"
    with pytest.raises(DataError, match=r"redirects to http://example\.org/zinc\.csv"):
        fetch(describe())
    server.states, server.location = [302], f"{server.url}/elsewhere"
    assert fetch(describe()).read_bytes() == CONTENT


@pytest.mark.parametrize("file", ["../evil", ".hidden", "a/b", ""])
def test_file_names_stay_in_the_folder(describe: Describe, file: str) -> None:
    info = describe(url="https://example.org/", file=file)
    with pytest.raises(ConfigError, match="has no usable file name"):
        fetch(info)


def test_a_folder_that_cannot_be_written(
    describe: Describe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GMKIT_DATA", str(tmp_path / "file"))
    with pytest.raises(DataError, match=rf"cannot be kept.*\nIt takes {len(CONTENT):,} bytes"):
        fetch(describe())


def test_two_at_once_download_once(server: Server, describe: Describe) -> None:
    info, found = describe(), []
    threads = [threading.Thread(target=lambda: found.append(fetch(info))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert len(server.asked) == 1


def test_sources_fetch_and_unpack_by_name(
    server: Server, describe: Describe, registry: Any, molecules: Any
) -> None:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w:gz") as archive:
        for name, text in (("a.csv", b"smiles\nC\n"), ("b.csv", b"smiles\nN\n")):
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text))
    server.content = memory.getvalue()
    registry.infos = [describe(server.content, url=f"{server.url}/zinc.tar.gz", file="")]
    for _ in range(2):
        source = open_source("zinc", domain=molecules, registry=registry)
        (batch,) = source.batches()
        assert batch["smiles"].to_pylist() == ["C", "N"]
    assert len(server.asked) == 1


def test_embedded_ones_come_from_their_loader(registry: Any, tmp_path: Path) -> None:
    info = DatasetInfo(name="made", domain="molecules", licence="-", loader="a:b")
    registry.made = lambda: str(tmp_path)
    assert dataset_path(info, registry) == tmp_path
    registry.made = lambda: [pa.record_batch({"a": [1]})]
    made = dataset_path(info, registry)
    assert not isinstance(made, Path)
    assert [b.num_rows for b in made] == [1]
