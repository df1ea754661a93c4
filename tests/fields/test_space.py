"""Spaces: verbs over fields, trimming, and descriptions that come back or are refused."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gmkit.errors import ArtifactError, DataError, PluginError
from gmkit.fields import LAYOUTS, Categorical, Process, Real, Space

WORD = Categorical(size=4, shape=(6,), layout="sequence", end=0)
MIXED = Space(
    {"word": WORD, "age": Real(), "kind": Categorical(size=3, shape=(2,))},
    Space({"label": Categorical(size=5), "hint": WORD}),
)


def batch(rows=7, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return {
        "word": WORD.close(torch.randint(0, 4, (rows, 6), generator=rng)),
        "age": torch.randn(rows, generator=rng),
        "kind": torch.randint(0, 3, (rows, 2), generator=rng),
        "label": torch.randint(0, 5, (rows,), generator=rng),
        "hint": WORD.close(torch.randint(0, 4, (rows, 6), generator=rng)),
    }


def params(rows=7, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(rows, *f.shape, f.param_dim, generator=rng)
        for name, f in MIXED.fields.items()
    }


def test_verbs_cover_every_field_and_sum_to_records():
    rng, data, heard = torch.Generator().manual_seed(0), batch(), params()
    process, t = Process(), torch.full((7,), 0.6)
    MIXED.check(data)
    noisy = MIXED.corrupt(data, t, rng, process)
    losses = MIXED.denoise_loss(heard, data, noisy, t, process)
    nll = MIXED.nll(heard, data)
    clean = MIXED.clean(heard, noisy, t, process)
    for name, f in MIXED.fields.items():
        assert nll[name].shape == losses[name].shape == (7,)
        whole = f.nll(heard[name], data[name]).reshape(7, -1).sum(1)
        assert torch.allclose(nll[name], whole)
        assert MIXED.embed(data)[name].shape == (7, *f.shape, f.embed_dim)
    for found in (
        MIXED.sample(heard, rng),
        MIXED.prior(7, rng, process),
        noisy,
        MIXED.reverse_step(clean, noisy, t, t * 0, rng, process),
    ):
        assert list(found) == list(MIXED.names)
    MIXED.check({**data, **MIXED.reverse_step(clean, noisy, t, t * 0, rng, process)})
    assert set(MIXED.relax(heard, rng)) == set(MIXED.observed(data)) == set(MIXED.names)


def test_layout_and_elements():
    assert MIXED.layout == "sequence" and MIXED.elements == 6 + 1 + 2
    assert Space({"a": Real()}).layout == "flat"
    grid = Space({"a": WORD, "b": Real(shape=(1, 4, 4), layout="grid2d")})
    assert grid.layout == "grid2d"


def test_hide_makes_about_the_share_unknown_and_spares_conditions():
    data = batch(4000)
    hidden = MIXED.hide(data, 0.3, torch.Generator().manual_seed(0))
    assert float((hidden["kind"] == 3).float().mean()) == pytest.approx(0.3, abs=0.02)
    assert float((hidden["age"] == 0).float().mean()) == pytest.approx(0.3, abs=0.02)
    assert hidden["label"] is data["label"]
    assert bool((data["kind"] < 3).all())  # the original is untouched


def test_trim_cuts_sequences_alike_and_leaves_conditions_whole():
    two = Space({"a": WORD, "b": WORD}, Space({"hint": WORD}))
    data = {
        "a": torch.tensor([[1, 0, 0, 0, 0, 0]]),
        "b": torch.tensor([[1, 2, 3, 0, 0, 0]]),
        "hint": torch.tensor([[1, 0, 0, 0, 0, 0]]),
    }
    trimmed = two.trim(data)
    assert {n: v.shape[1] for n, v in trimmed.items()} == {"a": 4, "b": 4, "hint": 6}
    assert two.lengths(data).tolist() == [4]


def test_trim_leaves_a_sequence_beside_an_endless_one():
    two = Space({"a": WORD, "x": Real(shape=(6,), layout="sequence")})
    data = {"a": torch.tensor([[1, 0, 0, 0, 0, 0]]), "x": torch.zeros(1, 6)}
    assert two.trim(data)["a"].shape == (1, 6)


def test_trim_of_no_records():
    assert Space({"a": WORD}).trim({"a": torch.zeros(0, 6, dtype=torch.int64)})["a"].shape == (0, 1)


def test_pick_casts_compact_storage_and_trims():
    stored = {**batch(), "age": batch()["age"].half(), "word": batch()["word"].to(torch.uint8)}
    picked = MIXED.trim(MIXED.pick(stored, torch.tensor([3, 1]), "cpu"))
    assert picked["age"].dtype == torch.float32 and picked["word"].dtype == torch.int64
    assert torch.equal(picked["label"], stored["label"][[3, 1]])
    longest = int(WORD.length_of(stored["word"][[3, 1]]).max()) + 1
    assert torch.equal(picked["word"], stored["word"][[3, 1], :longest].long())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"age": None}, "no field 'age'"),
        ({"label": torch.full((7,), 9)}, "row 0, column 'label': a class outside"),
        ({"kind": torch.zeros(7, 3, dtype=torch.int64)}, "column 'kind': a value of shape"),
    ],
)
def test_check_names_the_field(change, text):
    data = {n: v for n, v in {**batch(), **change}.items() if v is not None}
    with pytest.raises(DataError, match=text):
        MIXED.check(data)


def test_ill_formed_spaces():
    with pytest.raises(ValueError, match="at least one field"):
        Space({})
    with pytest.raises(ValueError, match=r"share the names \['a'\]"):
        Space({"a": Real()}, Space({"a": Real()}))
    with pytest.raises(ValueError, match="conditions cannot have conditions"):
        Space({"a": Real()}, MIXED)


# ------------------------------------------------------------ storage

fields = st.one_of(
    st.builds(Real, shape=st.lists(st.integers(1, 9), max_size=3).map(tuple)),
    st.builds(Real, shape=st.tuples(st.integers(1, 9)), layout=st.just("sequence")),
    st.integers(1, 9).flatmap(
        lambda size: st.builds(
            Categorical,
            size=st.just(size),
            shape=st.tuples(st.integers(1, 9)),
            layout=st.just("sequence"),
            end=st.none() | st.integers(0, size - 1),
        )
    ),
)
spaces = st.dictionaries(st.text(), fields, min_size=1, max_size=4).map(Space)


@settings(max_examples=50)
@given(spaces, st.none() | fields)
def test_description_comes_back_through_json(space, condition):
    if condition is not None:
        name = "+".join(space.names) + "+"
        space = Space(space.fields, Space({name: condition}))
    again = Space.from_json(json.loads(json.dumps(space.to_json())))
    assert again == space and again.names == space.names


REAL = {"kind": "real", "shape": [], "layout": "flat"}


@pytest.mark.parametrize(
    "facts",
    [
        None,
        [],
        {},
        {"fields": None},
        {"fields": []},
        {"fields": [["a"]]},
        {"fields": [["a", None]]},
        {"fields": [["a", {}]]},
        {"fields": [["a", {**REAL, "shape": [1.5]}]]},
        {"fields": [["a", {**REAL, "shape": [1e400]}]]},
        {"fields": [["a", {**REAL, "shape": "12"}]]},
        {"fields": [["a", {**REAL, "shape": [-1]}]]},
        {"fields": [["a", {**REAL, "layout": []}]]},
        {"fields": [["a", {**REAL, "extra": 1}]]},
        {"fields": [["a", REAL], ["a", REAL]]},
        {"fields": [["a", {"kind": "categorical", "size": 2.5}]]},
        {"fields": [["a", {"kind": "categorical", "size": "3"}]]},
        {"fields": [["a", {"kind": "categorical", "size": 3, "end": 1.0}]]},
        {"fields": [["a", {"kind": "categorical"}]]},
        {"fields": [["a", REAL]], "condition": 5},
        {"fields": [["a", REAL]], "condition": {"fields": [["a", REAL]]}},
    ],
)
def test_hostile_descriptions_are_refused(facts):
    with pytest.raises(ArtifactError, match=r"not a (description of a space|\w+ field)"):
        Space.from_json(facts)


def test_a_thousand_nested_conditions_are_refused():
    facts = {"fields": [["a", REAL]], "condition": None}
    for depth in range(5000):
        facts = {"fields": [[f"a{depth}", REAL]], "condition": facts}
    with pytest.raises(ArtifactError, match="not a description of a space"):
        Space.from_json(facts)


def test_an_unknown_kind_names_what_is_missing():
    with pytest.raises(PluginError, match="os:system"):
        Space.from_json({"fields": [["a", {"kind": "os:system"}]]})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=100)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "shape": json_values,
            "layout": st.sampled_from(LAYOUTS) | json_values,
            "size": json_values,
            "end": json_values,
        },
    ),
    st.sampled_from(["real", "categorical"]),
)
def test_any_facts_make_a_field_or_an_artifact_error(facts, kind):
    with suppress(ArtifactError):
        space = Space.from_json({"fields": [["a", {"kind": kind, **facts}]]})
        assert Space.from_json(json.loads(json.dumps(space.to_json()))) == space
