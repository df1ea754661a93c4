"""The one form in which this plugin stores an image: a PNG of 8 bits, grey or RGB, unfiltered.

Equal pixels give equal bytes whatever version of an imaging library is installed. Small images are
stored, not deflated: parquet compresses them better, and a batch of them is then written and read
by NumPy at once, 2 µs an image of 28 × 28 where Pillow takes 100 µs.
Format: W3C, Portable Network Graphics (PNG) Specification, third edition; RFC 1950 and 1951.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["MOST_PIXELS", "Pixels", "png_column", "read_column", "read_png", "write_png"]

Pixels = NDArray[np.uint8]
"""An image, (H, W, C) with C 1 (grey) or 3 (RGB); or several of one size, (N, H, W, C)."""

MOST_PIXELS = 64_000_000
"""Larger images are refused: 64 megapixels are 200 MB as RGB."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_IHDR = b"\x00\x00\x00\rIHDR"
_IEND = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_COLOUR = {1: 0, 3: 2}
_CHANNELS = {b"\x08\x00\x00\x00\x00": 1, b"\x08\x02\x00\x00\x00": 3}
"""Bit depth 8, colour type, and the only compression, filter method and no interlace."""
_IDAT = 33
"""Where the chunk of pixels begins: its length, its name, its content, its checksum."""
_DATA = _IDAT + 8
_FRAME = _DATA + 4 + len(_IEND)
"""Bytes of everything but the content."""
_STORED = 65_535
"""Bytes that fit one stored block."""
_BLOCK = 7
"""Bytes before a stored block: two of zlib, then the block's kind, its length and that inverted."""


def write_png(pixels: Pixels) -> bytes:
    """The PNG of one image, (H, W, C)."""
    png: bytes = png_column(pixels[None])[0].as_py()
    return png


def png_column(images: Pixels) -> pa.BinaryArray:
    """The PNGs of images of one size, (N, H, W, C)."""
    count, height, width, channels = images.shape
    rows = np.zeros((count, height, 1 + width * channels), np.uint8)  # filter 0 opens each row
    rows[:, :, 1:] = images.reshape(count, height, width * channels)
    raw = rows.reshape(count, height * (1 + width * channels))
    header = struct.pack(">II5B", width, height, 8, _COLOUR[channels], 0, 0, 0)
    start = _SIGNATURE + _IHDR + header + zlib.crc32(b"IHDR" + header).to_bytes(4, "big")
    if raw.shape[1] <= _STORED:
        return _stored(start, raw)
    return pa.array([_deflated(start, row) for row in raw], pa.binary())


def _deflated(start: bytes, raw: NDArray[np.uint8]) -> bytes:
    content = b"IDAT" + zlib.compress(raw.tobytes(), 1)
    size = (len(content) - 4).to_bytes(4, "big")
    return start + size + content + zlib.crc32(content).to_bytes(4, "big") + _IEND


def _stored(start: bytes, raw: NDArray[np.uint8]) -> pa.BinaryArray:
    """All at once: they differ in pixels and checksums only."""
    count, size = raw.shape
    block = b"\x78\x01\x01" + struct.pack("<HH", size, size ^ 0xFFFF)
    head = start + (_BLOCK + size + 4).to_bytes(4, "big") + b"IDAT" + block
    total = len(head) + size + 4 + 4 + len(_IEND)
    out = np.empty((count, total), np.uint8)
    out[:, : len(head)] = np.frombuffer(head, np.uint8)
    out[:, len(head) : len(head) + size] = raw
    out[:, -len(_IEND) :] = np.frombuffer(_IEND, np.uint8)
    ends = len(head) + size
    sums = np.array([zlib.adler32(row) for row in raw], ">u4")
    out[:, ends : ends + 4] = sums.view(np.uint8).reshape(count, 4)
    checks = np.array([zlib.crc32(row[_IDAT + 4 : ends + 4]) for row in out], ">u4")
    out[:, ends + 4 : ends + 8] = checks.view(np.uint8).reshape(count, 4)
    offsets = np.arange(count + 1, dtype=np.int64) * total
    whole = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), count, [None, pa.py_buffer(offsets), pa.py_buffer(out)]
    )
    return whole.cast(pa.binary())


def read_png(data: bytes) -> Pixels | None:
    """Pixels (H, W, C) of a whole, undamaged PNG in this form; None for anything else."""
    channels = _CHANNELS.get(data[24:29])
    if channels is None or data[:8] != _SIGNATURE or data[8:16] != _IHDR or len(data) < _FRAME:
        return None
    size = int.from_bytes(data[_IDAT : _IDAT + 4], "big")
    content = data[_IDAT + 4 : _DATA + size]
    width, height = struct.unpack(">II", data[16:24])
    whole = len(data) == _FRAME + size and content[:4] == b"IDAT" and data[-12:] == _IEND
    if not whole or not 0 < width * height <= MOST_PIXELS:
        return None
    if zlib.crc32(data[12:29]) != int.from_bytes(data[29:33], "big"):
        return None
    if zlib.crc32(content) != int.from_bytes(data[-16:-12], "big"):
        return None
    expected = height * (1 + width * channels)
    try:
        raw = zlib.decompressobj().decompress(content[4:], expected + 1)
    except zlib.error:
        return None
    if len(raw) != expected:
        return None
    rows = np.frombuffer(raw, np.uint8).reshape(height, 1 + width * channels)
    if rows[:, 0].any():
        return None
    return rows[:, 1:].reshape(height, width, channels)


def read_column(column: pa.Array) -> Pixels | None:
    """Pixels (N, H, W, C) of a column of stored PNGs of one size; None for any other."""
    if not pa.types.is_binary(column.type) or column.null_count or not len(column):
        return None
    first = column[0].as_py()
    shape = read_png(first)
    _, offsets, data = column.buffers()
    bounds = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    size = len(first)
    if shape is None or data is None or (np.diff(bounds) != size).any():
        return None
    height, width, channels = shape.shape
    length = height * (1 + width * channels)
    if size != _FRAME + _BLOCK + length + 4:
        return None
    pngs = np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]].reshape(len(column), size)
    start, end = _DATA + _BLOCK, _DATA + _BLOCK + length
    alike = (pngs[:, :start] == pngs[0, :start]).all() and (pngs[:, -12:] == pngs[0, -12:]).all()
    if not alike or first[_DATA:start] != b"\x78\x01\x01" + struct.pack(
        "<HH", length, length ^ 0xFFFF
    ):
        return None
    checks = np.array([zlib.crc32(png[_IDAT + 4 : end + 4].data) for png in pngs], ">u4")
    if (checks.view(np.uint8).reshape(-1, 4) != pngs[:, end + 4 : end + 8]).any():
        return None
    rows = pngs[:, start:end].reshape(len(pngs), height, 1 + width * channels)
    if rows[:, :, 0].any():
        return None
    return rows[:, :, 1:].reshape(len(pngs), height, width, channels)
