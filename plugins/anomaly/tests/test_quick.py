"""Long tables: judged by a law in closed form, without torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gmkit_anomaly.plan import Plan
from gmkit_anomaly.quick import Quick
from gmkit_anomaly.quick_law import CLASSES
from gmkit_anomaly.quick_scale import QuickScale

from gmkit.observer import Observer

Run = Callable[..., Any]
ROWS = 3000


def machines(rows: int = ROWS, seed: int = 0) -> pa.Table:
    """Eight readings of two hidden states, the better the model the higher, and dates."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(rows, 2))
    values = hidden @ np.random.default_rng(5).normal(size=(2, 8))
    values += 0.2 * rng.normal(size=values.shape)
    model = np.where(hidden[:, 0] > 0.5, "new", np.where(hidden[:, 0] < -1, "old", "usual"))
    day = np.datetime64("2024-01-01") + rng.integers(0, 100, rows)
    columns = {f"r{i}": values[:, i].astype(np.float32) for i in range(8)}
    return pa.table({**columns, "model": model.tolist(), "day": day, "site": ["here"] * rows})


def replaced(table: pa.Table, name: str, row: int, value: Any) -> pa.Table:
    values = table[name].to_pylist()
    values[row] = value
    column = pa.array(values, table.schema.field(name).type)
    return table.set_column(table.schema.get_field_index(name), name, column)


def with_odd(table: pa.Table) -> pa.Table:
    """Row 3 has one reading that the others contradict, 5 a model and 7 a site that never were, 9
    no reading."""
    reading = 2.0 if table["r1"][3].as_py() < 0 else -2.0
    table = replaced(table, "r1", 3, reading)
    table = replaced(table, "model", 5, "stolen")
    table = replaced(table, "site", 7, "there")
    return replaced(table, "r2", 9, None)


@pytest.fixture(scope="module")
def quick() -> Quick:
    """Of machines as they are."""
    return Quick(machines(), Plan(contaminated=False), Observer())


def judged(quick: Quick, table: pa.Table) -> Any:
    batch = table.combine_chunks().to_batches()[0]
    return quick.scores(quick.encode(batch), columns=True)


def test_what_is_odd_in_any_way_scores_high_and_is_named(quick: Quick) -> None:
    table = with_odd(machines(500, seed=1))
    found = judged(quick, table)
    usual = np.delete(found.score, [3, 5, 7, 9])
    for row, column in ((3, "r1"), (5, "model"), (7, "site"), (9, "r2")):
        assert (usual < found.score[row]).mean() > 0.98, column
        nats = {name: values[row] for name, values in found.columns.items()}
        assert max(nats, key=lambda name: nats[name]) == column
    told = quick.reasons(table.slice(3, 1).combine_chunks().to_batches()[0])[0][0]
    low, high = map(float, told.expected.split(" to "))
    before = machines(500, seed=1)["r1"][3].as_py()
    assert low < before < high and told.column == "r1"
    assert str(quick.reasons(table.slice(5, 1).combine_chunks().to_batches()[0])[0][0]).startswith(
        "model = stolen (expected "
    )


def test_a_score_is_the_same_alone_and_in_any_batch(quick: Quick) -> None:
    table = with_odd(machines(700, seed=2))
    whole = judged(quick, table)
    for begin, many in ((0, 1), (3, 1), (100, 37), (1, 699)):
        part = judged(quick, table.slice(begin, many))
        assert (part.score == whole.score[begin : begin + many]).all()
        assert (part.p_value == whole.p_value[begin : begin + many]).all()


def test_p_values_of_records_like_those_learned_from_are_uniform(quick: Quick) -> None:
    found = judged(quick, machines(4000, seed=3)).p_value
    for level in (0.01, 0.1, 0.5):
        share = (found <= level).mean()
        assert abs(share - level) < 4 * np.sqrt(level * (1 - level) * (1 / 4000 + 1 / 750))


def test_abnormal_records_hardly_change_what_is_learned() -> None:
    """A twentieth of the rows with two readings from elsewhere is found all the same."""
    table = machines(4000)
    rng = np.random.default_rng(0)
    rows = rng.choice(4000, 200, replace=False)
    for name in ("r0", "r4"):
        values = table[name].to_numpy().copy()
        values[rows] = values[rng.permutation(4000)[:200]]
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values))
    labels = np.zeros(4000, bool)
    labels[rows] = True
    quick = Quick(table, Plan(), Observer())
    score = judged(quick, table).score
    order = np.argsort(np.argsort(score))
    area = (order[labels].mean() - 99.5) / 3800
    assert area > 0.9


def test_rare_classes_share_what_the_common_ones_leave() -> None:
    rng = np.random.default_rng(0)
    city = np.minimum(rng.geometric(0.02, 5000), 200)
    table = pa.table({"city": [f"c{c}" for c in city], "x": rng.normal(size=5000)})
    quick = Quick(table, Plan(contaminated=False), Observer())
    part = next(part for part in quick._law.parts if part.field == "city")
    assert part.width == CLASSES
    found = judged(quick, pa.table({"city": ["c1", "c150", "nowhere"], "x": [0.0] * 3}))
    common, rare, never = found.columns["city"]
    assert common < rare < never


def test_scores_rise_between_held_out_ones_and_beyond() -> None:
    totals = np.random.default_rng(0).normal(size=1000)
    scale = QuickScale(totals)
    points = np.linspace(-5, 9, 3000)
    score, p_value = scale.judged(points)
    inside = (points > totals.min()) & (points < totals.max())
    assert (np.diff(score[inside]) > 0).all() and (np.diff(score) >= 0).all()
    assert (np.diff(p_value) <= 0).all() and (p_value > 0).all()
    assert scale.judged(np.array([totals.max()]))[1] == pytest.approx(2 / 1001)
    assert (np.diff(scale.judged(np.linspace(4, 9, 50))[1]) < 0).all()
    tied = QuickScale(np.repeat([1.0, 2.0], 50))
    assert (tied.judged(np.array([0.0, 1.0, 1.5, 2.0, 3.0]))[0][1:] > 0).any()


def test_the_command_judges_a_long_table_without_torch(tmp_path: Path) -> None:
    path = tmp_path / "long.parquet"
    pq.write_table(with_odd(machines()), path)
    script = (
        "import sys, gmkit_anomaly.plan as plan\n"
        "plan.LONG = 1000\n"
        "from gmkit.cli.main import main\n"
        f"code = main(['detect-anomalies', {str(path)!r}, '--contributions'])\n"
        "heavy = [n for n in ('torch', 'sklearn', 'scipy') if n in sys.modules]\n"
        "sys.exit(code or f'loaded: {heavy}' if heavy else code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "judged by what is quick" in done.stderr
    found = pq.read_table(tmp_path / "long.scored.parquet")
    table = machines()
    assert found.num_rows == ROWS and found.schema.names[: len(table.schema.names)] == (
        table.schema.names
    )
    assert found.select(["r0", "day"]).equals(table.select(["r0", "day"]))
    flags, reasons = found["is_anomaly"].to_numpy(), found["reasons"].to_pylist()
    assert all((text is None) == (not flag) for text, flag in zip(reasons, flags, strict=True))
    contributions = {n: found[f"contrib_{n}"][5].as_py() for n in table.schema.names}
    assert max(contributions, key=lambda name: contributions[name]) == "model"


def test_a_kept_run_is_made_as_any(run: Run, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("gmkit_anomaly.plan.LONG", 1000)
    path = tmp_path / "long.parquet"
    pq.write_table(machines(1200), path)
    outcome = run("detect-anomalies", path, "--no-report", "--keep", "kept", "--json")
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "kept" / "manifest.json").exists()
