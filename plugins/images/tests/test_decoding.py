"""Images of every kind become upright, opaque pixels of 8 bits; hostile ones become reasons."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from gmkit_images import decoding
from gmkit_images.decoding import ImageError, decode
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

Save = Callable[..., bytes]


def test_grey_and_colour(saved: Save) -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert np.array_equal(decode(saved(Image.fromarray(grey)))[..., 0], grey)
    rgb = np.random.default_rng(0).integers(0, 256, (8, 6, 3), np.uint8)
    assert np.array_equal(decode(saved(Image.fromarray(rgb), "BMP")), rgb)
    assert decode(saved(Image.fromarray(rgb), "JPEG")).shape == (8, 6, 3)


def test_transparency_lies_on_white(saved: Save) -> None:
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (255, 0, 0, 0))
    assert decode(saved(image)).tolist() == [[[255, 0, 0], [255, 255, 255]]]
    grey = Image.new("LA", (1, 1), (0, 0))
    assert decode(saved(grey)).tolist() == [[[255, 255, 255]]]


def test_palettes(saved: Save) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    assert decode(saved(image)).tolist() == [[[10, 20, 30], [40, 50, 60]]]
    clear = decode(saved(image, transparency=1))
    assert clear.tolist() == [[[10, 20, 30], [255, 255, 255]]]


def test_sixteen_bits_become_eight(saved: Save) -> None:
    values = np.array([[0, 257, 32_896, 65_535]], np.uint16)
    assert decode(saved(Image.fromarray(values)))[..., 0].tolist() == [[0, 1, 128, 255]]


def test_the_camera_is_turned_upright(saved: Save) -> None:
    image = Image.new("RGB", (4, 2), "white")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    assert decode(saved(image, "JPEG", exif=exif)).shape == (4, 2, 3)


def test_cmyk_and_black_and_white(saved: Save) -> None:
    assert decode(saved(Image.new("CMYK", (3, 3)), "JPEG")).shape == (3, 3, 3)
    assert decode(saved(Image.new("1", (3, 3), 1))).tolist() == [[[255]] * 3] * 3


def test_large_photographs_are_decoded_small(saved: Save) -> None:
    data = saved(Image.new("RGB", (800, 800), "red"), "JPEG")
    assert decode(data, 40).shape == (100, 100, 3)
    assert decode(data).shape == (800, 800, 3)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"not an image", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        (b"\x89PNG\r\n\x1a\n", "not an image"),
    ],
)
def test_reasons(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        decode(data)


def test_truncated_files_are_damaged(saved: Save) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))
    for kind in ("PNG", "JPEG", "WEBP"):
        data = saved(noise, kind)
        with pytest.raises(ImageError, match=r"damaged|not an image"):
            decode(data[: len(data) // 2])


def test_bombs_are_refused_unread(saved: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(Image.new("P", (30, 30)), "GIF")
    monkeypatch.setattr(decoding, "MOST_PIXELS", 899)
    with pytest.raises(ImageError, match="30 × 30 pixels, more than 899"):
        decode(data)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ImageError, match="more than 899 pixels"):
        decode(data)


def test_floating_point_is_refused(saved: Save) -> None:
    with pytest.raises(ImageError, match="floating-point"):
        decode(saved(Image.new("F", (3, 3)), "TIFF"))


@settings(max_examples=40)
@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8\xff\xe0", b"GIF89a", b"BM"]))
def test_no_bytes_escape(data: bytes, start: bytes) -> None:
    """Whatever the bytes: pixels, or a reason."""
    try:
        pixels = decode(start + data)
    except ImageError:
        return
    assert pixels.ndim == 3 and pixels.shape[-1] in (1, 3)


@settings(max_examples=40)
@given(st.data())
def test_damaged_files_give_pixels_or_a_reason(data: st.DataObject) -> None:
    out = io.BytesIO()
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"]))
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(out, kind)
    content = bytearray(out.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        pixels = decode(bytes(content))
    except ImageError:
        return
    assert pixels.dtype == np.uint8 and pixels.ndim == 3
