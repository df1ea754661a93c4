"""Safetensors files: what is written comes back, and what is malformed is refused by name."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gmkit.artifact.tensors import DTYPES, load_tensors, save_tensors
from gmkit.errors import ArtifactError, TrainingError

Header = dict[str, Any]


def entry(shape: list[int], begin: int, end: int, dtype: str = "F32") -> Header:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def write(path: Path, header: Header | bytes, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def test_every_dtype_and_shape_comes_back(path: Path) -> None:
    tensors = {
        f"{name}.{len(shape)}": torch.ones(shape).to(dtype)
        for name, dtype in DTYPES.items()
        for shape in [(), (0,), (3,), (2, 0, 4), (2, 3)]
    }
    save_tensors(path, tensors)
    loaded = load_tensors(path, {n: (tuple(t.shape), t.dtype) for n, t in tensors.items()})
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name].to(torch.complex64), tensor.to(torch.complex64))
    assert [other.name for other in path.parent.iterdir()] == [path.name]


def test_many_small_tensors_with_awkward_names_come_back(path: Path) -> None:
    tensors = {f"[{{{n}": torch.zeros((), dtype=torch.uint8) for n in range(2000)}
    tensors['q"\\"'] = torch.zeros((), dtype=torch.uint8)
    save_tensors(path, tensors)
    assert load_tensors(path).keys() == tensors.keys()


def test_views_tied_weights_and_no_tensors_at_all(path: Path) -> None:
    weight = torch.arange(6.0).reshape(2, 3).requires_grad_()
    save_tensors(path, {"in": weight, "out": weight, "turned": weight.t(), "row": weight[1]})
    loaded = load_tensors(path)
    assert loaded["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert loaded["row"].tolist() == [3, 4, 5]
    assert loaded["in"].tolist() == loaded["out"].tolist() == weight.tolist()
    save_tensors(path, {})
    assert load_tensors(path) == {}


def test_loaded_tensors_own_their_memory(path: Path) -> None:
    save_tensors(path, {"w": torch.zeros(1000)})
    loaded = load_tensors(path)["w"]
    with path.open("r+b") as file:
        file.seek(-4000, os.SEEK_END)
        file.write(b"\x3f" * 4000)
    assert loaded.abs().sum() == 0
    loaded += 1
    assert load_tensors(path)["w"][0] != 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64])
def test_non_finite_weights_are_not_written(path: Path, value: float, dtype: torch.dtype) -> None:
    save_tensors(path, {"w": torch.ones(2)})
    with pytest.raises(TrainingError, match=r"not written: tensor 'b\.1' holds NaN or an infinity"):
        save_tensors(path, {"w": torch.zeros(2), "b.1": torch.tensor([1, value]).to(dtype)})
    assert load_tensors(path)["w"].tolist() == [1, 1]


def test_non_finite_weights_are_not_read(path: Path) -> None:
    nan = torch.tensor([1.0, float("nan")]).numpy().tobytes()
    write(path, {"good": entry([1], 0, 4), "bad": entry([2], 4, 12)}, b"\0" * 4 + nan)
    with pytest.raises(ArtifactError, match=r"model\.safetensors: tensor 'bad' holds NaN"):
        load_tensors(path)
    infinity = torch.tensor([1.0, float("nan")]).to(torch.float8_e4m3fn).view(torch.uint8)
    write(path, {"small": entry([2], 0, 2, "F8_E4M3")}, infinity.numpy().tobytes())
    with pytest.raises(ArtifactError, match="tensor 'small' holds NaN"):
        load_tensors(path)


def test_names_and_dtypes_the_format_lacks(path: Path) -> None:
    with pytest.raises(ValueError, match="'__metadata__'"):
        save_tensors(path, {"__metadata__": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"torch\.complex128 cannot be stored"):
        save_tensors(path, {"c": torch.zeros(1, dtype=torch.complex128)})
    assert not path.exists()


@pytest.mark.parametrize(
    ("expected", "reason"),
    [
        ({"w": ((3, 2), torch.float32)}, "tensor 'w' has shape 2×3, expected 3×2"),
        ({"w": ((), torch.float32)}, "tensor 'w' has shape 2×3, expected scalar"),
        ({"w": ((2, 3), torch.float64)}, "tensor 'w' is torch.float32, expected torch.float64"),
        ({}, "tensor 'w' is not one that the model has"),
        (
            {"w": ((2, 3), torch.float32), "v": ((1,), torch.int64)},
            "tensor 'v' is missing",
        ),
    ],
)
def test_other_tensors_than_expected(path: Path, expected: Any, reason: str) -> None:
    save_tensors(path, {"w": torch.zeros(2, 3)})
    with pytest.raises(ArtifactError) as caught:
        load_tensors(path, expected)
    assert caught.value.message == f"{path}: {reason}"
    assert "another configuration" in caught.value.hint


HOSTILE: dict[str, tuple[Header | bytes, bytes, str]] = {
    "not JSON": (b"{nope", b"", "its header is not JSON"),
    "not UTF-8": (b"\xff\xff", b"", "its header is not JSON"),
    "a list": (b"[]", b"", "its header is not a JSON object"),
    "very deep": (b"[" * 100_000, b"", "its header holds more lists than tensors need"),
    "deep": (b"[                " * 10_000, b"", "nested deeper than 3 levels"),
    "twice": (
        b'{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
        b'"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
        b"\0",
        "the name 'w' occurs twice",
    ),
    "entry": ({"w": 1}, b"", "tensor 'w' is not described by"),
    "extra key": (
        {"w": {**entry([1], 0, 4), "loader": "os:system"}},
        b"\0" * 4,
        "tensor 'w' is not described by",
    ),
    "dtype": ({"w": entry([1], 0, 4, "F31")}, b"\0" * 4, "tensor 'w' has the unknown dtype 'F31'"),
    "dtype kind": ({"w": {**entry([1], 0, 4), "dtype": [1]}}, b"\0" * 4, "unknown dtype '[1]'"),
    "negative shape": ({"w": entry([-1], 0, 4)}, b"\0" * 4, "tensor 'w' has an impossible shape"),
    "float shape": (
        {"w": {**entry([], 0, 4), "shape": [1.0]}},
        b"\0" * 4,
        "tensor 'w' has an impossible shape",
    ),
    "overflow": ({"w": entry([2**40] * 4, 0, 4)}, b"\0" * 4, "tensor 'w' of shape"),
    "huge": ({"w": entry([2**63], 0, 4)}, b"\0" * 4, "tensor 'w' has an impossible shape"),
    "dimensions": ({"w": entry([1] * 65, 0, 4)}, b"\0" * 4, "tensor 'w' has an impossible shape"),
    "negative offsets": ({"w": entry([1], -4, 0)}, b"", "tensor 'w' has impossible data_offsets"),
    "one offset": (
        {"w": {**entry([1], 0, 4), "data_offsets": [0]}},
        b"\0" * 4,
        "tensor 'w' has impossible data_offsets",
    ),
    "reversed": ({"w": entry([1], 4, 0)}, b"\0" * 4, "tensor 'w' of shape 1 needs 4 bytes"),
    "overlap": (
        {"v": entry([2], 0, 8), "w": entry([2], 4, 12)},
        b"\0" * 12,
        "tensor 'w' overlaps the tensor before it",
    ),
    "gap": (
        {"v": entry([1], 0, 4), "w": entry([1], 8, 12)},
        b"\0" * 12,
        "tensor 'w' follows a gap",
    ),
    "cut off": (
        {"w": entry([4], 0, 16)},
        b"\0" * 15,
        "tensor 'w' ends at byte 16 of the data, of which there are 15 bytes",
    ),
    "too long": ({"w": entry([1], 0, 4)}, b"\0" * 5, "tensor 'w' ends at byte 4 of the data"),
    "no tensors": ({}, b"\0", "it describes no tensor and has 1 bytes of data"),
    "surrogate": (
        b'{"\\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
        b"\0",
        "cannot be read",
    ),
    "long name": ({"w" * 10**6: 1}, b"", "tensor 'www"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_headers_are_refused(path: Path, case: str) -> None:
    header, data, reason = HOSTILE[case]
    write(path, header, data)
    with pytest.raises(ArtifactError) as caught:
        load_tensors(path)
    assert caught.value.message.startswith(f"{path}: ")
    assert reason in caught.value.message
    assert len(caught.value.message) < 1000 + len(str(path))
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"\x08", "is cut off: it has 1 bytes"),
        ((2**63).to_bytes(8, "little"), "claims a header of 9,223,372,036,854,775,808 bytes"),
        ((2**64 - 1).to_bytes(8, "little") + b"{}", "claims a header of"),
        ((3 * 2**20).to_bytes(8, "little") + b" " * 3 * 2**20, "has a header of 3,145,728 bytes"),
    ],
)
def test_hostile_header_lengths_are_refused(path: Path, data: bytes, reason: str) -> None:
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match=reason):
        load_tensors(path)


def test_links_are_not_followed(path: Path) -> None:
    save_tensors(path.with_name("elsewhere"), {"w": torch.zeros(1)})
    path.symlink_to("elsewhere")
    with pytest.raises(ArtifactError, match=r"model\.safetensors: is a symbolic link"):
        load_tensors(path)


class _Bomb:
    """Unpickling it would plant a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("writer", ["pickle", "torch", "padded"])
def test_a_pickle_in_its_place_is_refused_and_not_run(path: Path, writer: str) -> None:
    marker = path.with_name("executed")
    if writer == "torch":
        torch.save({"w": _Bomb(marker)}, path)
    else:
        body = pickle.dumps(_Bomb(marker))
        path.write_bytes(body if writer == "pickle" else len(body).to_bytes(8, "little") + body)
    with pytest.raises(ArtifactError, match="is no safetensors file"):
        load_tensors(path)
    assert not marker.exists()
    pickle.loads(pickle.dumps(_Bomb(marker)))  # noqa: S301  the bomb is live
    assert marker.exists()


HUGE = textwrap.dedent("""
    import json, os, resource, sys, time
    import torch
    from gmkit.artifact.tensors import load_tensors
    from gmkit.errors import ArtifactError

    folder, ten = sys.argv[1], 10 * 10**9
    def file(name, header, size):
        text = json.dumps(header).encode()
        with open(f"{folder}/{name}", "wb") as f:
            f.write(len(text).to_bytes(8, "little") + text)
            f.truncate(8 + len(text) + size)
    entry = {"dtype": "F32", "shape": [ten // 4], "data_offsets": [0, ten]}
    file("short", {"w": entry}, 100)      # claims 10 GB, has 100 bytes
    file("sparse", {"w": entry}, ten)     # has them, as a hole; the model expects less
    def raw(name, text):
        with open(f"{folder}/{name}", "wb") as f:
            f.write(len(text).to_bytes(8, "little") + text)
    raw("lists", b"[" + b"[]," * 690_000 + b"[]]")
    raw("spaced", b"[" + b"[]             ," * 130_000 + b"[]]")
    raw("quotes", b'{"' + b'\\\\"' * 10**6)
    raw("twice", b"{" + b",".join(b'"%d":0' % (n // 2) for n in range(190_000)) + b"}")
    report = {}
    for name in ("short", "sparse", "lists", "spaced", "quotes", "twice"):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.process_time()  # the machine may be busy with other things
        try:
            load_tensors(f"{folder}/{name}", {"w": ((4,), torch.float32)})
        except ArtifactError as error:
            message = error.message
        seconds = time.process_time() - start
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        report[name] = [message, seconds, grown / 1024]
        os.unlink(f"{folder}/{name}")
    print(json.dumps(report))
""")


def test_huge_claims_are_refused_in_a_second_and_200_megabytes(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", HUGE, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    report = json.loads(result.stdout)
    assert "ends at byte 10,000,000,000 of the data" in report["short"][0]
    assert "has shape 2500000000, expected 4" in report["sparse"][0]
    assert "more lists than tensors need" in report["lists"][0]
    assert "not a JSON object" in report["spaced"][0]
    assert "is not JSON" in report["quotes"][0]
    assert "occurs twice" in report["twice"][0]
    for _, seconds, megabytes in report.values():
        assert seconds < 1
        assert megabytes < 200


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300), framed=st.booleans())
def test_any_bytes_are_refused(tmp_path: Path, data: bytes, framed: bool) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(data).to_bytes(8, "little") + data if framed else data)
    try:
        assert load_tensors(path) == {}
    except ArtifactError as error:
        assert str(path) in error.message


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_files_are_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "x.safetensors"
    save_tensors(path, {"a": torch.zeros(2, 2), "b": torch.zeros(3, dtype=torch.int64)})
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    path.write_bytes(content)
    try:
        loaded = load_tensors(path)
    except ArtifactError as error:
        assert str(path) in error.message
    else:
        assert sum(tensor.nbytes for tensor in loaded.values()) <= len(content)
