"""A picture of how the best scores rose over the calls, as SVG."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["curve_svg"]

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 640, 360, 56, 40, 30, 16
_POINTS = 400
_LINES = (("best", "#1f77b4"), ("mean of the ten best", "#ff7f0e"))


def curve_svg(curve: NDArray[np.float64], title: str) -> str:
    """``curve`` (calls, 2): the best, and the mean of the ten best, after each call."""
    calls = len(curve)
    low, high = float(curve.min()), float(curve.max())
    span = (high - low) or 1.0
    picked = np.unique(np.linspace(0, calls - 1, min(calls, _POINTS)).astype(int))

    def across(call: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * call / max(calls, 1)

    def up(value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * (value - low) / span

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="18" font-size="14">{_escaped(title)}</text>',
    ]
    for share in np.linspace(0, 1, 5):
        value, call = low + share * span, share * calls
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{up(value):.1f}" y2="{up(value):.1f}" '
            'stroke="#ddd"/>'
            f'<text x="{_LEFT - 6}" y="{up(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>'
            f'<text x="{across(call):.1f}" y="{_HEIGHT - 22}" text-anchor="middle">'
            f"{call:,.0f}</text>"
        )
    for column, (name, colour) in enumerate(_LINES):
        points = " ".join(f"{across(k + 1):.1f},{up(curve[k, column]):.1f}" for k in picked)
        parts.append(
            f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}"/>'
        )
        parts.append(
            f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - _BOTTOM - 26 + 16 * column}" '
            f'text-anchor="end" fill="{colour}">{name}</text>'
        )
    parts.append(
        f'<text x="{(_LEFT + _WIDTH) / 2:.0f}" y="{_HEIGHT - 6}" text-anchor="middle">'
        "calls of the objective</text></svg>"
    )
    return "\n".join(parts)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
