"""Settings of all tests here, and the images they share."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from gmkit_images.png import Pixels
from hypothesis import settings
from PIL import Image

# The first call of some functions builds tables, and machines are shared: no time limits.
settings.register_profile("images", deadline=None)
settings.load_profile("images")


@pytest.fixture
def saved() -> Callable[..., bytes]:
    """``saved(image, "JPEG")`` → the file's bytes."""

    def save(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
        out = io.BytesIO()
        image.save(out, kind, **options)
        return out.getvalue()

    return save


@pytest.fixture
def noise() -> Callable[..., Pixels]:
    """``noise(3, 8, 8, 1)`` → random pixels of that shape, the same in every test."""
    return lambda *shape: np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def records(*values: Any, **columns: Any) -> pa.RecordBatch:
    """Encoded images as records."""
    return pa.RecordBatch.from_pydict({"image": pa.array(values, pa.binary()), **columns})


@pytest.fixture(name="records")
def records_fixture() -> Callable[..., pa.RecordBatch]:
    """``records(b"…", b"…", label=[0, 1])``."""
    return records
