"""Sketches of sequences: bounded, mergeable, independent of order."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmkit.codecs.sketch import SequenceSketch, Smallest
from gmkit.errors import DataError

texts = st.lists(st.text("abcd", min_size=1, max_size=12), max_size=40)


def sketch(items: list[str], sample: int = 5, longest: int = 4) -> SequenceSketch:
    made = SequenceSketch(sample, longest)
    for item in items:
        made.add(item, list(item))
    return made


def facts(made: SequenceSketch) -> tuple[object, ...]:
    return (
        made.atoms,
        made.longest_atoms,
        made._sample.items(),
        made._sample.dropped,
        made._longest.items(),
        made._longest.dropped,
    )


@given(texts, texts)
def test_merging_equals_seeing_both(left: list[str], right: list[str]) -> None:
    assert facts(sketch(left).merge(sketch(right))) == facts(sketch(left + right))


@given(texts, st.randoms())
def test_order_does_not_matter(items: list[str], random: object) -> None:
    shuffled = list(items)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert facts(sketch(shuffled)) == facts(sketch(items))


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 10))
def test_smallest_keeps_the_smallest_distinct(keys: list[int], size: int) -> None:
    kept = Smallest(size)
    for key in keys:
        kept.add(key, str(key))
    distinct = sorted(set(keys))
    assert kept.items() == [str(key) for key in distinct[:size]]
    assert kept.dropped == (len(distinct) > size)


@given(texts.filter(bool), st.integers(0, 6))
def test_length_is_exact_when_all_are_kept(items: list[str], merges: int) -> None:
    made = sketch(items, sample=100, longest=100)
    vocabulary = made.vocabulary(merges, list)
    assert made.length(vocabulary, list) == max(map(len, vocabulary.encode(items)))


@given(texts.filter(bool), st.integers(0, 6))
def test_length_bounds_what_was_dropped(items: list[str], merges: int) -> None:
    made = sketch(items * 12, sample=3, longest=2)
    vocabulary = made.vocabulary(merges, list)
    assert made.length(vocabulary, list) >= max(map(len, vocabulary.encode(items)))


def test_nothing_to_learn_from() -> None:
    with pytest.raises(DataError, match="no usable record"):
        sketch([]).vocabulary(4, list)


@given(texts.filter(bool), st.integers(0, 6))
def test_lengths_are_counted_of_the_sample(items: list[str], merges: int) -> None:
    made = sketch(items, sample=100, longest=100)
    vocabulary = made.vocabulary(merges, list)
    lengths = made.lengths(vocabulary, list)
    assert lengths == Counter(map(len, vocabulary.encode(sorted(set(items)))))
    assert max(lengths) == made.length(vocabulary, list)
