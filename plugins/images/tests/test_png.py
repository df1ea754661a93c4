"""The plugin's own form of PNG, and the whole columns of it."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pyarrow as pa
import pytest
from gmkit_images import png
from gmkit_images.png import png_column, read_column, read_png, write_png
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

SIDES = st.integers(1, 20)
SHAPES = st.tuples(st.integers(1, 4), SIDES, SIDES, st.sampled_from([1, 3]))


@settings(max_examples=40)
@given(SHAPES.flatmap(lambda shape: hnp.arrays(np.uint8, shape)))
def test_what_is_written_is_read(images: np.ndarray) -> None:
    """By ourselves, alone and as a column, and by Pillow, which checks every checksum."""
    column = png_column(images)
    assert column.type == pa.binary()
    found = read_column(column)
    assert found is not None and np.array_equal(found, images)
    for value, image in zip(column.to_pylist(), images, strict=True):
        assert np.array_equal(read_png(value), image)
        assert value == write_png(image)
        with Image.open(io.BytesIO(value)) as other:
            other.load()
            assert np.array_equal(np.asarray(other).reshape(image.shape), image)


def test_large_images_are_deflated() -> None:
    image = np.zeros((300, 300, 3), np.uint8)
    data = write_png(image)
    assert len(data) < 5_000
    assert np.array_equal(read_png(data), image)
    assert read_column(pa.array([data])) is None
    with Image.open(io.BytesIO(data)) as other:
        assert other.size == (300, 300) and not np.asarray(other).any()


def test_no_images() -> None:
    column = png_column(np.empty((0, 8, 8, 1), np.uint8))
    assert len(column) == 0
    assert read_column(column) is None


def test_part_of_a_column() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 1), np.uint8)
    found = read_column(png_column(images).slice(1, 3))
    assert found is not None and np.array_equal(found, images[1:4])


def test_mixed_columns_are_left_to_the_slow_way() -> None:
    small, large = (png_column(np.zeros((1, n, n, 1), np.uint8)) for n in (4, 5))
    assert read_column(pa.concat_arrays([small, large])) is None
    assert read_column(pa.array([small[0].as_py(), None])) is None
    assert read_column(pa.array(["text"])) is None
    wide = png_column(np.zeros((1, 2, 8, 1), np.uint8))[0].as_py()
    tall = png_column(np.zeros((1, 8, 2, 1), np.uint8))[0].as_py()
    assert read_column(pa.array([wide, tall])) is None


@settings(max_examples=40)
@given(st.data())
def test_damage_is_seen(data: st.DataObject) -> None:
    """Any changed byte but in the end mark's own: never other pixels."""
    image = np.random.default_rng(1).integers(0, 256, (5, 5, 1), np.uint8)
    content = bytearray(write_png(image))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    assert read_png(bytes(content)) is None
    whole = [write_png(image), bytes(content)]
    assert read_column(pa.array(whole, pa.binary())) is None


def test_bombs_are_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """More behind the pixels than they need, or a header that claims too many of them."""
    data = write_png(np.zeros((8, 8, 1), np.uint8))
    content = b"IDAT" + zlib.compress(bytes(50_000_000))
    size = (len(content) - 4).to_bytes(4, "big")
    check = zlib.crc32(content).to_bytes(4, "big")
    assert read_png(data[:33] + size + content + check + data[-12:]) is None
    monkeypatch.setattr(png, "MOST_PIXELS", 63)
    assert read_png(data) is None


@pytest.mark.parametrize("kind", ["P", "LA", "I;16", "1"])
def test_other_pngs_are_not_ours(kind: str) -> None:
    out = io.BytesIO()
    Image.new(kind, (8, 8)).save(out, "PNG")
    assert read_png(out.getvalue()) is None
    assert read_png(b"") is None
