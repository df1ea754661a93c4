"""Seeds for purposes, without torch: what reads and samples data needs no more."""

from __future__ import annotations

import hashlib


def derive(seed: int, *path: str | int) -> int:
    """A seed in [0, 2⁶³) for a purpose: ``derive(seed, "step", 12)``."""
    text = "/".join(str(part) for part in (seed, *path))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1
