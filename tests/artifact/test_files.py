"""Writing by rename, clearing litter, reading JSON that may be hostile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gmkit.artifact.files import (
    clear_litter,
    is_temporary,
    read_json,
    temporary_name,
    write_bytes_atomic,
    write_json_atomic,
    write_text_atomic,
)
from gmkit.errors import ArtifactError, DataError


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def dead_pid() -> int:
    """The number of a process that has ended and been waited for."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_written_files_read_back_and_leave_nothing_else(tmp_path: Path) -> None:
    write_bytes_atomic(tmp_path / "a.bin", b"\0\1")
    write_text_atomic(tmp_path / "b.txt", "Größe\n")
    write_json_atomic(tmp_path / "c.json", {"x": [1, 2.5, None, "é"]})
    write_bytes_atomic(tmp_path / "a.bin", b"\2")
    assert (tmp_path / "a.bin").read_bytes() == b"\2"
    assert (tmp_path / "b.txt").read_text(encoding="utf-8") == "Größe\n"
    assert read_json(tmp_path / "c.json") == {"x": [1, 2.5, None, "é"]}
    assert listed(tmp_path) == ["a.bin", "b.txt", "c.json"]


def test_written_files_are_as_readable_as_others(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_bytes_atomic(tmp_path / "atomic", b"x")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_link_in_the_place_is_replaced_and_its_target_kept(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("kept")
    (tmp_path / "name").symlink_to("target")
    write_text_atomic(tmp_path / "name", "new")
    assert (tmp_path / "target").read_text() == "kept"
    assert not (tmp_path / "name").is_symlink()


def test_json_that_could_not_be_read_back_is_not_written(tmp_path: Path) -> None:
    write_json_atomic(tmp_path / "x.json", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json_atomic(tmp_path / "x.json", {"loss": float("nan")})
    assert read_json(tmp_path / "x.json") == 1
    assert listed(tmp_path) == ["x.json"]


def test_missing_folder_is_a_data_error_with_path_and_size(tmp_path: Path) -> None:
    path = tmp_path / "no" / "x.bin"
    with pytest.raises(DataError) as caught:
        write_bytes_atomic(path, b"x" * 12345)
    assert caught.value.message == f"{path}: cannot write 12,345 bytes: No such file or directory"
    assert caught.value.exit_code == 3
    assert "Choose a folder" in caught.value.hint


def test_a_folder_in_the_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "x" / "inner").mkdir(parents=True)
    with pytest.raises(DataError, match="cannot write 1 bytes"):
        write_bytes_atomic(tmp_path / "x", b"x")
    assert listed(tmp_path) == ["x"]
    assert (tmp_path / "x" / "inner").is_dir()


def test_read_only_folder_is_a_data_error_and_the_old_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The tests may run as root, for whom no folder is read-only: the system's answer is imitated.
    write_text_atomic(tmp_path / "x", "old")

    def refuse(self: Path, target: Path) -> Path:
        raise OSError(30, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(DataError, match="cannot write 3 bytes: Read-only file system"):
        write_text_atomic(tmp_path / "x", "new")
    assert (tmp_path / "x").read_text() == "old"
    assert listed(tmp_path) == ["x"]


def test_temporary_of_a_dead_namesake_is_no_obstacle(tmp_path: Path) -> None:
    temporary_name(tmp_path / "x").mkdir()  # as in a container, where numbers recur
    write_text_atomic(tmp_path / "x", "new")
    assert listed(tmp_path) == ["x"]


def test_clear_litter_takes_dead_processes_work_only(tmp_path: Path) -> None:
    dead = dead_pid()
    kept = [
        f".a.json.tmp-{os.getpid()}",
        f".a.json.tmp-{os.getppid()}",
        ".a.json.tmp-99999999999",
        ".a.json.tmp-",
        f"a.json.tmp-{dead}",
        "model.safetensors",
    ]
    for name in [*kept, f".a.json.tmp-{dead}"]:
        (tmp_path / name).touch()
    (tmp_path / f".step-1.tmp-{dead}" / "deep").mkdir(parents=True)
    (tmp_path / f".link.tmp-{dead}").symlink_to(tmp_path / "model.safetensors")
    removed = clear_litter(tmp_path)
    assert {path.name for path in removed} == {
        f".{name}.tmp-{dead}" for name in ("a.json", "step-1", "link")
    }
    assert listed(tmp_path) == sorted(kept)
    assert clear_litter(tmp_path / "absent") == []


def test_temporary_names_are_recognised() -> None:
    assert is_temporary(temporary_name(Path("run/report.html")).name)
    assert not is_temporary("report.html")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b'{"a": 1', "is not the JSON it should be: Expecting"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b'{"a": -Infinity}', "-Infinity is not a JSON number"),
        (b'{"a": 1e999}', "the number 1e999 is too large"),
        (b'{"a": 1, "b": 2, "a": 3}', "the name 'a' occurs twice"),
        (b"\xff\xfe{}", "codec can't decode"),
        (b"[" * 65 + b"]" * 65, "nested deeper than 64 levels"),
        (b"[" * 10**6, "nested deeper than 64 levels"),
        (b'{"a":' * 10**5, "nested deeper than 64 levels"),
        (b"1" * 10**5, "is not the JSON it should be"),
        (b" " * 2001, "has 2,001 bytes, more than the 2,000"),
    ],
)
def test_hostile_json_is_refused_by_name(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "codec.json"
    path.write_bytes(data)
    limit = 2000 if data.startswith(b" ") else 2**26
    with pytest.raises(ArtifactError) as caught:
        read_json(path, max_bytes=limit)
    assert caught.value.message.startswith(f"{path}: ")
    assert reason in caught.value.message
    assert caught.value.hint
    assert "\n" not in caught.value.message


def test_json_of_exactly_the_allowed_depth_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"[" * 64 + b"]" * 64)
    assert read_json(tmp_path / "x.json") is not None


def test_only_ordinary_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("1")
    (tmp_path / "link.json").symlink_to("real.json")
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    for name, reason in [
        ("link.json", "is a symbolic link"),
        ("folder.json", "is not an ordinary file"),
        ("pipe.json", "is not an ordinary file"),
        ("absent.json", "is missing"),
        ("nul\0.json", "cannot be opened"),
    ]:
        with pytest.raises(ArtifactError, match=reason):
            read_json(tmp_path / name)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=JSON)
def test_json_round_trip(tmp_path: Path, value: object) -> None:
    write_json_atomic(tmp_path / "x.json", value)
    assert read_json(tmp_path / "x.json") == value


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200) | st.text('[]{}":,0123456789.eE-NaInfty\\ud8').map(str.encode))
def test_any_bytes_are_read_or_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(data)
    try:
        value = read_json(path)
    except ArtifactError as error:
        assert str(path) in error.message
    else:
        assert json.loads(data) == value
