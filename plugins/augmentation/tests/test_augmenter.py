"""``gmkit.Augmenter``, the rules found in data, the gate, metrics, ``gmkit evaluate`` of files."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gmkit_augmentation.keeping import FairSample
from gmkit_augmentation.measures.fidelity import shapes, trends
from gmkit_augmentation.measures.learners import detection
from gmkit_augmentation.measures.privacy import privacy
from gmkit_augmentation.rules import found_rules

import gmkit
from gmkit.errors import ConfigError, DataError

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GMKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GMKIT_WORKERS", "1")


def frame(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    label = np.where(rng.random(rows) < 0.2, "yes", "no")
    size = rng.normal(size=rows) + 2 * (label == "yes")
    return pd.DataFrame(
        {
            "size": size.round(3),
            "half": (size / 2 + 0.2 * rng.normal(size=rows)).round(3),
            "kind": pd.Categorical(rng.choice(["a", "b"], rows)),
            "label": label,
        }
    )


def test_a_frame_comes_back_as_a_frame() -> None:
    data = frame()
    augmenter = gmkit.Augmenter(target="label").fit(data)
    found = augmenter.sample(50)
    assert found.dtypes.equals(data.dtypes)
    assert len(found) == 50
    assert not found.equals(augmenter.sample(50))
    assert augmenter.sample(50, seed=1).equals(augmenter.sample(50, seed=1))
    asked = augmenter.sample(30, where=["label=yes", "size>1"])
    assert set(asked.label) == {"yes"}
    assert asked["size"].min() > 1


def test_a_table_comes_back_as_a_table() -> None:
    table = pa.Table.from_pandas(frame(), preserve_index=False)
    found = gmkit.Augmenter(constraints=["half<=size"]).fit(table).sample(40)
    assert found.schema.equals(table.schema, check_metadata=True)
    assert (found["half"].to_numpy() <= found["size"].to_numpy()).all()


def test_classes_are_resampled_to_the_same_size() -> None:
    data = frame()
    found, labels = gmkit.Augmenter().fit_resample(data.drop(columns="label"), data.label)
    assert labels.value_counts().nunique() == 1
    assert labels.name == "label"
    assert found.iloc[: len(data)].equals(data.drop(columns="label"))
    new = found[len(data) :]
    assert abs(new["size"].mean() - data[data.label == "yes"]["size"].mean()) < 0.4
    matrix, numbers = gmkit.Augmenter().fit_resample(
        data[["size", "half"]].to_numpy(), (data.label == "yes").to_numpy().astype(int)
    )
    assert matrix.shape == (len(labels), 2)
    assert set(np.bincount(numbers)) == {len(labels) // 2}


def test_wrong_use_is_told() -> None:
    with pytest.raises(ConfigError, match=r"nothing was learned yet"):
        gmkit.Augmenter().sample(3)
    with pytest.raises(DataError, match=r"target names a column"):
        gmkit.Augmenter(target="lable").fit(frame())
    with pytest.raises(ConfigError, match=r"X has 1 dimensions"):
        gmkit.Augmenter().fit_resample(np.zeros(3), np.zeros(3))


def test_rules_are_those_that_mean_something() -> None:
    rows = 600
    code = RNG.integers(0, 5, rows)
    low = RNG.normal(size=rows)
    table = pa.table(
        {
            "code": code,
            "name": np.array(["u", "v", "w", "x", "x"])[code],
            "low": low,
            "high": low + RNG.exponential(size=rows),
            "far": RNG.normal(size=rows) + 100,  # above all others, by its range alone
            "noise": RNG.normal(size=rows),
            "many": RNG.permutation(rows),  # decides all others, for it is unique
        }
    )
    assert found_rules(table).names() == ["code → name", "low ≤ high"]
    assert found_rules(table.slice(0, 30)).names() == []


def test_of_two_columns_that_decide_each_other_the_first_one_counts() -> None:
    code = RNG.integers(0, 4, 400)
    table = pa.table({"a": code, "b": np.array(list("wxyz"))[code], "c": code + 10})
    assert found_rules(table).names() == ["a → b", "a → c"]


def test_measures_tell_good_from_bad() -> None:
    real, other = (pa.Table.from_pandas(frame(900, seed)) for seed in (1, 2))
    columns = [c.take(pa.array(RNG.permutation(900))) for c in real.columns]
    shuffled = pa.Table.from_arrays(columns, schema=real.schema)
    assert min(shapes(real, other).values()) > 0.92
    assert trends(real, other) > trends(real, shuffled) + 0.03
    assert 0.42 < detection(real, other) < 0.58
    assert detection(real, shuffled) > 0.8
    held_out = pa.Table.from_pandas(frame(900, 3))
    fair, copied = privacy(real, other, held_out), privacy(real, real, held_out)
    assert 0.45 < fair.share < 0.55
    assert 0.45 < fair.attack < 0.55
    assert fair.copies == 0
    assert copied.share > 0.95
    assert copied.attack > 0.95
    assert copied.copies == 1
    assert copied.ratio < 0.01 < fair.ratio


def test_a_fair_sample_is_fair_and_bounded() -> None:
    kept = FairSample(pa.schema([("x", pa.int64())]), 0, most=200)
    for start in range(0, 5000, 100):
        kept.add(pa.record_batch([np.arange(start, start + 100)], names=["x"]))
    values = kept.table()["x"].to_numpy()
    assert len(values) == 200
    assert abs(values.mean() - 2500) < 320  # three standard errors


@pytest.mark.parametrize("helps", [True, False])
def test_rows_are_added_only_if_they_help(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helps: bool
) -> None:
    """A judge that prefers few rows, or many: its word decides."""
    from gmkit_augmentation import gate

    class Judge:
        measure, possible = "AUC", True

        def __init__(self, *_: Any, **__: Any) -> None: ...

        def score(self, rows: pa.Table, learner: int) -> float:
            return float(rows.num_rows / 10_000 * (1 if helps else -1))

    monkeypatch.setattr(gate, "Task", Judge)
    path = tmp_path / "t.parquet"
    frame(150).to_parquet(path)
    outcome = run("augment", path, "--target", "label", "--no-harm", "--no-report", "--json")
    assert outcome.code == 0, outcome.err
    verdict = outcome.json["gate"]
    assert verdict["amount"] == (5.0 if helps else 0)
    assert {trial["generator"] for trial in verdict["trials"]} == {
        "trees",
        "smote",
        "copula",
        "noise",
    }
    assert outcome.json["synthetic"] == (750 if helps else 0)
    assert ("helps to predict 'label'" if helps else "would not help") in verdict["sentence"]
    assert pq.read_metadata(outcome.json["out"]).num_rows == 150 + outcome.json["synthetic"]


def test_files_of_anybody_are_judged(run: Callable[..., Any], tmp_path: Path) -> None:
    for seed, name in enumerate(("real", "new", "held")):
        frame(300, seed).to_parquet(tmp_path / f"{name}.parquet")
    words = ["--real", tmp_path / "real.parquet", "--synthetic", tmp_path / "new.parquet"]
    outcome = run("evaluate", *words, "--holdout", tmp_path / "held.parquet", "--json")
    assert outcome.code == 0, outcome.err
    figures = {name: facts["value"] for name, facts in outcome.json["figures"].items()}
    assert figures["column_shapes"] > 0.85
    assert 0.35 < figures["detection_auc"] < 0.65
    assert figures["copies"] == 0
    assert run("evaluate", *words).code == 0
    pq.write_table(pa.table({"size": [1.0]}), tmp_path / "odd.parquet")
    odd = run("evaluate", *words[:2], "--synthetic", tmp_path / "odd.parquet")
    assert odd.code == 3
    assert "has no such column" in re.sub(r"[│\s]+", " ", odd.err)
    assert run("evaluate").code == 2
    assert run("evaluate", "runs/x", *words).code == 2


def test_polars_goes_in_and_out() -> None:
    polars = pytest.importorskip("polars")
    data = polars.from_pandas(frame(200))
    found = gmkit.Augmenter(target="label").fit(data).sample(50)
    assert isinstance(found, polars.DataFrame)
    assert found.schema == data.schema
    features, labels = data.drop("label"), data["label"]
    more, classes = gmkit.Augmenter().fit_resample(features, labels)
    assert isinstance(more, polars.DataFrame)
    assert isinstance(classes, polars.Series)
    assert classes.dtype == labels.dtype
    assert len(set(classes.value_counts()["count"].to_list())) == 1
    assert more.schema == features.schema


def test_sums_are_found_and_kept(run: Callable[..., Any], tmp_path: Path) -> None:
    net = np.round(RNG.exponential(100, 600), 2)
    tax = np.round(net * RNG.choice([0.1, 0.2], 600), 2)
    units, packs = RNG.integers(0, 40, 600), RNG.integers(0, 60, 600)
    hidden = RNG.random(600) < 0.2
    money = pa.decimal128(9, 2)
    table = pa.table(
        {
            "net": pa.array(net.astype(str)).cast(money),
            "tax": pa.array(tax.astype(str), mask=hidden).cast(money),
            "total": pa.array(np.round(net + tax, 2).astype(str), mask=hidden).cast(money),
            "units": units,
            "packs": packs,
            "all": (units + packs).astype("int32"),
            "x": RNG.normal(size=600),
        }
    )
    sums = ["total = net + tax", "all = units + packs"]
    assert sorted(str(s) for s in found_rules(table).sums) == sorted(sums)
    path = tmp_path / "t.parquet"
    pq.write_table(table, path)
    words = ["augment", path, "--no-report", "--only-synthetic", "-n", 500, "--json"]
    outcome = run(*words)
    assert outcome.code == 0, outcome.err
    assert set(sums) <= set(outcome.json["rules"])
    for extra in ([], ["--where", "all>50,packs<30"]):
        assert run(*words, *extra).code == 0
        found = pq.read_table(tmp_path / "t.augmented.parquet")
        rows = found.to_pylist()
        assert all(row["all"] == row["units"] + row["packs"] for row in rows)
        assert all((row["tax"] is None) == (row["total"] is None) for row in rows)
        assert all(row["tax"] is None or row["total"] == row["net"] + row["tax"] for row in rows)
        assert found.schema.equals(pq.read_schema(path))
