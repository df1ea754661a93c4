"""Charts as SVG text: small, without scripts, and readable in light and dark pages.

Colours come from the page's style (``real``, ``synthetic``), numbers from the caller.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def overlay(
    labels: Sequence[str], real: Floats, synthetic: Floats, *, steps: bool, title: str
) -> str:
    """Shares of the same bins or categories (N,) of two tables over each other.

    ``steps``: bins of a number, drawn as outlines; else pairs of bars. ``labels``: of the ends of
    the axis, or one for each category.
    """
    width, height, base = 260.0, 120.0, 96.0
    top = max(float(real.max(initial=0)), float(synthetic.max(initial=0)), 1e-9)
    count = max(len(real), 1)
    slot = width / count
    parts = []
    if steps:
        for shares, name in ((real, "real"), (synthetic, "synthetic")):
            points = [f"0,{base}"]
            for place, share in enumerate(shares):
                y = base - 88 * share / top
                points += [f"{place * slot:.1f},{y:.1f}", f"{(place + 1) * slot:.1f},{y:.1f}"]
            points.append(f"{width},{base}")
            parts.append(f'<polyline class="{name}" points="{" ".join(points)}"/>')
        ends = [("start", 0.0, labels[0]), ("end", width, labels[-1])]
    else:
        for place, (a, b) in enumerate(zip(real, synthetic, strict=True)):
            for share, name, shift in ((a, "real", 0.08), (b, "synthetic", 0.5)):
                tall = 88 * share / top
                x = (place + shift) * slot
                parts.append(
                    f'<rect class="{name}" x="{x:.1f}" y="{base - tall:.1f}" '
                    f'width="{slot * 0.4:.1f}" height="{tall:.1f}"/>'
                )
        fitting = max(1, math.ceil(count / 3))
        shown = range(0, count, fitting)
        ends = [("start", i * slot + 2, labels[i]) for i in shown]
    for anchor, x, label in ends:
        parts.append(f'<text x="{x:.1f}" y="112" text-anchor="{anchor}">{_short(label)}</text>')
    axis = f'<line class="axis" x1="0" y1="{base}" x2="{width}" y2="{base}"/>'
    return _svg(width, height, axis + "".join(parts), title)


def heat_map(names: Sequence[str], values: Floats, *, title: str, most: float = 1.0) -> str:
    """A square of values (N, N), blue below zero, red above; ``most``: the full colour's."""
    cell, left, head = 18.0, 110.0, 8.0
    size = cell * len(names)
    parts = []
    for i, name in enumerate(names):
        y = head + (i + 0.7) * cell
        label = f'<text x="{left - 6}" y="{y:.1f}" text-anchor="end">{_short(name, 16)}</text>'
        parts.append(label)
        for j, value in enumerate(values[i]):
            share = min(abs(float(value)) / most, 1.0)
            colour = "#c0392b" if value > 0 else "#2c6fbb"
            told = html.escape(f"{name}, {names[j]}: {float(value):+.3f}")
            parts.append(
                f'<rect x="{left + j * cell:.1f}" y="{head + i * cell:.1f}" width="{cell - 1}" '
                f'height="{cell - 1}" fill="{colour}" fill-opacity="{share:.3f}" class="cell">'
                f"<title>{told}</title></rect>"
            )
    return _svg(left + size + 4, head + size + 8, "".join(parts), title)


def scatter(real: Floats, synthetic: Floats, *, title: str) -> str:
    """Points (N, 2) of two tables in one plane."""
    width, height = 520.0, 360.0
    both = np.concatenate([real, synthetic])
    low, high = np.quantile(both, 0.005, axis=0), np.quantile(both, 0.995, axis=0)
    extent = np.where(high > low, high - low, 1.0)
    parts = []
    for points, name in ((real, "real"), (synthetic, "synthetic")):
        place = np.clip((points - low) / extent, 0, 1) * [width - 12, height - 12] + 6
        dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2"/>' for x, y in place)
        parts.append(f'<g class="dot {name}">{dots}</g>')
    return _svg(width, height, "".join(parts), title)


def _svg(width: float, height: float, body: str, title: str) -> str:
    told = html.escape(title)
    return (
        f'<svg role="img" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}"><title>{told}</title>{body}</svg>'
    )


def _short(text: str, most: int = 12) -> str:
    return html.escape(text if len(text) <= most else text[: most - 1] + "…")
