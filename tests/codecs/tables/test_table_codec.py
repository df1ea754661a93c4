"""Tables through the codec: whatever the schema, it comes back the same, and values the data's."""

from __future__ import annotations

import datetime as dt
import decimal
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gmkit.codecs import CodecState
from gmkit.codecs.tables import TableCodec
from gmkit.codecs.tables.columns import Template
from gmkit.codecs.tables.inference import learned, new_sketch
from gmkit.errors import ArtifactError, ConfigError, DataError

NUMBERS = ("bins", "real")
TYPES: dict[pa.DataType, Any] = {
    pa.int8(): st.integers(-(2**7), 2**7 - 1),
    pa.uint16(): st.integers(0, 2**16 - 1),
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float16(): st.floats(width=16),
    pa.float32(): st.floats(width=32),
    pa.float64(): st.floats(),
    pa.bool_(): st.booleans(),
    pa.string(): st.text(max_size=8),
    pa.large_string(): st.text(max_size=3),
    pa.string_view(): st.text(max_size=3),
    pa.binary(): st.binary(max_size=4),
    pa.date32(): st.dates(),
    pa.date64(): st.dates(),
    pa.timestamp("s"): st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1)),
    pa.timestamp("ns", "Europe/Berlin"): st.datetimes(
        dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1), timezones=st.just(dt.UTC)
    ),
    pa.time64("us"): st.times(),
    pa.duration("ms"): st.timedeltas(dt.timedelta(-1000), dt.timedelta(1000)).map(
        lambda d: dt.timedelta(milliseconds=d // dt.timedelta(milliseconds=1))
    ),
    pa.decimal128(12, 3): st.decimals(-(10**8), 10**8, places=3),
    pa.decimal128(30, 2): st.decimals(-(10**20), 10**20, places=2),
    pa.decimal256(9, 2): st.decimals(-(10**6), 10**6, places=2),
    pa.dictionary(pa.int8(), pa.string()): st.sampled_from(["a", "b", "c"]),
    pa.dictionary(pa.int32(), pa.int64(), ordered=True): st.integers(0, 9),
    pa.null(): st.none(),
}
KINDS = list(TYPES)


@st.composite
def tables(draw: st.DrawFn) -> pa.RecordBatch:
    """Any names but equal ones, any types, missing values where the field allows, 1 … 40 rows."""
    count = draw(st.integers(1, 5))
    names = draw(st.lists(st.text(max_size=6), min_size=count, max_size=count, unique=True))
    rows = draw(st.integers(1, 40))
    fields, columns = [], []
    for name in names:
        kind = draw(st.sampled_from(KINDS))
        nullable = pa.types.is_null(kind) or draw(st.booleans())
        values = st.none() | TYPES[kind] if nullable else TYPES[kind]
        column = draw(st.lists(values, min_size=rows, max_size=rows))
        metadata = draw(st.sampled_from([None, {"unit": "m"}]))
        fields.append(pa.field(name, kind, nullable, metadata))
        columns.append(pa.array(column, kind))
    metadata = draw(st.sampled_from([None, {"owner": "us"}]))
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields, metadata))


def fitted(records: pa.RecordBatch, **config: Any) -> TableCodec:
    return TableCodec(config).fit([records])


def random_batch(codec: TableCodec, rows: int, seed: int = 0) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    space = codec.space
    params = {
        n: 3 * torch.randn(rows, *f.shape, f.param_dim, generator=rng)
        for n, f in space.fields.items()
    }
    return space.sample(params, rng)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(tables(), st.sampled_from(NUMBERS))
def test_the_schema_comes_back_whatever_it_is(records: pa.RecordBatch, numbers: str) -> None:
    codec = fitted(records, numbers=numbers)
    encoded = codec.encode(records)
    codec.space.check({n: v.to(codec.space.fields[n].dtype) for n, v in encoded.items()})
    for batch in (encoded, random_batch(codec, 20)):
        decoded = codec.decode(batch)
        decoded.validate(full=True)
        assert decoded.schema.equals(records.schema, check_metadata=True)
        for field, column, before in zip(decoded.schema, decoded, records, strict=True):
            assert field.nullable or not column.null_count
            assert before.null_count or not column.null_count


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(tables(), st.sampled_from(NUMBERS))
def test_the_state_restores_the_codec(records: pa.RecordBatch, numbers: str) -> None:
    codec = fitted(records, numbers=numbers)
    state = codec.state()
    facts = json.loads(json.dumps(state.facts, allow_nan=False))
    restored = TableCodec.from_state(CodecState(facts, state.tensors))
    batch = random_batch(codec, 9)
    assert restored.decode(batch).equals(codec.decode(batch)) or _has_nan(codec.decode(batch))
    again = restored.encode(records)
    assert all(torch.equal(v, again[n]) for n, v in codec.encode(records).items())


def _has_nan(batch: pa.RecordBatch) -> bool:
    return any(
        pa.types.is_floating(c.type) and pa.compute.any(pa.compute.is_nan(c)).as_py()
        for c in batch.columns
    )


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(tables(), st.integers(0, 40))
def test_parts_merge_to_the_whole(records: pa.RecordBatch, cut: int) -> None:
    parts = [records.slice(0, cut), records.slice(cut)]
    codecs = [fitted(part) for part in parts]
    merged = codecs[1].merge(codecs[0]).state()
    whole = fitted(records).state()
    assert merged.facts == whole.facts
    assert all(torch.equal(value, merged.tensors[n]) for n, value in whole.tensors.items())


def column(values: Any, kind: pa.DataType | None = None, **config: Any) -> TableCodec:
    return fitted(pa.record_batch([pa.array(values, kind)], names=["x"]), **config)


def kinds(codec: TableCodec) -> str:
    return codec.columns["x"].sort


RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("values", "sort"),
    [
        (RNG.normal(size=500), "number"),
        (RNG.integers(0, 10, 500), "levels"),
        (np.arange(100) + 7, "identifier"),
        ([f"AB-{i:04d}" for i in RNG.permutation(500)], "identifier"),
        (["yes", "no"] * 40, "levels"),
        ([f"some words that say number {i}" for i in range(300)], "text"),
        ([4.0] * 30, "constant"),
        ([None] * 30, "constant"),
        ([True, False, None] * 20, "levels"),
        ([dt.date(2020, 1, 1) + dt.timedelta(int(i)) for i in RNG.integers(0, 900, 500)], "number"),
    ],
    ids=str,
)
def test_a_column_is_taken_for_what_it_is(values: Any, sort: str) -> None:
    assert kinds(column(values)) == sort


@pytest.mark.parametrize("numbers", NUMBERS)
def test_numbers_come_back_on_their_grid_and_in_their_range(numbers: str) -> None:
    prices = np.round(RNG.lognormal(3, 1, 2000), 2)
    amounts = RNG.integers(0, 5000, 2000) * 50 + 10
    records = pa.record_batch({"price": prices, "amount": amounts})
    codec = fitted(records, numbers=numbers)
    exact = codec.decode(codec.encode(records))
    assert np.abs(exact["price"].to_numpy() - prices).max() < 0.02
    assert np.array_equal(exact["amount"].to_numpy(), amounts)
    drawn = codec.decode(random_batch(codec, 3000))
    found = drawn["price"].to_numpy()
    assert np.array_equal(np.round(found, 2), found)
    assert prices.min() <= found.min() <= found.max() <= prices.max()
    assert ((drawn["amount"].to_numpy() - 10) % 50 == 0).all()


@pytest.mark.parametrize("numbers", NUMBERS)
def test_repeated_missing_and_infinite_values_are_classes(numbers: str) -> None:
    values = RNG.normal(size=1000).tolist()
    values[:300] = [0.0] * 300
    values[300:330] = [None] * 30
    values[330:335] = [float("inf")] * 5
    values[335:340] = [float("nan")] * 5
    codec = column(values, pa.float64(), numbers=numbers)
    records = pa.record_batch([pa.array(values, pa.float64())], names=["x"])
    back = codec.decode(codec.encode(records))["x"]
    assert back.null_count == 30
    found = np.asarray(back.drop_null())
    assert (found == 0).sum() == 300
    assert np.isinf(found).sum() == 5
    assert np.isnan(found).sum() == 5
    with pytest.raises(DataError, match=r"row 0, column 'x': -inf where none was"):
        codec.encode(pa.record_batch([pa.array([float("-inf")])], names=["x"]))


def test_moments_of_time_keep_unit_and_zone() -> None:
    kind = pa.timestamp("us", "Asia/Tokyo")
    hours = 1_700_000_000_000_000 + RNG.integers(0, 10**5, 800) * 3_600_000_000
    codec = column(hours, kind, numbers="real")
    found = codec.decode(random_batch(codec, 500))["x"]
    assert found.type == kind
    assert ((found.cast(pa.int64()).to_numpy() - hours.min()) % 3_600_000_000 == 0).all()


def test_rare_categories_are_drawn_by_their_frequency() -> None:
    values = ["common"] * 500 + ["other"] * 400 + ["seldom"] * 60 + ["once"]
    codec = column(values, categories=2)
    decoded = codec.decode({"x": torch.full((4000,), 2)})["x"].to_pylist()
    assert set(decoded) == {"seldom", "once"}
    assert 0.005 < decoded.count("once") / 4000 < 0.04


def test_identifiers_are_new_different_and_of_the_pattern() -> None:
    codec = column([f"AB-{i:04d}" for i in range(500)])
    found = codec.decode(random_batch(codec, 2000))["x"].to_pylist()
    assert len(set(found)) == 2000
    assert all(text.startswith("AB-0") and text[3:].isdigit() for text in found)
    numbers = column(np.arange(100) + 7)
    assert numbers.decode(random_batch(numbers, 3))["x"].to_pylist() == [107, 108, 109]


def test_text_is_drawn_from_the_datas_or_left_out() -> None:
    texts = [f"some words that say number {i}" for i in range(300)]
    assert set(column(texts).decode({"rows": torch.zeros(50)})["x"].to_pylist()) <= set(texts)
    assert column(texts, text="drop").decode({"rows": torch.zeros(2)})["x"].to_pylist() == ["", ""]


def test_a_column_can_be_told_what_it_is() -> None:
    assert kinds(column(np.arange(100), columns={"x": "number"})) == "number"
    assert kinds(column(np.arange(100), columns={"x": "category"})) == "levels"
    with pytest.raises(ConfigError, match=r"columns names 'y', which the data does not have"):
        column([1, 2], columns={"y": "number"})
    with pytest.raises(ConfigError, match=r"column 'x' is string and cannot be a number"):
        kinds(column(["a", "b"], columns={"x": "number"}))


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.int64()), pa.struct([("a", pa.int64())]), pa.map_(pa.string(), pa.int8())]
)
def test_nested_columns_are_refused_by_name(kind: pa.DataType) -> None:
    with pytest.raises(DataError, match=r"column 'x': holds nested values"):
        column([None, None], kind)


def test_an_unknown_category_is_told_with_its_row() -> None:
    codec = column(["a", "b"] * 20)
    with pytest.raises(DataError, match=r"row 1, column 'x': 'c' was not seen in the data"):
        codec.encode(pa.record_batch([pa.array(["a", "c"])], names=["x"]))


def test_columns_named_like_each_others_fields_stay_apart() -> None:
    x = RNG.normal(size=200)
    x[:50] = 0
    names = ["a", "a.kind", "a.within", ""]
    records = pa.record_batch([pa.array(x)] * 4, names=names)
    for numbers in NUMBERS:
        codec = fitted(records, numbers=numbers)
        decoded = codec.decode(codec.encode(records))
        assert decoded.schema.names == names
        assert all(np.allclose(np.asarray(c), x) for c in decoded.columns)


def test_a_million_categories_and_huge_integers_are_taken() -> None:
    codec = column([f"v{i % 150_000}" for i in range(200_000)], columns={"x": "category"})
    assert codec.space.fields["x"].size == 257  # type: ignore[attr-defined]
    values = [2**64 - 1, 2**63, 0] * 10 + list(range(2**63 - 50, 2**63 + 50))
    huge = column(values, pa.uint64(), numbers="real")
    records = pa.record_batch([pa.array(values, pa.uint64())], names=["x"])
    back = huge.decode(huge.encode(records))["x"].to_pylist()
    assert min(back) == 0
    assert max(back) == 2**64 - 1


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "AAAA"},
        {"columns": []},
        {"columns": [{"sort": "levels", "prefix": "x"}]},
        {"columns": [{"sort": "what", "prefix": "x"}]},
        {"config": {"bins": "many"}},
    ],
    ids=str,
)
def test_states_that_make_no_sense_are_refused(change: dict[str, Any]) -> None:
    state = column(["a", "b"]).state()
    with pytest.raises(ArtifactError):
        TableCodec.from_state(CodecState({**state.facts, **change}, state.tensors))


def test_decimals_keep_every_digit() -> None:
    values = [decimal.Decimal(int(v)) / 100 for v in RNG.integers(-(10**9), 10**9, 3000)]
    codec = column(values, pa.decimal128(18, 2), numbers="real")
    back = codec.decode(
        codec.encode(pa.record_batch([pa.array(values, pa.decimal128(18, 2))], names=["x"]))
    )["x"]
    assert max(abs(a - b) for a, b in zip(back.to_pylist(), values, strict=True)) < 10


def test_sketches_beyond_their_size_do_not_depend_on_order() -> None:
    from gmkit.codecs.tables.sketches import NumberSketch

    values = RNG.permutation(np.arange(5000.0))
    whole, parts = NumberSketch(100), [NumberSketch(100), NumberSketch(100)]
    whole.add(pa.array(values))
    parts[0].add(pa.array(values[:1700]))
    parts[1].add(pa.array(values[1700:]))
    merged = parts[1].merge(parts[0])
    assert whole.dropped and merged.dropped
    assert np.array_equal(whole.values, merged.values)
    assert np.array_equal(whole.counts, merged.counts)
    column_ = learned("x", pa.float64(), "x", whole, TableCodec({}).config)
    assert column_.sort == "number"
    assert new_sketch("x", pa.float64()).rows == 0


@pytest.mark.parametrize("places", [("ab", "0123456789"), ("x",), (), ("0123456789abcdef",) * 32])
def test_templates_make_as_many_texts_as_they_have_room_for(places: tuple[str, ...]) -> None:
    template = Template(places)
    last = min(template.capacity, 3000)
    first = template.texts(np.arange(last))
    assert len(set(first)) == last
    far = np.array([template.capacity - 1 - n for n in range(last)], dtype=object)
    texts = template.texts(far)
    assert len(set(texts)) == last
    assert texts[0] == "".join(place[-1] for place in places)
    assert first[0] == "".join(place[0] for place in places)
    for text in first:
        assert len(text) == len(places)
        assert all(letter in place for letter, place in zip(text, places, strict=True))


@pytest.mark.parametrize("numbers", ["bins", "real"])
def test_whole_numbers_next_to_each_other_and_far_apart(numbers: str) -> None:
    """Half of them at either end of the range: differences of 1 are none as floats."""
    values = [(-1) ** i * (2**63 - 1 - i) for i in range(300)]
    codec = column(pa.array(values, pa.int64()), numbers=numbers)
    restored = TableCodec.from_state(codec.state())
    found = restored.decode(random_batch(codec, 200))["x"].to_pylist()
    assert min(values) <= min(found) and max(found) <= max(values)
    assert {value > 0 for value in found} == {True, False}
