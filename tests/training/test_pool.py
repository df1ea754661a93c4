"""Conditions that a run keeps to draw from."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from gmkit.artifact.tensors import save_tensors
from gmkit.codecs.conditions import Conditions
from gmkit.errors import ArtifactError
from gmkit.randomness import generator
from gmkit.training.dataset import Dataset
from gmkit.training.pool import MOST, NAME, NEAREST, ConditionPool

ROWS = 400
LABEL = np.arange(ROWS) % 4
SIZE = np.linspace(0, 1, ROWS)


class Codec:
    """As much of a codec as a pool needs."""

    def __init__(self, columns=("label", "size", "mass")):
        self.records = pa.record_batch({"label": LABEL, "size": SIZE, "mass": SIZE * 10})
        self.conditions = Conditions(columns).fit([self.records])


@pytest.fixture
def codec():
    return Codec()


def dataset(codec, parts):
    return Dataset(
        name="toy",
        fingerprint="",
        records=pa.Table.from_batches([codec.records]),
        encoded=codec.conditions.encode(codec.records),
        parts=parts,
        rejects=None,
        rejected=0,
    )


@pytest.fixture
def pool(codec):
    return ConditionPool.of_training(codec, dataset(codec, np.zeros(ROWS, int)), seed=0)


def rng(number=0):
    return generator(number, "pool")


def drawn(codec, pool, n, where, number=0):
    asked = codec.conditions.parse(where)[0]
    batch = pool.draw(n, asked, rng(number))
    assert tuple(batch) == codec.conditions.names
    assert all(value.shape == (n,) for value in batch.values())
    pool.space.check(batch)
    return {n: np.array(a.to_pylist()) for n, a in codec.conditions.decode(batch).items()}


def test_without_conditions_there_is_none(tmp_path):
    codec = Codec(())
    assert ConditionPool.of_training(codec, dataset(codec, np.zeros(ROWS, int)), 0) is None
    assert ConditionPool.load(tmp_path, codec) is None


def test_it_holds_training_records_alone(codec):
    parts = np.where(LABEL == 2, 0, 1 + LABEL % 2)
    pool = ConditionPool.of_training(codec, dataset(codec, parts), seed=0)
    assert pool.count == ROWS // 4
    assert set(drawn(codec, pool, 50, {})["label"]) == {2}


def test_it_is_bounded_and_random(codec):
    many = dataset(codec, np.zeros(50 * ROWS, int))
    many.encoded = {name: value.repeat(50) for name, value in many.encoded.items()}
    pools = [ConditionPool.of_training(codec, many, seed) for seed in (0, 0, 1)]
    assert [pool.count for pool in pools] == [MOST] * 3
    sizes = [pool.rows["size"] for pool in pools]
    assert torch.equal(sizes[0], sizes[1])
    assert not torch.equal(sizes[0], sizes[2])
    assert abs(float(sizes[0].mean())) < 0.05


def test_conditions_of_one_record_stay_together(codec, pool):
    found = drawn(codec, pool, 1000, {})
    np.testing.assert_allclose(found["mass"], 10 * found["size"], atol=1e-4)
    assert set(found["label"]) == {0, 1, 2, 3}
    assert len(set(found["size"])) > 300


def test_what_is_asked_is_given_and_the_rest_agrees(codec, pool):
    found = drawn(codec, pool, 500, {"label": 3})
    assert set(found["label"]) == {3}
    assert set(np.round(found["size"] * (ROWS - 1)).astype(int) % 4) == {3}
    found = drawn(codec, pool, 500, {"size": "0.9"})
    assert set(found["size"]) == {0.9}
    assert np.all(np.abs(found["mass"] - 9) < 10 * NEAREST / ROWS)
    assert len(set(found["mass"])) > 50
    found = drawn(codec, pool, 500, {"size": "0.9", "label": 1, "mass": "2"})
    assert {name: set(values) for name, values in found.items()} == {
        "size": {0.9},
        "label": {1},
        "mass": {2.0},
    }


def test_classes_that_no_record_has_together_are_given_all_the_same():
    codec = Codec()
    codec.records = codec.records.append_column("twin", pa.array(LABEL % 2))
    codec.conditions = Conditions(("label", "twin", "size")).fit([codec.records])
    pool = ConditionPool.of_training(codec, dataset(codec, np.zeros(ROWS, int)), seed=0)
    found = drawn(codec, pool, 300, {"label": 3, "twin": 0})
    assert (set(found["label"]), set(found["twin"])) == ({3}, {0})
    assert len(set(found["size"])) > 100


def test_the_generator_decides(codec, pool):
    one, same, other = (drawn(codec, pool, 20, {}, seed)["size"] for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_it_comes_back_from_its_file(codec, pool, tmp_path):
    pool.save(tmp_path)
    again = ConditionPool.load(tmp_path, codec)
    for name, value in pool.draw(30, {}, rng()).items():
        assert torch.equal(again.draw(30, {}, rng())[name], value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda rows: rows.pop("mass"), "expected"),
        (lambda rows: rows.update(more=torch.zeros(ROWS)), "expected"),
        (lambda rows: rows.update(label=rows["label"] + 1), "a class outside"),
        (lambda rows: rows.update(label=rows["label"].float()), "expected integers"),
        (lambda rows: rows.update(size=rows["size"][:-1]), "rows, expected as many of each"),
        (lambda rows: rows.update({n: v[:0] for n, v in rows.items()}), "rows, expected"),
        (lambda rows: rows.update(size=rows["size"].reshape(-1, 2)), "shape"),
        (lambda rows: rows.update(size=torch.zeros(())), "a single number"),
        (
            lambda rows: rows.update({n: v.repeat(26) for n, v in rows.items()}),
            "rows, expected",
        ),
    ],
)
def test_hostile_files_are_refused(codec, pool, tmp_path, change, reason):
    rows = dict(pool.rows)
    change(rows)
    save_tensors(tmp_path / NAME, rows)
    with pytest.raises(ArtifactError, match=reason) as told:
        ConditionPool.load(tmp_path, codec)
    assert NAME in told.value.message


def test_a_missing_file_is_told(codec, tmp_path):
    with pytest.raises(ArtifactError, match=NAME):
        ConditionPool.load(tmp_path, codec)
