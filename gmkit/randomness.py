"""Counter-based randomness: every draw derives from (seed, purpose, counter).

Nothing has to be stored to resume: step 1,234 draws the same noise whether it is reached straight
or after a kill, and on any number of loader workers.
"""

from __future__ import annotations

import hashlib

import torch


def derive(seed: int, *path: str | int) -> int:
    """A seed in [0, 2⁶³) for a purpose: ``derive(seed, "step", 12)``."""
    text = "/".join(str(part) for part in (seed, *path))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1


def generator(seed: int, *path: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator for a purpose, on the device where its draws are needed."""
    rng = torch.Generator(device=device)
    rng.manual_seed(derive(seed, *path))
    return rng
