"""Durations."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmkit.errors import ConfigError
from gmkit.training.budget import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5400),
        ("1d2h3m4s", 93784),
        ("1.5h", 5400),
        ("0.25s", 0.25),
        (" 1H 30 M ", 5400),
    ],
)
def test_parse(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "5",
        "m",
        "5x",
        "-5m",
        "0s",
        "0h0m",
        "30m1h",
        "5m5m",
        "1e3s",
        "nan",
        "٣s",
        "9" * 400 + "s",
    ],
)
def test_nonsense(text):
    with pytest.raises(ConfigError, match="is not a duration greater than zero") as error:
        parse_duration(text)
    assert "5m" in error.value.hint


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.25, "0.25s"), (59.999, "1m"), (90, "1m30s"), (3600, "1h"), (86461, "1d1m1s")],
)
def test_format(seconds, text):
    assert format_duration(seconds) == text


@given(st.integers(1, 10**8))
def test_whole_seconds_survive(seconds):
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.floats(0.01, 1e8))
def test_any_duration_survives_to_the_precision_shown(seconds):
    shown = parse_duration(format_duration(seconds))
    assert abs(shown - seconds) <= (0.00501 if seconds < 59.995 else 0.501)


@given(st.text())
def test_any_text_is_seconds_or_a_config_error(text):
    with suppress(ConfigError):
        assert 0 < parse_duration(text) < float("inf")
