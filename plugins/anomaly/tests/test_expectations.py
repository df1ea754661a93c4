"""Values as people read them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from gmkit_anomaly.ranges import shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-0.5110903978347778, "-0.51109"),
        (pa.scalar(-0.5110903978347778), "-0.51109"),
        (None, "missing"),
        (pa.scalar(None, pa.int64()), "missing"),
        (12, "12"),
        ("a" * 50, "a" * 39 + "…"),
    ],
)
def test_values_are_short(value: Any, text: str) -> None:
    assert shown(value) == text
