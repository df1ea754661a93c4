"""Metrics on texts small enough to count by hand, and on real ones."""

from __future__ import annotations

import math
import random

import numpy as np
import pyarrow as pa
import pytest
from gmkit_text.metrics.bleu import bleu, self_bleu
from gmkit_text.metrics.copying import copying, passages
from gmkit_text.metrics.distinct import distinct
from gmkit_text.metrics.divergence import divergence
from gmkit_text.metrics.validity import validity
from gmkit_text.metrics.words import word_validity
from hypothesis import given
from hypothesis import strategies as st


def table(*texts: str | None) -> pa.Table:
    return pa.table({"text": pa.array(texts, pa.string())})


NONE = table()


def test_validity() -> None:
    assert validity(NONE, table("a", "", None, "b\ufffd"), NONE) == {"validity": 0.25}
    assert math.isnan(validity(NONE, NONE, NONE)["validity"])


def test_known_words_leave_out_cut_ones() -> None:
    real, holdout = table("The cat's here."), table("a dog")
    samples = table("xx the CAT'S dag dog yy")
    assert word_validity(real, samples, holdout) == {"known words": 3 / 4}
    assert math.isnan(word_validity(real, table("the"), holdout)["known words"])  # a cut one


def test_distinct() -> None:
    found = distinct(NONE, table("a b a", "b a"), NONE)
    assert found == {"distinct-1": 2 / 5, "distinct-2": 2 / 4}
    assert math.isnan(distinct(NONE, table("a"), NONE)["distinct-1"])


def test_bleu() -> None:
    words = ["the", "cat", "sat", "on", "the", "mat"]
    assert bleu(words, [words]) == pytest.approx(1)
    assert bleu(words, [["a", "b", "c", "d"]]) == 0
    # 5 of 6 words (one "the" of the reference), 3 of 5 pairs, 2 of 4 triples
    other = ["the", "cat", "sat", "on", "a", "mat"]
    assert bleu(words, [other]) == pytest.approx((5 / 6 * 3 / 5 * 2 / 4) ** (1 / 3))


def test_self_bleu_sees_a_model_that_repeats() -> None:
    same = self_bleu(NONE, table(*["the cat sat on"] * 3), NONE)
    assert same == {"self-BLEU": pytest.approx(1)}
    assert self_bleu(NONE, table("a b c d", "e f g h"), NONE) == {"self-BLEU": 0}
    assert math.isnan(self_bleu(NONE, table("a b c d"), NONE)["self-BLEU"])


def test_divergence() -> None:
    same = divergence(NONE, table("abcdabcd"), table("abcdabcd"))
    assert same == {"divergence@3 (bits)": 0, "divergence@4 (bits)": 0}
    other = divergence(NONE, table("abcdefgh"), table("ijklmnop"))
    assert other == pytest.approx({"divergence@3 (bits)": 1, "divergence@4 (bits)": 1})
    # aab, abb against aab, aba: ½ of each side is shared
    half = divergence(NONE, table("aabb"), table("aaba"))
    assert half["divergence@3 (bits)"] == pytest.approx(0.5)
    assert math.isnan(divergence(NONE, table("ab"), table("abc"))["divergence@3 (bits)"])


def test_divergence_compares_equal_amounts() -> None:
    rng = random.Random(0)
    letters = ["".join(rng.choices("abcdefgh", k=50)) for _ in range(200)]
    few, many = table(*letters[:20]), table(*letters[20:])
    equal = divergence(NONE, table(*letters[20:40]), few)
    assert divergence(NONE, many, few)["divergence@3 (bits)"] == pytest.approx(
        equal["divergence@3 (bits)"], abs=0.05
    )


def test_copying() -> None:
    rng = random.Random(1)
    text = "".join(rng.choices("abcdefghij", k=1000))
    fresh = "".join(rng.choices("klmnop", k=60))
    found = copying(table(text[:500], text[500:]), table(text[460:530] + fresh, fresh), NONE)
    assert found == {"copied@50": pytest.approx(70 / 190), "longest copy": 70}
    assert copying(table(text), table(fresh), NONE) == {"copied@50": 0, "longest copy": 0}
    assert copying(table(text), table(text), NONE) == {"copied@50": 1, "longest copy": 1000}
    assert math.isnan(copying(table(text), table(""), NONE)["copied@50"])


@given(st.text("ab", max_size=40), st.integers(1, 12))
def test_passages_are_equal_where_the_texts_are(text: str, size: int) -> None:
    codes = np.array([ord(c) * 7919 + 13 for c in text], np.uint64)
    found = passages(codes, size)
    plain = [text[i : i + size] for i in range(len(text) - size + 1)]
    assert len(found) == len(plain)
    assert len(set(found.tolist())) == len(set(plain))
    assert all(
        (a == b) == (x == y)
        for a, x in zip(found, plain, strict=True)
        for b, y in zip(found, plain, strict=True)
    )
