"""Characters, bytes and byte pairs: every text there and back, hostile facts refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gmkit_text.alphabets import (
    PIECE,
    UNKNOWN,
    Alphabet,
    Bytes,
    Characters,
    Pairs,
    alphabet_from_json,
)
from hypothesis import given
from hypothesis import strategies as st

from gmkit.errors import ArtifactError, DataError

TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
TEXTS = st.lists(TEXT, min_size=1, max_size=6)
WORDS = ["the cat sat on the mat", "the dog sat on the log", "that hat, that cat; the cat_s"] * 5


def alphabets(texts: list[str]) -> list[Alphabet]:
    characters = set("".join(texts))
    return [Characters(characters), Bytes(), Pairs.learn(characters, [*texts, *WORDS], 20)]


@given(TEXTS)
def test_every_text_comes_back(texts: list[str]) -> None:
    """Astral planes, combining marks, controls and NUL included; � stands for itself."""
    for alphabet in alphabets(texts):
        length = max(1, *(len(alphabet.split(text)) for text in texts))
        rows = alphabet.rows(texts, length)
        assert rows.shape == (len(texts), length)
        assert rows.max() < alphabet.size
        assert alphabet.decode(rows) == texts
        assert [alphabet.split(text) for text in texts] == [
            row[: (row != 0).sum()].tolist() for row in rows
        ]


@given(TEXTS)
def test_facts_restore_the_alphabet(texts: list[str]) -> None:
    for alphabet in alphabets(texts):
        again = alphabet_from_json(alphabet.to_json())
        assert again.size == alphabet.size
        assert all(again.split(text) == alphabet.split(text) for text in texts)


@given(st.integers(0, 2**32 - 1))
def test_any_ids_decode(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for alphabet in alphabets(["žluťoučký kůň"]):
        texts = alphabet.decode(rng.integers(0, alphabet.size, (4, 7), np.int16))
        assert len(texts) == 4
        assert all("\0" not in text for text in texts if alphabet.kind != "bytes")
        "".join(texts).encode()  # no lone surrogates


def test_unknown_characters_become_one() -> None:
    alphabet = Characters("abc")
    assert alphabet.unknown("abcdé") == {"d", "é"}
    assert alphabet.decode(alphabet.rows(["adéb"], 4)) == [f"a{UNKNOWN}{UNKNOWN}b"]
    pairs = Pairs.learn("abc", ["abcabc"], 3)
    assert pairs.decode(pairs.rows(["ab€c"], 4)) == [f"ab{UNKNOWN}c"]
    assert Bytes().unknown("€") == set()


def test_a_broken_byte_is_shown() -> None:
    assert Bytes().decode(np.array([[0xC3 + 1, ord("a") + 1, 0, 5]], np.int16)) == [f"{UNKNOWN}a"]


def test_pairs_merge_what_is_frequent_and_keep_to_words() -> None:
    alphabet = Pairs.learn(set("".join(WORDS)), WORDS, 40)
    ids = alphabet.split("the cat")
    assert len(ids) == 2
    assert alphabet.size > len(set("".join(WORDS))) + 2
    pieces = [alphabet.decode(np.array([[i]], np.int16))[0] for i in range(1, alphabet.size)]
    assert all(PIECE.fullmatch(piece) for piece in pieces)


@given(TEXT)
def test_pieces_cover_the_text(text: str) -> None:
    assert "".join(PIECE.findall(text)) == text


def test_a_text_that_is_too_long_is_told_with_its_row() -> None:
    for alphabet in alphabets(["abc"]):
        with pytest.raises(DataError, match=r"row 1.*4 tokens, at most 3"):
            alphabet.rows(["abc", "cbac"], 3)


@pytest.mark.parametrize(
    "facts",
    [
        None,
        {},
        {"kind": "runes"},
        {"kind": "characters"},
        {"kind": "characters", "characters": "abc"},
        {"kind": "characters", "characters": ["ab"]},
        {"kind": "characters", "characters": ["\ud800"]},
        {"kind": "characters", "characters": [7]},
        {"kind": "pairs", "vocabulary": {"atoms": ["a"], "merges": []}},
        {"kind": "pairs", "vocabulary": {"atoms": ["a", "bc", UNKNOWN], "merges": []}},
    ],
)
def test_hostile_facts(facts: Any) -> None:
    with pytest.raises(ArtifactError):
        alphabet_from_json(facts)
