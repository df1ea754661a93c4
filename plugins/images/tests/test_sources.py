"""Folders, idx files, CIFAR's batches, lists of files and data sets to fetch."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gmkit_images import gmkit_register_domains
from gmkit_images.batch import images_of
from gmkit_images.cifar import CifarBatch
from gmkit_images.dataset_infos import DATASETS
from gmkit_images.datasets import digits
from gmkit_images.domain import ImagesDomain
from gmkit_images.idx import IdxImages
from gmkit_images.png import Pixels, png_column, write_png
from PIL import Image

from gmkit.api import DataFile, DatasetInfo
from gmkit.data.download import cached, fetch
from gmkit.data.source import Source, open_source
from gmkit.errors import DataError

Noise = Callable[..., Pixels]
Save = Callable[..., bytes]


class Registry:
    """Data sets, and no other domain."""

    def __init__(self, *infos: DatasetInfo) -> None:
        self.infos = {info.name: info for info in infos}

    def datasets(self) -> dict[str, DatasetInfo]:
        return self.infos

    def domains(self) -> dict[str, Any]:
        return {}

    def load(self, info: Any) -> Any:
        return digits


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; no setting of the machine shines through."""
    for name in ("GMKIT_DATA", "GMKIT_OFFLINE", "GMKIT_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GMKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def source(data: Any, *infos: DatasetInfo) -> Source:
    domain = ImagesDomain()
    domain.info = gmkit_register_domains()[0]
    return open_source(data, domain=domain, registry=Registry(*infos))


def rows(found: Source) -> list[dict[str, Any]]:
    return [row for batch in found.batches() for row in batch.to_pylist()]


# ---------------------------------------------------------------- folders


def folder(place: Path, names: list[str]) -> Path:
    for number, name in enumerate(names):
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(write_png(np.full((4, 4, 1), number, np.uint8)))
    return place


def test_sub_folders_are_classes(tmp_path: Path) -> None:
    place = folder(
        tmp_path / "set", ["dog/b.png", "dog/deep/a.PNG", "cat/c.png", "cat/.hidden.png"]
    )
    (place / "dog" / "notes.txt").write_text("no image")
    (place / ".git").mkdir()
    folder(place / ".git", ["x.png"])
    found = source(place)
    assert (found.name, found.count(), found.schema.names) == ("set", 3, ["image", "file", "label"])
    told = [(row["file"], row["label"]) for row in rows(found)]
    assert told == [("cat/c.png", "cat"), ("dog/b.png", "dog"), ("dog/deep/a.PNG", "dog")]


def test_a_plain_folder_has_no_labels(tmp_path: Path, saved: Save) -> None:
    place = folder(tmp_path / "set", ["b.png"])
    (place / "a.jpg").write_bytes(saved(Image.new("RGB", (9, 9)), "JPEG"))
    found = source(place)
    assert found.schema.names == ["image", "file"]
    assert [row["file"] for row in rows(found)] == ["a.jpg", "b.png"]


def test_images_beside_classes_are_told(tmp_path: Path) -> None:
    place = folder(tmp_path / "set", ["a.png", "dog/b.png", "dog/c.png"])
    with pytest.raises(DataError, match=r"1 images such as a\.png lie beside the sub-folders"):
        source(place)


def test_tables_come_before_pictures(tmp_path: Path, noise: Noise) -> None:
    """A folder with a parquet file and its picture holds the table's records."""
    place = folder(tmp_path / "set", ["samples.png"])
    assert source(place).count() == 1
    table = pa.table({"image": png_column(noise(3, 4, 4, 1))})
    pq.write_table(table, place / "samples.parquet")
    assert source(place).files == (place / "samples.parquet",)


def test_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file in this folder can be read"):
        source(tmp_path)


def test_moving_a_file_to_another_class_changes_the_data(tmp_path: Path) -> None:
    place = folder(tmp_path / "set", ["cat/a.png", "dog/b.png"])
    before = source(place).fingerprint()
    assert source(folder(tmp_path / "copy", ["cat/x.png", "dog/y.png"])).fingerprint() == before
    (place / "cat" / "a.png").rename(place / "dog" / "a.png")
    assert source(place).fingerprint() != before


def test_large_files_come_in_small_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gmkit_images import files

    from gmkit.data import source as sources

    monkeypatch.setattr(files, "_BYTES", 150)
    monkeypatch.setattr(sources, "BATCH_BYTES", 400)
    found = source(folder(tmp_path / "set", [f"{n:02}.png" for n in range(12)]))
    sizes = [batch.num_rows for batch in found.batches()]
    assert sum(sizes) == 12 and 1 < max(sizes) < 6


def test_one_file_and_lists_of_files(tmp_path: Path) -> None:
    place = folder(tmp_path, ["a.png", "b.png", "c.png"])
    assert [row["file"] for row in rows(source(place / "b.png"))] == ["b.png"]
    found = source([place / "c.png", place / "a.png"])
    assert [row["file"] for row in rows(found)] == ["c.png", "a.png"]
    assert len(found.fingerprint()) == 64
    with pytest.raises(DataError, match="is not a file"):
        source([place / "none.png"])


# ---------------------------------------------------------------- idx


def idx(values: np.ndarray) -> bytes:
    head = bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape)
    return head + values.tobytes()


@pytest.fixture
def mnist(tmp_path: Path, noise: Noise) -> Path:
    """Five images and their labels, in the names of the published files."""
    place = tmp_path / "idx"
    place.mkdir()
    images = noise(5, 6, 6)
    (place / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
    labels = np.array([3, 1, 4, 1, 5], np.uint8)
    (place / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    return place / "train-images-idx3-ubyte.gz"


def test_idx_with_labels(mnist: Path, noise: Noise) -> None:
    found = source(mnist)
    assert found.count() == 5
    assert [row["label"] for row in rows(found)] == [3, 1, 4, 1, 5]
    batch = next(found.batches())
    assert np.array_equal(np.stack(images_of(batch["image"]))[..., 0], noise(5, 6, 6))  # type: ignore[arg-type]
    assert batch.schema.field("label").type == pa.int64()
    whole = source(mnist.parent)  # the labels' file is no source of its own
    assert whole.count() == 5
    parts = list(IdxImages().read(mnist, ["label"], 2))
    assert [len(part) for part in parts] == [2, 2, 1] and parts[0].schema.names == ["label"]


def test_idx_unpacked_and_with_other_names(mnist: Path) -> None:
    plain = mnist.with_name("t10k-images.idx3-ubyte")
    plain.write_bytes(gzip.decompress(mnist.read_bytes()))
    assert source(plain).schema.names == ["image"]
    labels = mnist.with_name("t10k-labels.idx1-ubyte.gz")
    labels.write_bytes(mnist.with_name("train-labels-idx1-ubyte.gz").read_bytes())
    assert source(plain).schema.names == ["image", "label"]


def test_other_labels_are_other_data(mnist: Path) -> None:
    before = source(mnist).fingerprint()
    labels = mnist.with_name("train-labels-idx1-ubyte.gz")
    labels.write_bytes(gzip.compress(idx(np.zeros(5, np.uint8))))
    assert source(mnist).fingerprint() != before


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"junk, long enough to be one", "begins with 6a 75 6e 6b, expected 00 00 08 03"),
        (b"\x00\x00\x08\x03\x00", "begins with 00 00 08 03"),
        (idx(np.zeros((3, 2), np.uint8)), "expected 00 00 08 03: unsigned bytes in 3 dimensions"),
        (idx(np.zeros((3, 2, 2), np.uint8))[:-1], "ends before all its records"),
        (idx(np.zeros((3, 2, 2), np.uint8)) + b"!", "goes on after its 3 images"),
        (gzip.compress(idx(np.zeros((3, 2, 2), np.uint8)), mtime=0)[:-9], "cannot be read"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 1, 2**31, 2**31), "images of 2147483648 × 2147483648"),
    ],
)
def test_idx_that_is_damaged(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "a-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError, match=told) as caught:
        rows(source(path))
    assert str(path) in str(caught.value)


def test_idx_with_too_few_labels(mnist: Path) -> None:
    labels = mnist.with_name("train-labels-idx1-ubyte.gz")
    labels.write_bytes(gzip.compress(idx(np.zeros(4, np.uint8))))
    with pytest.raises(DataError, match=r"4 labels for the 5 images in train-images"):
        source(mnist)


# ---------------------------------------------------------------- CIFAR


def cifar(classes: list[int]) -> bytes:
    plane = [np.full((32, 32), value, np.uint8).tobytes() for value in (10, 20, 30)]
    return b"".join(bytes([number]) + b"".join(plane) for number in classes)


def test_cifar_batches(tmp_path: Path) -> None:
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(cifar([0, 9, 3]))
    found = source(path)
    assert found.count() == 3
    assert [row["label"] for row in rows(found)] == ["airplane", "truck", "cat"]
    (image, *_) = images_of(next(found.batches())["image"])
    assert image is not None and image.shape == (32, 32, 3) and image[5, 5].tolist() == [10, 20, 30]


def test_cifar_that_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(cifar([0])[:-1])
    with pytest.raises(DataError, match="its size is no multiple of 3073"):
        source(path)
    path.write_bytes(cifar([0, 10]))
    with pytest.raises(DataError, match=r"class 10 is none of 0 … 9") as caught:
        list(CifarBatch().read(path, None, 10))
    assert caught.value.row == 1


# ---------------------------------------------------------------- data sets


def test_digits() -> None:
    table = pa.Table.from_batches(digits())
    assert table.num_rows == 1_797 == next(i.rows for i in DATASETS if i.name == "digits")
    pixels = np.stack([image for image in images_of(table["image"]) if image is not None])
    assert pixels.shape == (1_797, 8, 8, 1)
    assert len(np.unique(pixels)) == 17 and pixels.max() == 255
    assert np.bincount(table["label"].to_numpy()).tolist() == [
        178, 182, 177, 183, 181, 182, 181, 179, 174, 180,
    ]  # fmt: skip


def test_what_is_fetched_is_pinned() -> None:
    fetched = [info for info in DATASETS if info.url]
    assert len(fetched) == 5
    assert all(info.url.startswith("https://") for info in fetched)
    assert [info.name for info in DATASETS if info.default] == ["digits"]
    hashes = [info.sha256 for info in fetched] + [f.sha256 for i in fetched for f in i.beside]
    assert len(set(hashes)) == 9


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Its address and its files."""
    files: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = files[self.path.rpartition("/")[2]]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("GMKIT_ALLOW_LOOPBACK", "1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield f"http://127.0.0.1:{httpd.server_port}/", files
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def described(address: str, name: str, content: bytes, **more: Any) -> dict[str, Any]:
    """Facts of a file on the server."""
    sha256 = hashlib.sha256(content).hexdigest()
    return {"url": address + name, "sha256": sha256, "size": len(content), **more}


def test_labels_are_fetched_beside_images(
    server: tuple[str, dict[str, bytes]], mnist: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are checked; then the set is read by its name; and a copy packed otherwise will do."""
    address, files = server
    names = ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"]
    files.update({name: mnist.with_name(name).read_bytes() for name in names})
    inside = {n: hashlib.sha256(gzip.decompress(files[n])).hexdigest() for n in names}
    one, other = (
        described(address, name, files[name], content_sha256=inside[name]) for name in names
    )
    info = DatasetInfo(
        name="tiny", domain="images", licence="free", column="image", beside=(DataFile(**other),),
        **one,
    )  # fmt: skip
    assert cached(info) is None
    assert [row["label"] for row in rows(source("tiny", info))] == [3, 1, 4, 1, 5]
    assert cached(info) == cache / "datasets" / "tiny" / names[0]
    (cache / "datasets" / "tiny" / names[1]).unlink()
    assert cached(info) is None
    files[names[1]] += b"!"
    with pytest.raises(DataError, match="the server sends at least"):
        fetch(info)
    monkeypatch.setenv("GMKIT_OFFLINE", "1")
    monkeypatch.setenv("GMKIT_DATA", str(cache / "own"))
    place = cache / "own" / "tiny"
    place.mkdir(parents=True)
    for name in names:
        packed = gzip.compress(gzip.decompress(mnist.with_name(name).read_bytes()), 1, mtime=7)
        (place / name).write_bytes(packed)
    assert cached(info) == fetch(info) == place / names[0]
    (place / names[0]).write_bytes(gzip.compress(b"something else"))
    assert cached(info) is None
    with pytest.raises(DataError, match="is damaged and GMKIT_OFFLINE"):
        fetch(info)


def test_an_archive_with_one_folder_inside(server: tuple[str, dict[str, bytes]]) -> None:
    """CIFAR-10's archive: batches of training and of test, and a text, all in a folder."""
    address, files = server
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w:gz") as archive:
        for name, content in {
            "cifar-10-batches-bin/data_batch_2.bin": cifar([1, 2]),
            "cifar-10-batches-bin/data_batch_1.bin": cifar([0]),
            "cifar-10-batches-bin/test_batch.bin": cifar([9]),
            "cifar-10-batches-bin/readme.html": b"<html>",
        }.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    files["cifar.tar.gz"] = memory.getvalue()
    info = DatasetInfo(
        name="cifar",
        domain="images",
        licence="-",
        **described(address, "cifar.tar.gz", memory.getvalue()),
    )
    found = source("cifar", info)
    assert [row["label"] for row in rows(found)] == ["airplane", "automobile", "bird"]


@pytest.mark.parametrize("wrong", [{"size": 0}, {"sha256": "x"}])
def test_further_files_are_pinned(wrong: dict[str, Any]) -> None:
    facts = {"url": "https://example.org/a", "sha256": "0" * 64, "size": 1}
    with pytest.raises(ValueError, match="needs its sha256 and size"):
        DataFile(**(facts | wrong))
