"""Settings of all tests here, and what they share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from gmkit_text.codec import TextCodec
from hypothesis import settings

# The first call of some functions builds tables, and machines are shared: no time limits.
settings.register_profile("text", deadline=None)
settings.load_profile("text")


def records(*texts: str | None, **columns: Any) -> pa.RecordBatch:
    """Texts as records."""
    return pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.string()), **columns})


@pytest.fixture(name="records")
def records_fixture() -> Callable[..., pa.RecordBatch]:
    """``records("a", "b", label=[0, 1])``."""
    return records


@pytest.fixture
def fitted() -> Callable[..., TextCodec]:
    """``fitted("some", "texts", window=8)`` → a codec fitted on them."""

    def make(*texts: str, **config: Any) -> TextCodec:
        return TextCodec(config).fit([TextCodec(config).prepare(records(*texts)).records])

    return make
