"""The text codec: windows, sections, what is set aside, prompts, stored states."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
import torch
from gmkit_text.alphabets import UNKNOWN
from gmkit_text.codec import SECTION, TextCodec
from gmkit_text.windows import sections, windows
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gmkit.codecs import CodecState
from gmkit.errors import ArtifactError, ConfigError, DataError

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)
Records = Callable[..., pa.RecordBatch]
Fitted = Callable[..., TextCodec]


# ---------------------------------------------------------------- windows


@given(TEXT, st.integers(4, 20))
def test_windows_are_the_text(text: str, size: int) -> None:
    pieces = windows(text, size)
    assert "".join(pieces) == text
    assert {len(piece) for piece in pieces[:-1]} <= {size}
    cut = windows(text, size, in_bytes=True)
    assert "".join(cut) == text
    assert all(0 < len(piece.encode()) <= size for piece in cut)


def test_windows_of_bytes_cut_no_character() -> None:
    assert windows("aaaé€𝄞", 5, in_bytes=True) == ["aaaé", "€", "𝄞"]


def test_sections_are_of_many_windows_and_named_by_content() -> None:
    names = sections([f"{i:03}" for i in range(70)])
    assert len(set(names)) == 3
    assert names[:32] == [names[0]] * 32
    assert sections([f"{i:03}" for i in range(32)])[0] == names[0]


# ---------------------------------------------------------------- records


def test_documents_become_windows_with_their_columns(records: Records) -> None:
    batch = records("abcdefgh" * 2, None, "xyz", "", topic=["a", "b", "c", "d"])
    prepared = TextCodec({"window": 8}).prepare(batch, 100)
    assert prepared.records["text"].to_pylist() == ["abcdefgh", "abcdefgh", "xyz"]
    assert prepared.records["topic"].to_pylist() == ["a", "a", "c"]
    assert prepared.records.schema.names == ["text", "topic", SECTION]
    assert [(r.row, r.column, r.reason) for r in prepared.rejects] == [
        (101, "text", "is missing"),
        (103, "text", "is empty"),
    ]


def test_records_without_a_condition_are_set_aside(records: Records) -> None:
    codec = TextCodec({"condition": ["kind"]})
    prepared = codec.prepare(records("abc", "", "def", kind=[None, "x", "y"]))
    assert [(r.row, r.column) for r in prepared.rejects] == [(0, "kind"), (1, "text")]
    assert prepared.records["text"].to_pylist() == ["def"]


def test_no_text_column(records: Records) -> None:
    with pytest.raises(DataError, match=r"no column 'text' among a.*\n.*--column NAME"):
        TextCodec({}).prepare(pa.RecordBatch.from_pydict({"a": ["x"]}))
    with pytest.raises(DataError, match="column 'text': holds int64, not text"):
        TextCodec({}).prepare(pa.RecordBatch.from_pydict({"text": [1]}))


def test_a_large_document_costs_its_size_and_not_its_square(records: Records) -> None:
    prepared = TextCodec({"window": 4}).prepare(records("abcd" * 500_000, file=["f"]))
    assert len(prepared.records) == 500_000
    assert prepared.records.nbytes < 60 << 20


@given(st.lists(TEXT, min_size=1, max_size=4), st.sampled_from(["characters", "bytes", 12]))
def test_what_is_encoded_comes_back(texts: list[str], tokens: Any) -> None:
    config = {"window": 16, "tokens": tokens}
    batch = pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.string())})
    codec = TextCodec(config).fit([TextCodec(config).prepare(batch).records])
    encoded = codec.encode(batch)
    codec.space.check({"tokens": encoded["tokens"].long()})
    assert "".join(codec.decode(encoded)["text"].to_pylist()) == "".join(texts)
    facts = json.loads(json.dumps(codec.state().facts))
    again = TextCodec.from_state(CodecState(facts))
    assert torch.equal(again.encode(batch)["tokens"], encoded["tokens"])


def test_the_field_knows_the_lengths(fitted: Fitted) -> None:
    field = fitted("abcdefghij", "abc", window=8).space.fields["tokens"]
    assert field.shape == (8,)
    assert field.length_shares == pytest.approx([0, 0, 1 / 3, 1 / 3, 0, 0, 0, 0, 1 / 3])  # type: ignore[attr-defined]


def test_rare_characters_are_told(fitted: Fitted) -> None:
    codec = fitted("aaaabbbc€", alphabet=2)
    assert codec.decode(codec.encode(batch_of("abc€")))["text"].to_pylist() == ["ab" + UNKNOWN * 2]
    assert codec.notes() == [
        "2 rare characters, beyond the 2 most frequent, are read as �: --set codec.alphabet=N "
        "tells more apart, --set codec.tokens=bytes all."
    ]
    assert fitted("aaaabbbc€").notes() == []


def batch_of(*texts: str) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"text": list(texts)})


def test_conditions_go_along(records: Records) -> None:
    codec = TextCodec({"window": 4, "condition": ["kind"]})
    batch = records("abcdefgh", "xy", kind=["a", "b"])
    codec.fit([codec.prepare(batch).records])
    encoded = codec.encode(batch)
    assert codec.decode(encoded).to_pydict() == {
        "text": ["abcd", "efgh", "xy"],
        "kind": ["a", "a", "b"],
    }


# ---------------------------------------------------------------- prompts


def test_a_prompt_is_the_beginning(fitted: Fitted) -> None:
    codec = fitted("the cat sat", window=16)
    given_, known = codec.partial("the ")
    assert known["tokens"][0].tolist() == [True] * 4 + [False] * 7
    assert codec.decode(given_)["text"].to_pylist() == ["the "]


def test_gaps_are_as_long_as_they_are_drawn(fitted: Fitted) -> None:
    codec = fitted("the cat_s sat on it", window=32)
    given_, known = codec.partial("the __t_s ___", gaps=True)
    shown = "".join("x" if k else "." for k in known["tokens"][0].tolist())
    assert shown == "xxxx..xxxx...xxxxxx"
    assert not bool((given_["tokens"][0, :13] == 0).any())  # no end in a gap
    assert bool((given_["tokens"][0, 13:] == 0).all())


def test_gaps_of_bytes(fitted: Fitted) -> None:
    _, known = fitted("häßlich", window=16, tokens="bytes").partial("ä___ß", gaps=True)
    assert known["tokens"][0, :7].tolist() == [True, True, False, False, False, True, True]


@pytest.mark.parametrize(
    ("text", "gaps", "config", "told"),
    [
        ("th€", False, {}, "the training text has no '€'"),
        ("", False, {}, "a prompt of 0 tokens; this model writes 1 to 11"),
        ("the cat sat at", False, {}, "a prompt of 14 tokens"),
        ("the ___", True, {"tokens": 5}, "gaps need a model of characters or bytes"),
    ],
)
def test_prompts_that_cannot_be(
    fitted: Fitted, text: str, gaps: bool, config: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        fitted("the cat sat", **config).partial(text, gaps=gaps)


# ---------------------------------------------------------------- options and states


@pytest.mark.parametrize(
    "config", [{"tokens": "words"}, {"tokens": 0}, {"window": 3}, {"alphabet": 0}, {"color": 1}]
)
def test_options_are_checked(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TextCodec(config)


def test_text_is_no_condition_of_itself() -> None:
    with pytest.raises(ConfigError, match="'text' is what the model makes"):
        TextCodec({"condition": ["text"]})


def test_only_fresh_codecs_merge(fitted: Fitted) -> None:
    codec = fitted("abc")
    stored = TextCodec.from_state(codec.state())
    with pytest.raises(ConfigError, match="fresh from fit"):
        codec.merge(stored)
    with pytest.raises(ConfigError, match="different options"):
        codec.merge(fitted("abc", window=5))
    with pytest.raises(ConfigError, match="not fitted"):
        _ = TextCodec({}).space


@pytest.mark.parametrize(
    "change",
    [
        {"length": 0},
        {"length": "5"},
        {"rare": -1},
        {"lengths": [1]},
        {"lengths": [0] * 4},
        {"config": 3},
        {"config": {"window": 1}},
        {"alphabet": {"kind": "runes"}},
        {"extra": 1},
    ],
)
def test_hostile_states(fitted: Fitted, change: dict[str, Any]) -> None:
    facts = {**fitted("abc").state().facts, **change}
    with pytest.raises(ArtifactError):
        TextCodec.from_state(CodecState(facts))
