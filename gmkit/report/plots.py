"""Charts with axes as SVG text: how numbers are spread, and how they run over time.

Like ``charts``: no scripts, and colours from the page's style (``real``, ``synthetic``, ``poor``).
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Times = NDArray[np.datetime64]
LEFT, RIGHT, HEAD, FOOT = 66.0, 14.0, 20.0, 46.0
DOTS = 400
"""Marked points drawn singly, the highest; more would be one blot."""
SLOTS = 900
"""Places along a line: of more points the lowest and highest of each place are drawn."""
_SECONDS = (1, 5, 15, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
_DAYS = (1, 2, 7, 14, 30, 60, 91, 182, 365, 730, 1826, 3652, 7305, 18262, 36525)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from ``low`` to ``high``, at most ``most`` + 1 of them."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * by for by in (1, 2, 5, 10) if size * by >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def time_ticks(low: np.datetime64, high: np.datetime64, most: int = 8) -> list[tuple[float, str]]:
    """(microseconds since 1970, label) at round times."""
    begin, end = (int(t.astype("datetime64[us]").astype(np.int64)) for t in (low, high))
    steps = [s * 10**6 for s in _SECONDS] + [d * 86400 * 10**6 for d in _DAYS]
    step = next((s for s in steps if (end - begin) / s <= most), max(1, (end - begin) // most))
    unit: Literal["D", "m", "s"] = "s"
    if step >= 60 * 10**6:
        unit = "D" if step >= steps[len(_SECONDS)] else "m"
    places = range(-(-begin // step) * step, end + 1, step)
    told = [np.datetime64(place, "us") for place in places]
    texts = [str(np.datetime_as_string(time, unit=unit)).replace("T", " ") for time in told]
    return [(float(place), text) for place, text in zip(places, texts, strict=True)]


@dataclass(frozen=True)
class _Frame:
    """A plane of numbers on paper."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: float = 1000.0
    height: float = 280.0

    def across(self, values: Floats | float) -> Floats:
        """Places of x."""
        low, high = self.x
        share = (np.asarray(values, np.float64) - low) / ((high - low) or 1.0)
        return np.asarray(LEFT + share * (self.width - LEFT - RIGHT))

    def up(self, values: Floats | float) -> Floats:
        """Places of y."""
        low, high = self.y
        share = (np.asarray(values, np.float64) - low) / ((high - low) or 1.0)
        return np.asarray(self.height - FOOT - share * (self.height - FOOT - HEAD))

    def svg(
        self,
        body: str,
        x_ticks: Sequence[tuple[float, str]],
        y_ticks: Sequence[tuple[float, str]],
        x_title: str,
        y_title: str,
        title: str,
    ) -> str:
        """The picture."""
        parts, base = [], self.height - FOOT
        for value, text in y_ticks:
            y = float(self.up(value))
            parts.append(
                f'<line class="axis" x1="{LEFT}" y1="{y:.1f}" x2="{self.width - RIGHT}" '
                f'y2="{y:.1f}"/><text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">'
                f"{html.escape(text)}</text>"
            )
        for value, text in x_ticks:
            x = float(self.across(value))
            parts.append(
                f'<line class="axis" x1="{x:.1f}" y1="{base}" x2="{x:.1f}" y2="{base + 5}"/>'
                f'<text x="{x:.1f}" y="{base + 19}" text-anchor="middle">{html.escape(text)}</text>'
            )
        middle = (LEFT + self.width - RIGHT) / 2
        parts += [
            f'<text x="{middle}" y="{self.height - 6}" text-anchor="middle">'
            f"{html.escape(x_title)}</text>",
            f'<text transform="translate(14 {(HEAD + base) / 2}) rotate(-90)" '
            f'text-anchor="middle">{html.escape(y_title)}</text>',
        ]
        return (
            f'<svg class="plot" role="img" viewBox="0 0 {self.width:.0f} {self.height:.0f}">'
            f"<title>{html.escape(title)}</title>{''.join(parts)}{body}</svg>"
        )


def spread(
    known: Floats,
    judged: Floats,
    *,
    threshold: float,
    marked: str,
    x_title: str,
    title: str,
    bins: int = 60,
) -> str:
    """How often numbers (N,) and (M,) occur, in shares on a scale of powers of ten, with a
    threshold from which on they are ``marked``; NaN for none."""
    ends = [float(f(some)) for some in (known, judged) if len(some) for f in (np.min, np.max)]
    ends += [threshold] if math.isfinite(threshold) else []
    low, high = min(ends), max(ends)
    edges = np.linspace(low, high + 1e-9 * (1 + abs(high)), bins + 1)
    least = 1.0
    shares = []
    for some in (known, judged):
        counts = np.histogram(some, edges)[0] / max(1, len(some))
        shares.append(counts)
        least = min(least, float(counts[counts > 0].min(initial=1.0)))
    bottom = math.floor(math.log10(least)) - 0.0
    if 10**bottom >= least:
        bottom -= 1
    frame = _Frame((float(edges[0]), float(edges[-1])), (bottom, 0.0))
    parts = []
    if math.isfinite(threshold):
        x, right = float(frame.across(threshold)), frame.width - RIGHT
        anchor, shift = ("end", -6) if x > frame.width / 2 else ("start", 6)
        parts.append(
            f'<rect class="beyond" x="{x:.1f}" y="{HEAD}" width="{max(2.0, right - x):.1f}" '
            f'height="{frame.height - FOOT - HEAD}"/>'
        )
        told = (
            f'<line class="mark" x1="{x:.1f}" y1="{HEAD - 4}" x2="{x:.1f}" '
            f'y2="{frame.height - FOOT}"/><text class="poor" x="{x + shift:.1f}" y="{HEAD + 10}" '
            f'text-anchor="{anchor}">{html.escape(marked)}</text>'
        )
    for some, name in zip(shares, ("real", "synthetic"), strict=True):
        tall = frame.up(np.where(some > 0, np.log10(np.maximum(some, 1e-300)), bottom))
        places = frame.across(edges)
        points = [f"{places[0]:.1f},{frame.height - FOOT}"]
        for n, y in enumerate(tall.tolist()):
            points += [f"{places[n]:.1f},{y:.1f}", f"{places[n + 1]:.1f},{y:.1f}"]
        points.append(f"{places[-1]:.1f},{frame.height - FOOT}")
        parts.append(f'<polyline class="{name}" points="{" ".join(points)}"/>')
    parts += [told] if math.isfinite(threshold) else []
    powers = range(int(bottom), 1)
    skip = max(1, len(powers) // 6)
    y_ticks = [(float(p), f"{100 * 10.0**p:.10g} %") for p in powers if p % skip == 0]
    x_ticks = [(t, f"{t:.6g}") for t in ticks(frame.x[0], frame.x[1], 10)]
    return frame.svg("".join(parts), x_ticks, y_ticks, x_title, "share of records", title)


def course(
    x: Floats | Times,
    values: Floats,
    marked: NDArray[np.bool_],
    *,
    x_title: str,
    y_title: str,
    title: str,
    threshold: float = math.nan,
    height: float = 220.0,
    joined: bool = True,
) -> str:
    """Numbers (N,), NaN where there is none, by ``x`` in ascending order, numbers or times, with
    some points marked. ``joined``: as a line, else as dots, or bars where they are many."""
    timed = x.dtype.kind == "M"
    place = (x.astype(np.int64) if timed else x).astype(np.float64)
    known = np.isfinite(values)
    place, values, marked = place[known], values[known], marked[known]
    if not len(values):
        return ""
    low, high = float(values.min()), float(values.max())
    if math.isfinite(threshold):
        low, high = min(low, threshold), max(high, threshold)
    room = 0.04 * (high - low) or 1.0
    frame = _Frame((float(place[0]), float(place[-1])), (low - room, high + room), height=height)
    across, up = frame.across(place), frame.up(values)
    parts = []
    if len(values) > 2 * SLOTS:
        slots = np.floor((across - LEFT) / (frame.width - LEFT - RIGHT) * (SLOTS - 1))
        starts = np.flatnonzero(np.diff(slots, prepend=-1))
        tops, feet = np.minimum.reduceat(up, starts), np.maximum.reduceat(up, starts)
        ends = zip(across[starts], feet, tops, strict=True)
        points = " ".join(f"{a:.1f},{b:.1f} {a:.1f},{c:.1f}" for a, b, c in ends)
        parts.append(f'<polyline class="line" points="{points}"/>')
    elif joined:
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, up, strict=True))
        parts.append(f'<polyline class="line" points="{points}"/>')
    else:
        dots = "".join(
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="1.6"/>' for a, b in zip(across, up, strict=True)
        )
        parts.append(f'<g class="dot real">{dots}</g>')
    if math.isfinite(threshold):
        y = float(frame.up(threshold))
        right = frame.width - RIGHT
        parts.append(f'<line class="mark" x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
    chosen = np.flatnonzero(marked)
    if len(chosen) > DOTS:
        chosen = np.sort(chosen[np.argsort(-values[chosen], kind="stable")[:DOTS]])
    parts += [f'<circle class="flag" cx="{across[n]:.1f}" cy="{up[n]:.1f}" r="4"/>' for n in chosen]
    x_ticks = (
        time_ticks(np.datetime64(int(place[0]), "us"), np.datetime64(int(place[-1]), "us"))
        if timed
        else [(t, f"{t:,.10g}") for t in ticks(frame.x[0], frame.x[1], 8)]
    )
    y_ticks = [(t, f"{t:,.6g}") for t in ticks(frame.y[0], frame.y[1], 4)]
    return frame.svg("".join(parts), x_ticks, y_ticks, x_title, y_title, title)
