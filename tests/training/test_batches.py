"""Batches by step number: every record once an epoch, in an order that (seed, step) decides."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gmkit.errors import DataError
from gmkit.fields import Categorical, Real, Space
from gmkit.training.batches import Batches, in_order

NUMBERS = Space({"x": Real()})
WORD = Categorical(size=9, shape=(40,), layout="sequence", end=0)
WORDS = Space({"w": WORD})


def numbers(rows):
    return {"x": torch.arange(rows, dtype=torch.float32)}


def words(rows, seed=0):
    """Words of 0 … 40 letters, numbered by their first two."""
    rng = torch.Generator().manual_seed(seed)
    value = torch.randint(1, 9, (rows, 40), generator=rng)
    lengths = torch.randint(0, 41, (rows, 1), generator=rng)
    return {"w": value.masked_fill(torch.arange(40) >= lengths, 0).to(torch.uint8)}


@settings(max_examples=30)
@given(rows=st.integers(1, 60), size=st.integers(1, 80), seed=st.integers(0, 9))
def test_every_record_at_most_once_an_epoch(rows, size, seed):
    batches = Batches(numbers(rows), NUMBERS, size, seed)
    assert batches.per_epoch == max(1, rows // size)
    for epoch in (0, 1, 5):
        seen = torch.cat(
            [batches.at(epoch * batches.per_epoch + k)["x"] for k in range(batches.per_epoch)]
        ).tolist()
        assert len(set(seen)) == len(seen) == batches.per_epoch * min(size, rows)


def test_every_record_once_when_batches_fit_even_grouped_by_length():
    data = words(3200)
    batches = Batches(data, WORDS, 32, 0)
    seen = torch.cat(
        [
            torch.nn.functional.pad(b["w"], (0, 40 - b["w"].shape[1]))
            for b in map(batches.at, range(100))
        ]
    )
    assert sorted(map(tuple, seen.tolist())) == sorted(map(tuple, data["w"].tolist()))


def test_any_order_of_access_gives_the_same():
    data = words(500)
    straight, random = Batches(data, WORDS, 16, 4), Batches(data, WORDS, 16, 4)
    expected = [straight.at(k)["w"] for k in range(100)]
    for k in torch.randperm(100).tolist():
        assert torch.equal(random.at(k)["w"], expected[k])
    other = Batches(data, WORDS, 16, 5)
    assert any(not torch.equal(other.at(k)["w"], expected[k]) for k in range(31))
    first, second = (
        torch.cat([straight.at(e * 31 + k)["w"][:, 0] for k in range(31)]) for e in (0, 1)
    )
    assert not torch.equal(first, second)  # epochs differ


def test_grouping_by_length_computes_less_padding():
    data = words(6400)
    batches = Batches(data, WORDS, 32, 0)
    lengths = [b["w"].shape[1] for b in map(batches.at, range(200))]
    needed = float((WORD.length_of(data["w"]) + 1).clamp(max=40).float().mean())
    grouped = sum(lengths) / 200
    order = torch.randperm(6400, generator=torch.Generator().manual_seed(0))
    mixed = sum(WORDS.trim(WORDS.pick(data, part, "cpu"))["w"].shape[1] for part in order.split(32))
    mixed /= 200
    assert mixed > 1.8 * needed and grouped < 1.1 * needed
    # long and short batches alternate: lengths are not sorted over the epoch
    halves = sum(lengths[:100]) / sum(lengths)
    assert 0.4 < halves < 0.6


def test_no_records():
    with pytest.raises(DataError, match="no records to train on"):
        Batches(numbers(0), NUMBERS, 4, 0)


def test_in_order_gives_all_once():
    parts = in_order(numbers(10), NUMBERS, 4, "cpu")
    assert [len(p["x"]) for p in parts] == [4, 4, 2]
    assert torch.equal(torch.cat([p["x"] for p in parts]), numbers(10)["x"])
