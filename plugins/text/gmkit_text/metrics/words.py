"""Words: whether what is written are words at all."""

from __future__ import annotations

import re

import pyarrow as pa

__all__ = ["WORD", "known_words", "texts", "word_validity"]

WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
"""Letters, with apostrophes inside."""


def texts(table: pa.Table) -> list[str]:
    """The column ``text``; missing ones as empty."""
    return [text or "" for text in table.column("text").to_pylist()]


def known_words(*tables: pa.Table) -> set[str]:
    """Words of these texts, in lower case."""
    return {word.lower() for t in tables for text in texts(t) for word in WORD.findall(text)}


def word_validity(real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
    """Share of the words in the samples that occur in the data, trained on or held out; cut words
    at the ends of a window are left out. NaN without words. The floor, a copy, is near 1."""
    known = known_words(real, holdout)
    found = [word.lower() for text in texts(synthetic) for word in _whole(text)]
    if not found:
        return {"known words": float("nan")}
    return {"known words": sum(word in known for word in found) / len(found)}


def _whole(text: str) -> list[str]:
    """Words that neither begin nor end the text."""
    return [m[0] for m in WORD.finditer(text) if m.start() > 0 and m.end() < len(text)]
