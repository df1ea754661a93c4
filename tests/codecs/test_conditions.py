"""Conditions: the laws of codecs, what they take, and what can be asked for."""

from __future__ import annotations

import copy
import json
import pickle
import statistics
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gmkit.codecs.codec import CodecState
from gmkit.codecs.conditions import FEW, Conditions
from gmkit.codecs.moments import Moments
from gmkit.errors import ArtifactError, ConfigError, DataError
from gmkit.fields import Categorical, Real

NAMES = ("real", "many", "few", "word", "flag", "group")
TYPES = {
    "real": pa.float32(),
    "many": pa.int64(),
    "few": pa.uint8(),
    "word": pa.large_string(),
    "flag": pa.bool_(),
    "group": pa.dictionary(pa.int8(), pa.string()),
}
ROW = st.tuples(
    st.floats(-1e6, 1e6, width=32),
    st.integers(-(2**62), 2**62),
    st.integers(0, 4),
    st.text(max_size=3),
    st.booleans(),
    st.sampled_from(["x", "y", "ü,=", ""]),
)
ROWS = st.lists(ROW, max_size=12)
WIDE = [(0.5 * i, i * 10**6, 1, "w", True, "x") for i in range(FEW + 1)]
"""Enough integers to be taken for numbers."""


def table(rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) or [()] * len(NAMES)
    arrays = [
        pa.array(list(column), kind) for column, kind in zip(columns, TYPES.values(), strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, names=list(NAMES))


def fitted(*parts: list[tuple[Any, ...]]) -> Conditions:
    return Conditions(NAMES).fit([table(part) for part in parts])


def described(conditions: Conditions) -> Any:
    return json.loads(json.dumps(conditions.state().facts, allow_nan=False))


# ------------------------------------------------------------ laws


@given(ROWS, ROWS.filter(bool))
@settings(max_examples=12)
def test_merging_equals_seeing_both(left: list[Any], right: list[Any]) -> None:
    both = fitted(left + right)
    assert described(fitted(left).merge(fitted(right))) == described(both)
    assert described(fitted(right).merge(fitted(left))) == described(both)


@given(ROWS.filter(bool), st.booleans(), st.randoms())
@settings(max_examples=12)
def test_order_and_batching_do_not_matter(rows: list[Any], wide: bool, random: Any) -> None:
    rows = rows + WIDE * wide
    shuffled = list(rows)
    random.shuffle(shuffled)
    cut = random.randrange(len(rows) + 1)
    assert described(fitted(shuffled[:cut], shuffled[cut:])) == described(fitted(rows))


@given(ROWS.filter(bool), st.booleans())
@settings(max_examples=12)
def test_what_is_encoded_comes_back(rows: list[Any], wide: bool) -> None:
    records = table(rows + WIDE * wide)
    conditions = Conditions(NAMES).fit([records])
    batch = conditions.encode(records)
    space = conditions.space
    assert space is not None
    assert space.names == NAMES
    space.check(space.pick(batch, slice(None), "cpu"))
    decoded = conditions.decode(batch)
    for name, kind in TYPES.items():
        assert decoded[name].type == kind
        field = space.fields[name]
        if isinstance(field, Categorical):
            assert decoded[name].to_pylist() == records.column(name).to_pylist()
        else:
            scale = conditions.columns[name].scale  # type: ignore[union-attr]
            given_, back = (
                np.array(a.to_pylist(), float) for a in (records.column(name), decoded[name])
            )
            # in float32: what is not the mean is rounded by its distance to it
            assert np.all(np.abs(given_ - back) <= 1e-5 * scale + 1e-6 * np.abs(given_))


@given(ROWS.filter(bool))
@settings(max_examples=12)
def test_state_survives_json(rows: list[Any]) -> None:
    conditions = fitted(rows)
    restored = Conditions.from_state(CodecState(described(conditions)))
    records = table(rows)
    batch = conditions.encode(records)
    assert restored.state() == conditions.state()
    assert all(torch.equal(value, batch[n]) for n, value in restored.encode(records).items())
    assert restored.decode(batch) == conditions.decode(batch)
    with pytest.raises(ConfigError, match="only conditions fresh from fit"):
        restored.merge(conditions)


@given(st.data())
@settings(max_examples=12)
def test_anything_of_the_space_is_decoded(data: st.DataObject) -> None:
    conditions = fitted(WIDE)
    drawn = {
        name: torch.tensor(
            data.draw(
                st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=4)
            )
            if isinstance(field, Real)
            else data.draw(st.lists(st.integers(0, field.size), max_size=4))
        )
        for name, field in (conditions.space.fields if conditions.space else {}).items()
    }
    decoded = conditions.decode(drawn)
    assert {name: (len(a), a.type) for name, a in decoded.items()} == {
        name: (len(drawn[name]), TYPES[name]) for name in NAMES
    }
    assert all(array.null_count == 0 for array in decoded.values())


def test_no_columns_make_no_space() -> None:
    none = Conditions()
    assert not none
    assert none.space is None
    assert none.joined({"x": Real()}).condition is None
    records = table(WIDE)
    none.fit([records])
    assert none.encode(records) == {}
    assert none.prepare(records).records.equals(records)
    assert none.example() == ""
    assert Conditions.from_state(none.merge(Conditions()).state()).names == ()


def test_they_can_be_sent_to_workers() -> None:
    again = pickle.loads(pickle.dumps(Conditions(["few"])))  # noqa: S301
    assert again.fit([table(WIDE)]).describe() == {"few": "one of 1"}


# ------------------------------------------------------------ moments


@given(st.lists(st.lists(st.floats(-1e100, 1e100), max_size=8), min_size=1, max_size=4))
@settings(max_examples=200)
def test_moments_are_exact(parts: list[list[float]]) -> None:
    merged, whole = Moments(), Moments()
    for part in parts:
        one = Moments()
        one.add(np.array(part, float))
        merged = one.merge(merged)
    flat = [value for part in parts for value in part]
    whole.add(np.array(flat, float))
    assert vars(merged) == vars(whole)
    if flat:
        assert whole.mean == statistics.mean(flat)
        assert (whole.low, whole.high) == (min(flat), max(flat))
        assert 0 < whole.deviation <= max(2.0 * max(map(abs, flat)), 1.0)


def test_deviation_is_the_standard_one() -> None:
    rng = np.random.default_rng(0)
    for centre, spread in ((0, 1), (1e5, 3), (-2e-5, 1e-8), (1e60, 1e58)):
        values = rng.normal(centre, spread, 1000)
        moments = Moments()
        moments.add(values)
        assert moments.deviation == pytest.approx(values.std(), rel=1e-6)


# ------------------------------------------------------------ what becomes of a column


def kind_of(values: pa.Array) -> str:
    conditions = Conditions(["c"]).fit([pa.RecordBatch.from_arrays([values], names=["c"])])
    return conditions.columns["c"].sort


def test_integers_are_categories_while_they_are_few() -> None:
    assert kind_of(pa.array(range(FEW))) == "choice"
    assert kind_of(pa.array(range(FEW + 1))) == "number"
    assert kind_of(pa.array([2**63, 2**64 - 1], pa.uint64())) == "choice"


def test_floats_and_decimals_are_numbers_and_dictionaries_go_by_their_values() -> None:
    assert kind_of(pa.array([1.0, 2.0])) == "number"
    assert kind_of(pa.array([Decimal("1.5"), Decimal("2.5")])) == "number"
    assert kind_of(pa.array([1.5, 2.5]).dictionary_encode()) == "number"
    assert kind_of(pa.array([3, 1]).dictionary_encode()) == "choice"


def test_a_dictionary_of_many_batches_gets_room() -> None:
    kind = pa.dictionary(pa.int8(), pa.string())
    batches = [
        pa.RecordBatch.from_arrays(
            [pa.array([f"{i}-{j}" for j in range(100)]).dictionary_encode().cast(kind)], names=["c"]
        )
        for i in range(3)
    ]
    conditions = Conditions(["c"]).fit(batches)
    back = conditions.decode(conditions.encode(batches[2]))["c"]
    assert back.type == pa.dictionary(pa.int32(), pa.string())
    assert back.to_pylist() == batches[2].column("c").to_pylist()
    assert Conditions.from_state(conditions.state()).state() == conditions.state()


def test_a_constant_column_is_learned() -> None:
    records = pa.record_batch({"c": [2.5, 2.5]})
    conditions = Conditions(["c"]).fit([records])
    assert conditions.encode(records)["c"].tolist() == [0.0, 0.0]
    assert conditions.decode(conditions.encode(records))["c"].to_pylist() == [2.5, 2.5]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (pa.array([[1]]), "holds list<item: int64>, which cannot be a condition"),
        (pa.array([0], pa.date32()), "holds date32"),
        (pa.array([None]), "holds null"),
        (pa.array([f"a{i}" for i in range(1001)]), "more than 1,000 different texts"),
        (pa.array([1.0, float("nan")]), "missing values"),
        (pa.array([], pa.string()), "no record to learn"),
    ],
)
def test_columns_that_cannot_be_conditions(values: pa.Array, reason: str) -> None:
    with pytest.raises(DataError, match=reason) as told:
        assert kind_of(values)
    assert told.value.column == "c"


def test_prepare_sets_aside_what_is_missing() -> None:
    records = pa.record_batch(
        {
            "x": [1.0, None, float("nan"), float("inf"), 1e101, 2.0],
            "w": ["a", None, "b", "c", "d", None],
        }
    )
    made = Conditions(["x", "w"]).prepare(records, first_row=10)
    assert made.records.to_pydict() == {"x": [1.0], "w": ["a"]}
    assert [(r.row, r.column, r.value) for r in made.rejects] == [
        (11, "x", ""),
        (12, "x", "nan"),
        (13, "x", "inf"),
        (14, "x", "1e+101"),
        (15, "w", ""),
    ]
    assert made.rejects[0].reason == "missing value of a condition"
    assert made.rejects[1].reason == "nan is not a finite number"
    inner = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), pa.array(["a", None]))
    assert len(Conditions(["d"]).prepare(pa.record_batch({"d": inner})).rejects) == 1


def test_names_are_checked() -> None:
    with pytest.raises(ConfigError, match="'a' was given twice"):
        Conditions(["a", "b", "a"])
    with pytest.raises(ConfigError, match="no name"):
        Conditions([""])
    with pytest.raises(DataError, match="no column 'flags'") as told:
        Conditions(["flags"]).prepare(table(WIDE))
    assert told.value.hint == "Did you mean 'flag'?"
    with pytest.raises(ConfigError, match="'word' is what the model makes"):
        fitted(WIDE).joined({"word": Real()})
    with pytest.raises(ConfigError, match="not fitted"):
        _ = Conditions(["a"]).columns
    with pytest.raises(ConfigError, match="different columns"):
        Conditions(["a"]).merge(Conditions(["b"]))


def test_types_must_agree() -> None:
    one = Conditions(["c"]).fit([pa.record_batch({"c": [1]})])
    with pytest.raises(DataError, match="holds double here and int64 elsewhere"):
        one.add(pa.record_batch({"c": [1.0]}))


def test_encoding_tells_row_and_column() -> None:
    conditions = fitted(WIDE)
    rows = [list(WIDE[0]), list(WIDE[1])]
    for name, value, reason in [
        ("real", None, "missing value"),
        ("real", 1e30, "too far from anything"),
        ("few", 7, "7 was not seen in training"),
        ("word", None, "missing value"),
        ("group", "z", "'z' was not seen"),
    ]:
        wrong = copy.deepcopy(rows)
        wrong[1][NAMES.index(name)] = value
        with pytest.raises(DataError, match=reason) as told:
            conditions.encode(table([tuple(row) for row in wrong]))
        assert (told.value.row, told.value.column) == (1, name)
    texts = table(WIDE).set_column(0, "real", pa.array(["abc"] * len(WIDE)))
    with pytest.raises(DataError, match="no number"):
        conditions.encode(texts)


# ------------------------------------------------------------ asking


def test_asked_values_are_as_encoded() -> None:
    conditions = fitted(WIDE)
    asked, notes = conditions.parse(
        {"real": "7.5", "many": 3_000_000, "few": "1.0", "flag": True, "word": " w", "group": "x"}
    )
    assert notes == []
    batch = conditions.encode(table([(7.5, 3_000_000, 1, "w", True, "x")]))
    for name, value in asked.items():
        assert value.shape == (1,)
        torch.testing.assert_close(value, batch[name].to(value.dtype), rtol=1e-6, atol=1e-6)
    assert conditions.decode(asked)["real"].to_pylist() == [7.5]


def test_numbers_asked_for_come_back_as_asked() -> None:
    conditions = Conditions(["qed"]).fit([pa.record_batch({"qed": np.linspace(0.12, 0.95, 77)})])
    for text in ("0.9", "0.123", "0.77", "0.5001", "2.5", "-1"):
        assert conditions.decode(conditions.parse({"qed": text})[0])["qed"][0].as_py() == float(
            text
        )


def test_far_numbers_are_noted() -> None:
    conditions = fitted(WIDE)  # real: 0 … 32
    assert conditions.parse({"real": "33"})[1] == []
    assert conditions.parse({"real": "40"})[1] == [
        "real=40 is far outside what the model has seen: a number from 0 to 32"
    ]


@pytest.mark.parametrize(
    ("where", "message", "hint"),
    [
        ({"rael": "1"}, "no condition 'rael'", "Did you mean 'real'? It was trained on real: a"),
        ({"zzz": "1"}, "no condition 'zzz'", "It was trained on real: a number from 0 to 32; many"),
        ({"real": "much"}, "real='much' is no number", "for example real=16"),
        ({"real": "nan"}, "is no number", "for example"),
        ({"real": "1e30"}, "too far from anything", "a number from 0 to 32"),
        ({"few": "3"}, "few='3' is not known: it is one of 1", "Ask for few=1"),
        ({"group": "X"}, "group='X' is not known", "Did you mean 'x'?"),
        ({"flag": "false"}, "flag='false' is not known: it is one of true", "true"),
    ],
)
def test_what_cannot_be_asked_for(where: dict[str, str], message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as told:
        fitted(WIDE).parse(where)
    assert message in told.value.message
    assert hint in told.value.hint


def test_without_conditions_nothing_can_be_asked_for() -> None:
    with pytest.raises(ConfigError, match="trained without conditions") as told:
        Conditions().parse({"qed": "1"})
    assert told.value.hint == "Train one with --condition qed"


def test_examples_can_be_asked_for() -> None:
    conditions = fitted(WIDE)
    for name, column in conditions.columns.items():
        assert conditions.parse({name: column.example()})[1] == []
    assert conditions.describe()["few"] == "one of 1"
    many = Conditions(["c"]).fit([pa.record_batch({"c": [str(i) for i in range(10)]})])
    assert many.describe() == {"c": "one of 0, 1, 2, 3, 4, 5, 6, 7 and 2 more"}


# ------------------------------------------------------------ hostile states


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["columns"], None),
        (["columns"], {}),
        (["columns"], [1]),
        (["columns", 0], None),
        (["columns", 0, "name"], ""),
        (["columns", 0, "name"], 5),
        (["columns", 0, "name"], "many"),
        (["columns", 0, "sort"], "spell"),
        (["columns", 0, "sort"], ["number"]),
        (["columns", 0, "type"], "float"),
        (["columns", 0, "type", "name"], "list<item: int8>"),
        (["columns", 0, "type", "name"], "string"),
        (["columns", 0, "scale"], 0.0),
        (["columns", 0, "scale"], -1.0),
        (["columns", 0, "scale"], 1),
        (["columns", 0, "mean"], float("nan")),
        (["columns", 0, "mean"], 1e300),
        (["columns", 0, "low"], 1e9),
        (["columns", 2, "values"], []),
        (["columns", 2, "values"], [2, 1]),
        (["columns", 2, "values"], [1, 1]),
        (["columns", 2, "values"], [1, 256]),
        (["columns", 2, "values"], [True]),
        (["columns", 2, "values"], list(range(1001))),
        (["columns", 2, "values"], {"1": 1}),
        (["columns", 2, "type", "name"], "double"),
        (["columns", 3, "values"], ["\ud800"]),
        (["columns", 3, "values"], [["a"]]),
        (["columns", 5, "type", "index"], "string"),
        (["columns", 5, "type", "index"], "double"),
        (["columns", 5, "values"], sorted(str(i) for i in range(200))),
    ],
)
def test_hostile_states_are_refused(path: list[Any], value: Any) -> None:
    facts = described(fitted(WIDE))
    inner = facts
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(ArtifactError):
        Conditions.from_state(CodecState(facts))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["columns", "name", "sort", "type", "values", "mean", "index"]),
                inner,
                max_size=5,
            )
        ),
    )
)
def test_any_json_is_refused_or_makes_conditions(facts: Any) -> None:
    try:
        restored = Conditions.from_state(CodecState(facts))
    except ArtifactError:
        return
    assert restored.names == ()
