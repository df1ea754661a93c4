"""The laws of codecs, for every registered domain on its default data (PLUGINS.md, checks 3–6)."""

from __future__ import annotations

import itertools
import json
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
import torch

from gmkit.codecs import Batch, Codec, CodecState
from gmkit.data.source import open_source
from gmkit.domain import Domain
from gmkit.errors import DataError
from gmkit.fields import Field, Space
from gmkit.plugins import registry
from gmkit.randomness import generator

CUTS = (0, 1, 2, 66, 130, 300)
"""Where the records are cut into batches: of one, of a few, of many."""


class Fitted(NamedTuple):
    """A domain's codec, fitted on raw records of its default data."""

    domain: Domain
    codec: Codec
    raw: pa.RecordBatch
    records: pa.RecordBatch
    """Prepared."""


@pytest.fixture(scope="module", params=sorted(registry().domains()))
def fitted(request: pytest.FixtureRequest) -> Fitted:
    """Once for all laws."""
    domain = registry().domain(request.param)
    source = open_source(None, domain=domain, registry=registry())
    raw = next(source.batches(CUTS[-1]))
    codec = domain.codec({})
    records = codec.prepare(raw).records
    return Fitted(domain, codec.fit([records]), raw, records)


def parts(records: pa.RecordBatch) -> list[pa.RecordBatch]:
    pairs = itertools.pairwise([*CUTS[:-1], max(CUTS[-1], len(records))])
    return [part for a, b in pairs if len(part := records.slice(a, b - a))]


def fields(space: Space) -> dict[str, Field]:
    """Those of records, and those that are conditions."""
    return {**space.fields, **(space.condition.fields if space.condition else {})}


def check_equal(found: Batch, expected: Batch) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value)


def joined(batches: list[Batch]) -> Batch:
    return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}


def same_state(one: Codec, other: Codec) -> bool:
    a, b = one.state(), other.state()
    tensors = a.tensors.keys() == b.tensors.keys() and all(
        torch.equal(value, b.tensors[name]) for name, value in a.tensors.items()
    )
    return a.facts == b.facts and tensors


def test_prepare_keeps_the_domains_own_data(fitted: Fitted) -> None:
    """Few rejects, numbered as told; what is prepared once stays as it is."""
    prepared = fitted.codec.prepare(fitted.raw, 1000)
    found = len(prepared.records) + len(prepared.rejects)
    assert found > len(fitted.raw) if fitted.codec.splits else found == len(fitted.raw)
    assert len(prepared.rejects) < len(fitted.raw) / 10
    assert all(1000 <= reject.row < 1000 + len(fitted.raw) for reject in prepared.rejects)
    again = fitted.codec.prepare(prepared.records)
    assert again.rejects == []
    assert again.records.equals(prepared.records)


def test_values_are_of_the_space(fitted: Fitted) -> None:
    batch = fitted.codec.encode(fitted.records)
    space = fitted.codec.space
    kinds = fields(space)
    assert set(batch) == set(kinds)
    assert all(len(value) == len(fitted.records) for value in batch.values())
    # Stored compactly; a field's own type is wider.
    space.check({name: batch[name].to(f.dtype) for name, f in kinds.items()})


def test_encode_does_not_see_the_neighbours(fitted: Fitted) -> None:
    batch = fitted.codec.encode(fitted.records)
    check_equal(joined([fitted.codec.encode(part) for part in parts(fitted.records)]), batch)


def test_encode_keeps_the_order(fitted: Fitted) -> None:
    order = torch.randperm(len(fitted.records), generator=generator(0, "order"))
    shuffled = fitted.records.take(pa.array(order.numpy()))
    batch = fitted.codec.encode(fitted.records)
    expected = {name: value[order] for name, value in batch.items()}
    check_equal(fitted.codec.encode(shuffled), expected)


def test_raw_records_encode_like_prepared_ones(fitted: Fitted) -> None:
    prepared = fitted.codec.prepare(fitted.raw)
    rejected = {reject.row for reject in prepared.rejects}
    kept = [row for row in range(len(fitted.raw)) if row not in rejected]
    raw = fitted.raw.take(pa.array(kept[:50]))
    expected = fitted.codec.encode(fitted.codec.prepare(raw).records)
    check_equal(fitted.codec.encode(raw), expected)
    whole = fitted.codec.encode(prepared.records)
    check_equal(expected, {name: value[: len(expected[name])] for name, value in whole.items()})
    for row in sorted(rejected)[:3]:
        with pytest.raises(DataError):
            fitted.codec.encode(fitted.raw.slice(row, 1))


def test_decode_inverts_encode(fitted: Fitted) -> None:
    """Up to what ``prepare`` normalises: the domain's own notion of the same record."""
    decoded = fitted.codec.decode(fitted.codec.encode(fitted.records))
    again = fitted.codec.prepare(decoded)
    assert again.rejects == []
    assert fitted.domain.keys(again.records).equals(fitted.domain.keys(fitted.records))
    assert all(fitted.domain.validate(decoded).to_pylist())


def test_state_survives_json(fitted: Fitted) -> None:
    state = fitted.codec.state()
    facts = json.loads(json.dumps(state.facts, allow_nan=False))
    restored = type(fitted.codec).from_state(CodecState(facts, dict(state.tensors)))
    assert same_state(restored, fitted.codec)
    assert restored.space.to_json() == fitted.codec.space.to_json()
    batch = fitted.codec.encode(fitted.records)
    check_equal(restored.encode(fitted.records), batch)
    assert restored.decode(batch).equals(fitted.codec.decode(batch))


def test_merged_codecs_are_one_fitted_on_all(fitted: Fitted) -> None:
    codecs = [fitted.domain.codec({}).fit([part]) for part in parts(fitted.records)]
    merged = codecs[0]
    for codec in codecs[1:]:
        merged = merged.merge(codec)
    assert same_state(merged, fitted.codec)
    backwards = codecs[-1]
    for codec in reversed(codecs[:-1]):
        backwards = backwards.merge(codec)
    assert same_state(backwards, fitted.codec)


def test_batching_and_order_do_not_matter_to_fit(fitted: Fitted) -> None:
    shuffled: Any = list(reversed(parts(fitted.records)))
    assert same_state(fitted.domain.codec({}).fit(shuffled), fitted.codec)


@pytest.mark.parametrize("spread", [0.0, 1.0, 30.0])
def test_decode_takes_anything_in_range(fitted: Fitted, spread: float) -> None:
    """200 draws from random parameters of every field, from nearly alike to very decided."""
    space, rng = fitted.codec.space, generator(1, "decode")
    params = {
        name: spread * torch.randn(200, *f.shape, f.param_dim, generator=rng)
        for name, f in fields(space).items()
    }
    batch = space.sample(params, rng)
    if space.condition is not None:
        batch |= space.condition.sample(params, rng)
    space.check(batch)
    decoded = fitted.codec.decode(batch)
    assert len(decoded) == 200
    assert decoded.schema.equals(fitted.codec.decode(fitted.codec.encode(fitted.records)).schema)
    assert len(fitted.domain.validate(decoded)) == 200
    assert len(fitted.codec.decode({n: value[:0] for n, value in batch.items()})) == 0
