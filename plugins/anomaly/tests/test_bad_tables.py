"""Tables that are hard to learn from: they work, or say in one line why not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gmkit_anomaly.flagging import rule_of

Run = Callable[..., Any]
RNG = np.random.default_rng(0)
FINE = {
    "constant": {"a": [1.0] * 50, "b": ["x"] * 50},
    "identical": {"a": [1.0] * 49 + [2.0], "b": [3] * 50},
    "wide": {f"c{i}": RNG.normal(size=12) for i in range(40)},
    "one column": {"a": RNG.normal(size=60)},
    "special": {
        "a": np.where(RNG.random(60) < 0.3, np.nan, RNG.normal(size=60)),
        "b": np.where(RNG.random(60) < 0.1, np.inf, RNG.normal(size=60)),
        "c": pa.nulls(60, pa.float64()),
        "d": pa.nulls(60),
    },
    "huge": {"a": RNG.normal(size=60) * 1e300, "b": np.arange(60) * 10**16},
    "texts": {"a": [f"free text number {i} of many words" for i in range(60)], "b": range(60)},
    "booleans and times": {
        "a": RNG.random(60) < 0.5,
        "b": np.datetime64("2024-01-01", "ns") + np.arange(60),
    },
    "names": {"a": RNG.normal(size=60), "a.kind": RNG.normal(size=60), "": RNG.normal(size=60)},
}
REFUSED = {
    "one row": ({"a": [1.0], "b": [2.0]}, "1 record(s) to learn from"),
    "nested": ({"a": [[1], [2]] * 10}, "nested"),
}


@pytest.mark.parametrize("name", FINE)
def test_hard_tables_are_judged(run: Run, tmp_path: Path, name: str) -> None:
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table(FINE[name]), path)
    outcome = run("detect-anomalies", path)
    assert outcome.code == 0, outcome.err
    found = pq.read_table("data.scored.parquet")
    assert np.isfinite(found["anomaly_score"].to_numpy()).all()
    p_values = found["p_value"].to_numpy()
    assert ((p_values > 0) & (p_values <= 1)).all()
    if name == "constant":
        assert not found["is_anomaly"].to_numpy().any()


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_learned_is_told(run: Run, tmp_path: Path, name: str) -> None:
    columns, told = REFUSED[name]
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table(columns), path)
    outcome = run("detect-anomalies", path)
    assert outcome.code == 3
    assert told in outcome.err
    assert "Traceback" not in outcome.err
    assert not Path("data.scored.parquet").exists()


def test_where_all_are_alike_none_is_abnormal() -> None:
    alike = np.zeros(100)
    for contamination in (None, 0.02):
        rule = rule_of(alike, None, fdr=None, contamination=contamination)
        assert not rule.flagged(alike, np.ones(100)).any()
        assert rule.flagged(np.array([3.0]), np.ones(1)).all()
    spread = np.linspace(0, 9, 100)
    rule = rule_of(spread, None, fdr=None, contamination=0.05)
    assert rule.flagged(spread, np.ones(100)).sum() == 5
