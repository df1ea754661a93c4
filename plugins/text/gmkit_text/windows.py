"""Documents cut into windows, and windows gathered into sections.

A model reads and writes pieces of a fixed length. Neighbouring windows of a document are much
alike in what they speak of, so ``SECTION`` of them together go into one part of the data.
"""

from __future__ import annotations

from hashlib import blake2b

SECTION = 32
"""Windows that training, validation and test are made of: whole sections, so that few windows have
a neighbour in another part, and yet a single long document can be split."""


def windows(text: str, size: int, *, in_bytes: bool = False) -> list[str]:
    """``text`` in pieces of ``size`` characters, the last of what is left; with ``in_bytes`` in
    pieces of up to ``size`` bytes of UTF-8, none of which cuts a character (``size`` ≥ 4)."""
    if not in_bytes or text.isascii():
        return [text[start : start + size] for start in range(0, len(text), size)]
    raw, pieces, start = text.encode(), [], 0
    while start < len(raw):
        end = min(start + size, len(raw))
        while end < len(raw) and raw[end] & 0xC0 == 0x80:  # inside a character
            end -= 1
        pieces.append(raw[start:end].decode())
        start = end
    return pieces


def sections(pieces: list[str]) -> list[str]:
    """For each window the name of its section: a digest of the section's text, so that equal
    sections have equal names wherever they stand."""
    names: list[str] = []
    for start in range(0, len(pieces), SECTION):
        part = pieces[start : start + SECTION]
        digest = blake2b("".join(part).encode(), digest_size=16).hexdigest()
        names += [digest] * len(part)
    return names
