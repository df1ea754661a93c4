"""``gmkit train --domain anomaly``: a detector, and what to do with it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from gmkit_anomaly.domain import PASSES

from gmkit.learn import plan

Run = Callable[..., Any]


def test_a_detector_is_trained_and_the_next_command_judges(run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=200)
    pq.write_table(pa.table({"a": a, "b": a + 0.1 * rng.normal(size=200)}), tmp_path / "n.parquet")
    words = ("train", "--domain", "anomaly", "--data", "n.parquet", "--out", "kept")
    outcome = run(*words, "--set", 'family.members=["linear"]')
    assert outcome.code == 0, outcome.err
    assert tomllib.loads(Path("kept/config.toml").read_text())["model"] == "detector"
    assert "gmkit detect-anomalies NEW.parquet --run kept" in outcome.err
    assert "gmkit sample" not in outcome.err
    pq.write_table(pa.table({"a": [0.0, 2.0], "b": [0.0, -2.0]}), tmp_path / "new.parquet")
    outcome = run("detect-anomalies", "new.parquet", "--run", "kept", "--no-report", "--json")
    assert outcome.code == 0, outcome.err
    assert [top["row"] for top in outcome.json["top"]] == [1, 0]
    assert [top["flagged"] for top in outcome.json["top"]] == [True, False]


def test_another_family_takes_as_many_steps_as_its_records_are_worth() -> None:
    resolved = plan(domain="anomaly", model="vae")
    assert resolved.config.model == "vae"
    assert resolved.settled(1280).config.training.steps == PASSES * 1280 // 256 < 300
    assert resolved.settled(10**6).config.training.steps == 300
    asked = plan(domain="anomaly", model="vae", settings={"training": {"passes": 0}})
    assert asked.settled(1280).config.training.steps == 300
    asked = plan(domain="anomaly", model="vae", settings={"training": {"steps": 900}})
    assert asked.settled(1280).config.training.steps == 900
    timed = plan(domain="anomaly", model="vae", time_budget=60.0)
    assert timed.settled(1280).config.training.steps == 0
