"""Token vocabularies: merges, ids, storage, hostile storage, forks."""

from __future__ import annotations

import contextlib
import json
import pickle
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmkit.codecs.vocab import END, TokenVocabulary
from gmkit.errors import ArtifactError, DataError

WORDS = ["abab", "abcab", "ccab", "abab", "cabc"] * 10


def learned(merges: int = 5) -> TokenVocabulary:
    return TokenVocabulary.learn("abc", WORDS, merges=merges)


def test_ids_are_end_then_atoms_then_merges() -> None:
    vocabulary = learned(1)
    assert vocabulary.atoms == ("a", "b", "c")
    assert vocabulary.merges == ((1, 2),)
    assert vocabulary.size == 5
    assert vocabulary.encode(["abc"]) == [[4, 3]]


def test_no_merges_is_atom_level() -> None:
    vocabulary = learned(0)
    assert vocabulary.merges == ()
    assert vocabulary.encode(["abc", ""]) == [[1, 2, 3], []]


def test_rare_pairs_are_not_merged() -> None:
    assert TokenVocabulary.learn("ab", ["ab"] * 9, merges=5, min_frequency=10).merges == ()


def test_learning_does_not_depend_on_order() -> None:
    assert TokenVocabulary.learn("cab", WORDS[::-1], merges=5) == learned()


@given(st.lists(st.text("abc", max_size=30), max_size=8))
def test_round_trip(words: list[str]) -> None:
    vocabulary = learned()
    ids = vocabulary.encode_padded(words, 31)
    assert ids.shape == (len(words), 31)
    assert ids.dtype == np.int16
    assert vocabulary.decode(ids) == words


@given(st.lists(st.text("abc", max_size=30), min_size=1, max_size=8))
def test_a_row_does_not_depend_on_its_neighbours(words: list[str]) -> None:
    vocabulary = learned()
    alone = np.concatenate([vocabulary.encode_padded([word], 31) for word in words])
    assert (vocabulary.encode_padded(words, 31) == alone).all()


def test_what_follows_the_first_end_is_ignored() -> None:
    ids = np.array([[1, END, 2], [END, 1, 1], [1, 2, 3]])
    assert learned().decode(ids) == ["a", "", "abc"]


def test_a_sequence_of_nothing_but_merged_tokens_decodes() -> None:
    vocabulary = learned()
    ids = np.arange(4, vocabulary.size)[None]
    assert set(vocabulary.decode(ids)[0]) <= set("abc")


def test_unknown_atoms_name_row_and_column() -> None:
    with pytest.raises(DataError, match=r"row 8, column 'x': token 'z' does not occur") as error:
        learned().encode(["a", "az"], column="x", first_row=7)
    assert "train on data" in error.value.hint


def test_too_long_names_row() -> None:
    with pytest.raises(DataError, match=r"row 1, column 'x': 3 tokens, at most 2 were seen"):
        learned(0).encode_padded(["a", "abc"], 3, column="x")


def test_wide_vocabularies_use_int32() -> None:
    atoms = [f"{i:05d}" for i in range(40_000)]
    vocabulary = TokenVocabulary(atoms)
    ids = vocabulary.encode_padded([[atoms[-1], atoms[0]]], 3)
    assert ids.dtype == np.int32
    assert ids.tolist() == [[40_000, 1, 0]]
    assert vocabulary.decode(ids) == ["3999900000"]


def test_storage_round_trip_through_json() -> None:
    vocabulary = learned()
    again = TokenVocabulary.from_json(json.loads(json.dumps(vocabulary.to_json())))
    assert again == vocabulary
    assert again.encode(WORDS) == vocabulary.encode(WORDS)


def test_pickles_after_use() -> None:
    vocabulary = learned()
    vocabulary.encode(["ab"])
    vocabulary.decode(np.array([[1]]))
    assert pickle.loads(pickle.dumps(vocabulary)).encode(["abab"]) == vocabulary.encode(["abab"])  # noqa: S301


DOUBLING = [[1, 1], *([i, i] for i in range(2, 60))]


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (None, "makes no sense"),
        ([], "makes no sense"),
        ({}, "'merges'"),
        ({"atoms": "ab", "merges": []}, "not a list"),
        ({"atoms": ["b", "a"], "merges": []}, "not sorted"),
        ({"atoms": ["a", "a"], "merges": []}, "not sorted"),
        ({"atoms": ["a", 1], "merges": []}, "non-empty string"),
        ({"atoms": [""], "merges": []}, "non-empty string"),
        ({"atoms": ["a"], "merges": [[1, 2]]}, "1 and 2, 2 are known"),
        ({"atoms": ["a"], "merges": [[0, 1]]}, "0 and 1"),
        ({"atoms": ["a"], "merges": [[-1, 1]]}, "-1 and 1"),
        ({"atoms": ["a"], "merges": [[1]]}, "makes no sense"),
        ({"atoms": ["a"], "merges": [[1.0, 1]]}, "pair of ids"),
        ({"atoms": ["a"], "merges": [[True, 1]]}, "pair of ids"),
        ({"atoms": ["a"], "merges": 3}, "makes no sense"),
        ({"atoms": ["a"], "merges": DOUBLING}, "over 4096 atoms"),
        ({"atoms": [f"{i:06d}" for i in range(70_000)], "merges": []}, "at most 65000"),
    ],
)
def test_hostile_storage_is_refused(facts: object, reason: str) -> None:
    with pytest.raises(ArtifactError, match=reason):
        TokenVocabulary.from_json(facts)


@settings(max_examples=200)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["atoms", "merges"]), inner, max_size=2)
        ),
        max_leaves=12,
    )
)
def test_any_storage_is_read_or_refused(facts: object) -> None:
    with contextlib.suppress(ArtifactError):
        TokenVocabulary.from_json(facts)


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs fork")
def test_forking_after_use_warns_of_nothing_and_works() -> None:
    code = """
        import os
        from gmkit.codecs.vocab import TokenVocabulary
        v = TokenVocabulary.learn("ab", ["abab"] * 50, merges=2)
        v.encode(["ab"] * 1000)
        pid = os.fork()
        if pid == 0:
            v.encode(["ab"] * 1000)
            os._exit(0)
        print(os.waitpid(pid, 0)[1], "TOKENIZERS_PARALLELISM" in os.environ)
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == ["0", "False"]
    assert done.stderr == ""
