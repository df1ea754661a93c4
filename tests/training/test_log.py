"""metrics.jsonl."""

from __future__ import annotations

import json
import math

from gmkit.training.log import MetricsLog


def rows(folder):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    text = (folder / "metrics.jsonl").read_text()
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def test_rows_are_on_disk_at_once_and_rounded(tmp_path):
    log = MetricsLog(tmp_path, after=0)
    log.write("train", 25, {"loss": 1.23456789, "kl": 0}, seconds=1.5)
    assert rows(tmp_path) == [
        {"kind": "train", "step": 25, "loss": 1.23457, "kl": 0.0, "seconds": 1.5}
    ]
    log.close()


def test_what_is_not_finite_is_null(tmp_path):
    log = MetricsLog(tmp_path, after=0)
    log.write("valid", 1, {"a": math.nan, "b": math.inf, "c": -math.inf})
    log.close()
    assert rows(tmp_path) == [{"kind": "valid", "step": 1, "a": None, "b": None, "c": None}]


def test_resuming_drops_later_rows_and_torn_lines(tmp_path):
    log = MetricsLog(tmp_path, after=0)
    for step in (10, 20, 30):
        log.write("train", step, {"loss": 1.0})
    log.close()
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text() + '[1]\n"x"\n{"step": "9"}\n{"kind": "train", "st')
    log = MetricsLog(tmp_path, after=20)
    log.write("train", 30, {"loss": 2.0})
    log.close()
    assert [(row["step"], row["loss"]) for row in rows(tmp_path)] == [(10, 1), (20, 1), (30, 2)]
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_a_new_run_starts_empty(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"kind": "train", "step": 5}\n')
    MetricsLog(tmp_path, after=0).close()
    assert rows(tmp_path) == []
