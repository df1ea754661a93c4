"""Named tensors ⇄ one safetensors file, whole or refused.

The header is checked here before the safetensors library reads anything: that library refuses
most malformed files by itself, but names neither file nor tensor, takes a name that occurs
twice, and cannot know which shapes the model expects.
Format: https://huggingface.co/docs/safetensors: 8 bytes little-endian header length N, N bytes
of JSON, the tensors' bytes without gaps.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from gmkit.artifact.files import open_regular, parse_json, write_bytes_atomic
from gmkit.errors import ArtifactError, TrainingError

Expected = Mapping[str, tuple[tuple[int, ...], torch.dtype]]
"""Name → (shape, dtype) of every tensor that a file must hold."""

MAX_HEADER = 2 * 2**20
"""Bytes of header: about 20,000 tensors, and little enough for hostile JSON to stay small."""
# Possessive, and content with a missing end: linear in whatever it is given.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_BYTES_PER_CONTAINER = 16
"""Below what an entry needs: three containers in no less than 50 bytes."""
_MAX_DIMENSIONS = 64
_MAX_EXTENT = 2**63
_ENTRY = {"dtype", "shape", "data_offsets"}

DTYPES: dict[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "C64": torch.complex64,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""The safetensors names of the dtypes that gmkit stores."""


def _finite(tensor: torch.Tensor) -> bool:
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return True
    if tensor.element_size() == 1:  # isfinite knows not every 8-bit float
        tensor = tensor.float()
    return bool(torch.isfinite(tensor).all())


def save_tensors(path: str | os.PathLike[str], tensors: Mapping[str, torch.Tensor]) -> None:
    """Write ``tensors``, any shapes, any dtype of ``DTYPES``, any device, as ``path`` atomically.

    Tensors that share memory (tied weights) are stored once for each name. The bytes are put
    together in memory and written by ``write_bytes_atomic``: ``safetensors.save_file`` leaves a
    nameless temporary file behind when killed, and files that only their owner may read.
    Raises TrainingError naming the first tensor that holds NaN or an infinity, DataError when
    the file cannot be written, ValueError for a name or dtype that the format does not take.
    """
    stored: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        if name == "__metadata__" or tensor.dtype not in DTYPES.values():
            raise ValueError(f"tensor {name!r} of {tensor.dtype} cannot be stored as safetensors")
        plain = tensor.detach().to("cpu").contiguous()
        if not _finite(plain):
            raise TrainingError(
                f"{path}: not written: tensor {name!r} holds NaN or an infinity",
                hint="Train with a lower learning rate, or resume from the last checkpoint.",
            )
        memory = plain.untyped_storage().data_ptr()
        stored[name] = plain.clone() if memory in seen else plain
        seen.add(memory)
    write_bytes_atomic(path, save(stored))


def _refuse(path: Path, found: str, *, tensor: str | None = None, hint: str = "") -> NoReturn:
    # A hostile name may be megabytes long, or hold what a terminal obeys: repr and cut.
    place = f"{path}: " if tensor is None else f"{path}: tensor {tensor[:200]!r} "
    raise ArtifactError(place + found, hint=hint or "Restore it from a copy, or train again.")


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """The header of a file, parsed, and the number of bytes that follow it."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size < 8:
            _refuse(path, "is empty" if size == 0 else f"is cut off: it has {size} bytes")
        length = int.from_bytes(file.read(8), "little")
        if length > size - 8:
            _refuse(
                path,
                f"is no safetensors file, or is cut off: it claims a header of {length:,} bytes "
                f"and has {size - 8:,}",
            )
        if length > MAX_HEADER:
            _refuse(path, f"has a header of {length:,} bytes, more than {MAX_HEADER:,}")
        text = file.read(length)
    bare = _STRING.sub(b"", text)
    if bare.count(b"[") + bare.count(b"{") > length // _BYTES_PER_CONTAINER + 2:
        # Millions of empty lists would take the parser seconds and a hundred megabytes.
        _refuse(path, "is no safetensors file: its header holds more lists than tensors need")
    try:
        header = parse_json(text, max_depth=3)
    except ValueError as error:
        _refuse(path, f"is no safetensors file: its header is not JSON: {error}")
    if not isinstance(header, dict):
        _refuse(path, "is no safetensors file: its header is not a JSON object")
    header.pop("__metadata__", None)
    return header, size - 8 - length


def _whole_numbers(value: Any, limit: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= limit
        and all(type(item) is int and 0 <= item < _MAX_EXTENT for item in value)
    )


def _extent(path: Path, name: str, entry: Any) -> tuple[int, int]:
    """The checked (begin, end) of one tensor in the bytes after the header."""
    if not isinstance(entry, dict) or entry.keys() != _ENTRY:
        _refuse(path, "is not described by dtype, shape and data_offsets", tensor=name)
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(kind, str) or kind not in DTYPES:
        _refuse(path, f"has the unknown dtype {str(kind)[:40]!r}", tensor=name)
    if not _whole_numbers(shape, _MAX_DIMENSIONS):
        _refuse(path, "has an impossible shape", tensor=name)
    if not _whole_numbers(offsets, 2) or len(offsets) != 2:
        _refuse(path, "has impossible data_offsets", tensor=name)
    begin, end = offsets
    size = math.prod(shape) * DTYPES[kind].itemsize
    if end - begin != size:
        claim = f"needs {size:,} bytes and claims {end - begin:,}"
        _refuse(path, f"of shape {_times(shape)} {claim}", tensor=name)
    return begin, end


def _check_extents(path: Path, header: dict[str, Any], size: int) -> None:
    """Refuse tensors that overlap, leave gaps or do not end where the file ends."""
    extents = [(*_extent(path, name, entry), name) for name, entry in header.items()]
    position = 0
    for begin, end, name in sorted(extents):
        if begin != position:
            problem = "overlaps the tensor before it" if begin < position else "follows a gap"
            _refuse(path, problem, tensor=name)
        position = end
    if position != size:
        if not extents:
            _refuse(path, f"it describes no tensor and has {size:,} bytes of data")
        claim = f"ends at byte {position:,} of the data, of which there are {size:,} bytes"
        _refuse(path, claim, tensor=max(extents)[2])


def _times(shape: tuple[int, ...] | list[int]) -> str:
    return "×".join(map(str, shape)) or "scalar"


def _check_expected(path: Path, header: dict[str, Any], expected: Expected) -> None:
    hint = "The file belongs to another configuration; restore the one saved with this run."
    for name in sorted(expected.keys() - header.keys()):
        _refuse(path, "is missing", tensor=name, hint=hint)
    for name in sorted(header.keys() - expected.keys()):
        _refuse(path, "is not one that the model has", tensor=name, hint=hint)
    for name, (shape, dtype) in expected.items():
        found, kind = tuple(header[name]["shape"]), DTYPES[header[name]["dtype"]]
        if found != tuple(shape):
            claim = f"has shape {_times(found)}, expected {_times(shape)}"
            _refuse(path, claim, tensor=name, hint=hint)
        if kind != dtype:
            _refuse(path, f"is {kind}, expected {dtype}", tensor=name, hint=hint)


def tensor_shapes(path: str | os.PathLike[str]) -> dict[str, tuple[int, ...]]:
    """Name → shape as the header of a safetensors file claims, within the file's size; no tensor
    is read. Raises ArtifactError."""
    place = Path(path)
    header, size = _header(place)
    _check_extents(place, header, size)
    return {name: tuple(entry["shape"]) for name, entry in header.items()}


def load_tensors(
    path: str | os.PathLike[str],
    expected: Expected | None = None,
    device: str | torch.device = "cpu",
) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file, owning their memory, on ``device``.

    ``expected`` names every tensor that must be there with its shape and dtype. All claims of
    the header are checked against it and the file's size before any tensor is read, so that
    what a hostile file claims is never allocated.
    Raises ArtifactError naming the file and the tensor: malformed, cut off, not as expected,
    NaN or infinite values, a symbolic link.
    """
    path = Path(path)
    header, size = _header(path)
    _check_extents(path, header, size)
    if expected is not None:
        _check_expected(path, header, expected)
    tensors: dict[str, torch.Tensor] = {}
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            for name in header:
                # A copy: what the library hands out may be a view of the mapped file.
                tensors[name] = file.get_tensor(name).clone()
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        raise ArtifactError(
            f"{path}: cannot be read: {error}", hint="Restore it from a copy, or train again."
        ) from error
    for name, tensor in tensors.items():
        if not _finite(tensor):
            _refuse(path, "holds NaN or an infinity", tensor=name)
    return {name: tensor.to(device) for name, tensor in tensors.items()}
