"""Archives, honest and crafted."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from gmkit.data.unpack import is_archive, unpack
from gmkit.errors import DataError

MANY = 10**9


def make_tar(path: Path, *members: tarfile.TarInfo | tuple[str, bytes]) -> Path:
    with tarfile.open(path, "w" + (":" + path.suffix[1:] if path.suffix != ".tar" else "")) as file:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                file.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                file.addfile(info, io.BytesIO(member[1]))
    return path


def make_zip(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            file.writestr(name, content)
    return path


def special(kind: bytes, name: str = "odd") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


def link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("odd")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz"])
def test_honest_archives(tmp_path: Path, name: str) -> None:
    make: Callable[..., Path] = make_zip if name.endswith("zip") else make_tar
    archive = make(tmp_path / name, ("x/y.csv", b"a\n1\n"), ("z", b""))
    assert is_archive(archive)
    unpack(archive, tmp_path / "out", max_bytes=MANY)
    assert contents(tmp_path / "out") == {"x/y.csv": b"a\n1\n", "z": b""}
    assert sorted(p.name for p in tmp_path.iterdir()) == [name, "out"]
    with pytest.raises(DataError, match="exists already"):
        unpack(archive, tmp_path / "out", max_bytes=MANY)


def test_a_lone_gz_becomes_its_file(tmp_path: Path) -> None:
    (tmp_path / "t.idx.gz").write_bytes(gzip.compress(b"abc"))
    unpack(tmp_path / "t.idx.gz", tmp_path / "out", max_bytes=MANY)
    assert contents(tmp_path / "out") == {"t.idx": b"abc"}


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "..", "C:\\x", "a\\..\\..\\x"])
@pytest.mark.parametrize("end", ["zip", "tar"])
def test_names_that_lead_out(tmp_path: Path, name: str, end: str) -> None:
    make: Callable[..., Path] = make_zip if end == "zip" else make_tar
    archive = make(tmp_path / f"a.{end}", ("good", b"x"), (name, b"x"))
    refused(archive, "leads out of the folder; nothing was unpacked")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_tar(tmp_path: Path, kind: bytes) -> None:
    refused(make_tar(tmp_path / "a.tar", special(kind)), "entry 'odd' is a link or a device")


def test_links_in_zip(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", (link(), b"/etc/passwd"))
    refused(archive, "entry 'odd' is a link or a device")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_given_twice(tmp_path: Path) -> None:
    refused(make_zip(tmp_path / "a.zip", ("x", b"1"), ("x", b"2")), "entry 'x' occurs twice")
    refused(make_tar(tmp_path / "a.tar", ("x", b"1"), ("x", b"2")), "entry 'x' occurs twice")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar.xz", "a.gz"])
def test_bombs(tmp_path: Path, name: str) -> None:
    zeros = bytes(8 << 20)
    archive = tmp_path / name
    if name == "a.gz":
        archive.write_bytes(gzip.compress(zeros))
    elif name == "a.zip":
        make_zip(archive, ("x", zeros))
    else:
        make_tar(archive, ("x", zeros))
    refused(archive, "would unpack to more than 1,048,576 bytes")


def test_a_bomb_in_the_header_of_an_entry(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.pax_headers = {"comment": "a" * (8 << 20)}
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as file:
        file.addfile(info)
    refused(tmp_path / "a.tar.gz", "would unpack to more than")


def test_a_zip_that_lies_about_sizes(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", ("x", bytes(8 << 20)))
    raw = archive.read_bytes()
    archive.write_bytes(raw.replace((8 << 20).to_bytes(4, "little"), (9).to_bytes(4, "little")))
    refused(archive, "a.zip")


def test_more_than_allowed(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", ("x", b"abcdefgh"))
    refused(archive, "would unpack to more than 4 bytes", max_bytes=4)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.xz", "a.gz", "a.rar"])
def test_what_is_no_archive(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"this is not an archive of any kind" * 40)
    refused(tmp_path / name, "cannot be unpacked" if name != "a.rar" else "neither zip, tar nor gz")


def test_truncated_archives(tmp_path: Path) -> None:
    text = "".join(str(i * i) for i in range(5_000)).encode()
    for name in ("a.zip", "a.tar.gz", "a.tar.xz"):
        archive = (make_zip if name == "a.zip" else make_tar)(tmp_path / name, ("x", text))
        archive.write_bytes(archive.read_bytes()[:-1_000])
        refused(archive, "cannot be unpacked")


def refused(archive: Path, says: str, max_bytes: int = MANY) -> None:
    before = sorted(archive.parent.parent.rglob("*"))
    with pytest.raises(DataError) as caught:
        unpack(archive, archive.parent / "out", max_bytes=max_bytes)
    assert says in str(caught.value)
    assert str(archive) in str(caught.value)
    assert sorted(archive.parent.parent.rglob("*")) == before
