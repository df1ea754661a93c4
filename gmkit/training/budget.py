"""Durations as people write them: ``5m``, ``90s``, ``1h30m``."""

from __future__ import annotations

import re

from gmkit.errors import ConfigError

_SECONDS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}
_NUMBER = r"\d{1,9}(?:\.\d{1,9})?"
_DURATION = re.compile("".join(rf"(?:({_NUMBER}){unit})?" for unit in _SECONDS), re.ASCII)


def parse_duration(text: str) -> float:
    """Seconds of a duration: numbers with the units d, h, m, s, largest first, each at most once.

    A bare number is refused, since it could mean seconds or minutes. Raises ConfigError on
    anything that is not a duration greater than zero.
    """
    match = _DURATION.fullmatch(re.sub(r"\s+", "", text).lower())
    seconds = 0.0
    if match:
        parts = zip(match.groups(), _SECONDS.values(), strict=True)
        seconds = sum(float(number) * unit for number, unit in parts if number)
    if seconds <= 0:
        raise ConfigError(
            f"{text!r} is not a duration greater than zero",
            hint="Write numbers with units, for example 90s, 5m or 1h30m.",
        )
    return seconds


def format_duration(seconds: float) -> str:
    """A duration as ``parse_duration`` reads it: ``1h30m``; to 0.01 s below a minute, else 1 s."""
    if seconds < 59.995:
        return f"{seconds:.2f}".rstrip("0").rstrip(".") + "s"
    left, text = round(seconds), ""
    for unit, size in _SECONDS.items():
        count, left = divmod(left, int(size))
        if count:
            text += f"{count}{unit}"
    return text
