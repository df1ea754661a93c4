"""``gmkit detect-anomalies``: what is promised of every result."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest

Run = Callable[..., Any]
NEW = ["anomaly_score", "p_value", "is_anomaly", "reasons"]


def parcels(rows: int = 400, seed: int = 0) -> pa.Table:
    """Parcels whose price follows weight and zone, with dates, gaps and a constant."""
    rng = np.random.default_rng(seed)
    weight = rng.gamma(3.0, 2.0, rows)
    zone = rng.choice(["near", "far", "abroad"], rows, p=[0.6, 0.3, 0.1])
    factor = np.select([zone == "near", zone == "far"], [1.0, 2.0], 5.0)
    price = 3 + weight * factor + rng.normal(0, 0.2, rows)
    day = np.datetime64("2024-01-01") + rng.integers(0, 200, rows)
    rating = [None if rng.random() < 0.1 else int(r) for r in rng.integers(1, 6, rows)]
    return pa.table(
        {
            "weight": weight,
            "zone": pa.array(zone.tolist()),
            "price": price,
            "sent": pa.array(day),
            "rating": pa.array(rating, pa.int64()),
            "currency": pa.array(["EUR"] * rows),
        }
    )


def stored(path: Path, table: pa.Table) -> Path:
    pq.write_table(table, path)
    return path


@pytest.fixture
def normal(tmp_path: Path) -> Path:
    """400 parcels."""
    return stored(tmp_path / "normal.parquet", parcels())


def with_odd(table: pa.Table) -> pa.Table:
    """Row 7 costs what it must not, 11 goes to a zone that never was, 13 has no weight."""
    prices = table["price"].to_numpy().copy()
    prices[7] = 400.0
    zones = table["zone"].to_pylist()
    zones[11] = "moon"
    weights = table["weight"].to_pylist()
    weights[13] = None
    names = table.schema.names
    table = table.set_column(names.index("price"), "price", pa.array(prices))
    table = table.set_column(names.index("zone"), "zone", pa.array(zones))
    return table.set_column(names.index("weight"), "weight", pa.array(weights))


def test_rows_stay_and_the_odd_ones_are_named(run: Run, normal: Path, tmp_path: Path) -> None:
    table = with_odd(parcels(300, seed=1))
    new = stored(tmp_path / "new.parquet", table)
    outcome = run("detect-anomalies", new, "--train", normal, "--contamination", "0.02", "--json")
    assert outcome.code == 0, outcome.err
    found = pq.read_table(outcome.json["out"])
    assert found.schema.names == [*table.schema.names, *NEW]
    assert found.select(table.schema.names).equals(table)
    flags = found["is_anomaly"].to_numpy()
    assert flags[[7, 11, 13]].all()
    assert outcome.json["anomalies"] == flags.sum() < 30
    reasons = found["reasons"].to_pylist()
    assert reasons[7].startswith("price = 400 (expected ")
    assert reasons[11].startswith("zone = moon (expected ")
    assert reasons[13].startswith("weight = missing")
    assert all((text is None) == (not flag) for text, flag in zip(reasons, flags, strict=True))
    assert outcome.json["top"][0]["row"] in (7, 11, 13)
    page = Path(outcome.json["report"]).read_text()
    assert "price = 400" in page and "<script" not in page


def test_a_record_is_judged_alike_alone_and_in_any_batch(
    run: Run, normal: Path, tmp_path: Path
) -> None:
    table = with_odd(parcels(60, seed=2))
    whole = stored(tmp_path / "whole.parquet", table)
    outcome = run("detect-anomalies", whole, "--train", normal, "--no-report", "--keep", "kept")
    assert outcome.code == 0, outcome.err
    together = pq.read_table("whole.scored.parquet")
    for begin, size in ((7, 1), (0, 1), (5, 30)):
        part = stored(tmp_path / "part.parquet", table.slice(begin, size))
        assert run("detect-anomalies", part, "--run", "kept", "--no-report").code == 0
        alone = pq.read_table("part.scored.parquet")
        for name in NEW[:2]:
            np.testing.assert_allclose(
                alone[name].to_numpy(), together[name].to_numpy()[begin : begin + size], rtol=1e-9
            )


def test_without_known_normal_data_the_data_is_taken_for_contaminated(
    run: Run, tmp_path: Path
) -> None:
    path = stored(tmp_path / "data.parquet", with_odd(parcels(300)))
    outcome = run("detect-anomalies", path, "--no-report", "--contamination", "0.02", "--json")
    assert outcome.code == 0, outcome.err
    assert 7 in [top["row"] for top in outcome.json["top"][:5]]
    assert 1 <= outcome.json["anomalies"] <= 20


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(run: Run, normal: Path, tmp_path: Path) -> None:
    for out in ("a.csv", "b.csv"):
        words = ("--train", normal, "--seed", 3, "--no-report", "--out", out)
        assert run("detect-anomalies", normal, *words).code == 0
    # trained on the same data: taken for contaminated, and both alike
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()


def test_no_data_is_the_example_and_says_so(run: Run) -> None:
    outcome = run("detect-anomalies", "--no-report", "--scorer", "forest")
    assert outcome.code == 0, outcome.err
    assert "this is the example" in outcome.err
    assert pq.read_table("example.scored.parquet").num_rows == 569


@pytest.mark.parametrize("scorer", ["neighbours", "conditional", "network", "tails", "forest"])
def test_each_scorer_alone_finds_a_wild_value(
    run: Run, normal: Path, tmp_path: Path, scorer: str
) -> None:
    table = with_odd(parcels(100, seed=3))
    weights = table["weight"].to_pylist()
    weights[7] = 300.0  # two, for cuts that are made at random
    table = table.set_column(0, "weight", pa.array(weights))
    path = stored(tmp_path / "new.parquet", table)
    words = ("--train", normal, "--scorer", scorer, "--no-report", "--json")
    outcome = run("detect-anomalies", path, *words)
    assert outcome.code == 0, outcome.err
    assert 7 in [top["row"] for top in outcome.json["top"][:5]]


def test_scores_alone_with_contributions_for_other_programs(
    run: Run, normal: Path, tmp_path: Path
) -> None:
    path = stored(tmp_path / "new.parquet", with_odd(parcels(100, seed=3)))
    words = ("--train", normal, "--no-report", "--scores-only", "--contributions")
    assert run("detect-anomalies", path, *words).code == 0
    found = pq.read_table("new.scored.parquet")
    columns = parcels(1).schema.names
    assert found.schema.names == [
        *("score", "p_value", "is_anomaly"),
        *(f"contrib_{n}" for n in columns),
    ]
    row = {name: found[f"contrib_{name}"][7].as_py() for name in columns}
    assert max(row, key=lambda name: row[name]) == "price"


def test_drift_and_further_columns_are_told(run: Run, normal: Path, tmp_path: Path) -> None:
    table = parcels(100, seed=4)
    names = table.schema.names
    heavier = pc.add(table["weight"], 100.0)
    table = table.set_column(names.index("weight"), "weight", heavier)
    zones = [None] * 40 + table["zone"].to_pylist()[40:]
    table = table.set_column(names.index("zone"), "zone", pa.array(zones))
    table = table.append_column("note", pa.array(["x"] * 100))
    path = stored(tmp_path / "new.parquet", table)
    outcome = run("detect-anomalies", path, "--train", normal, "--no-report")
    assert outcome.code == 0, outcome.err
    assert "Column 'weight': 100 % of the values lie outside" in outcome.err
    assert "Column 'zone': 40 % of the values are missing, 0 % where it was learned" in outcome.err
    assert "Column 'rating'" not in outcome.err  # a tenth is missing, as ever
    assert "Not looked at, for it was not learned: note." in outcome.err


def test_a_label_left_in_is_told(run: Run, tmp_path: Path) -> None:
    table = parcels(400)
    prices = table["price"].to_numpy().copy()
    label = np.zeros(400, int)
    label[:12] = 1
    prices[:12] += 300
    table = table.set_column(2, "price", pa.array(prices)).append_column("fraud", pa.array(label))
    path = stored(tmp_path / "data.parquet", table)
    outcome = run("detect-anomalies", path, "--no-report", "--scorer", "forest")
    assert outcome.code == 0, outcome.err
    assert "'fraud' may be a label left in" in outcome.err
    outcome = run(
        "detect-anomalies", path, "--no-report", "--scorer", "forest", "--ignore", "fraud"
    )
    assert outcome.code == 0, outcome.err


def test_csv_with_other_types_than_learned(run: Run, normal: Path, tmp_path: Path) -> None:
    """Whole numbers where reals were learned, dates as text of dates."""
    table = parcels(30, seed=5)
    table = table.set_column(0, "weight", pc.cast(pc.round(table["weight"]), pa.int64()))
    pcsv.write_csv(table, tmp_path / "new.csv")
    outcome = run("detect-anomalies", "new.csv", "--train", normal, "--no-report")
    assert outcome.code == 0, outcome.err
    assert "Column 'weight' is int64 here, double where it was learned." in outcome.err
    assert "anomaly_score" in Path("new.scored.csv").read_text().splitlines()[0]


def test_windows_see_what_is_unusual_for_its_time(run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hours = np.arange(600)
    level = 100 * np.sin(hours / 40) + rng.normal(0, 1, 600)
    level[450] = 0.0  # usual by itself, but not between its neighbours
    assert abs(100 * np.sin(450 / 40)) > 90
    times = np.datetime64("2024-01-01T00", "s") + hours.astype("timedelta64[h]")
    path = stored(tmp_path / "series.parquet", pa.table({"at": times, "level": level}))
    outcome = run("detect-anomalies", path, "--window", 16, "--no-report", "--json")
    assert outcome.code == 0, outcome.err
    assert 450 in [top["row"] for top in outcome.json["top"][:3]]
    first = outcome.json["top"][0]
    assert first["names"] == {"at": str(times[first["row"]]).replace("T", " ")}
    path = stored(tmp_path / "plain.parquet", pa.table({"level": level}))
    outcome = run("detect-anomalies", path, "--window", 16)
    assert outcome.code == 3
    assert "needs a column of timestamps" in outcome.err


def test_series_of_one_table_are_judged_apart(run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    times = np.datetime64("2024-01-01T00", "s") + np.arange(200).astype("timedelta64[h]")
    levels = rng.normal(0, 1, (3, 200)) + np.array([[0], [1000], [2000]])
    levels[1, 150] += 15
    table = pa.table(
        {
            "sensor": np.repeat(["north", "south", "west"], 200),
            "at": np.tile(times, 3),
            "level": levels.ravel(),
            "tags": [["a"]] * 600,
        }
    )
    order = rng.permutation(600)
    path = stored(tmp_path / "sensors.parquet", table.take(pa.array(order)))
    words = ("--window", 8, "--group-key", "sensor", "--scorer", "tails", "--json")
    outcome = run("detect-anomalies", path, *words, "--keep", "kept")
    assert outcome.code == 0, outcome.err
    assert "each of 3 series of 'sensor' by itself, ordered by 'at'" in outcome.err
    assert "holds nested values: tags" in outcome.err
    named = [top["names"] for top in outcome.json["top"][:2]]
    assert {"sensor": "south", "at": "2024-01-07 06:00:00"} in named
    page = Path(outcome.json["report"]).read_text()
    assert "level, sensor south" in page and "2024-01-07 06:00:00" in page
    scored = pq.read_table(outcome.json["out"])
    assert scored.select(table.column_names).equals(pq.read_table(path))
    outcome = run("detect-anomalies", path, "--window", 8, "--group-key", "sensr")
    assert outcome.code == 3 and "Did you mean 'sensor'?" in outcome.err
    outcome = run("detect-anomalies", path, "--run", "kept")
    assert outcome.code == 3 and "Add --window 8" in outcome.err


def test_what_makes_no_sense_is_refused_before_learning(run: Run, normal: Path) -> None:
    for words, told, code in (
        (("--contamination", "lots"), "neither auto nor a share", 2),
        (("--fdr", "2"), "is no rate between 0 and 1", 2),
        (("--fdr", ".1", "--contamination", ".1"), "both say what is flagged", 2),
        (("--scorer", "forrest"), "Did you mean 'forest'?", 2),
        (("--ignore", "prize"), "Did you mean 'price'?", 3),
        (("--out", "no/where.parquet"), "does not exist", 3),
        (("--follow",), "--follow needs", 2),
        (("--group-key", "zone"), "Add --window 64", 2),
        (("--out", normal), "is the data itself", 2),
        (("--run", "x", "--train", "y"), "--run has learned already", 2),
    ):
        outcome = run("detect-anomalies", normal, *words)
        assert (outcome.code, told in outcome.err.replace("\n", " ")) == (code, True), outcome.err
        assert "Traceback" not in outcome.err
    assert not Path("normal.scored.parquet").exists()


def test_a_column_that_is_not_there_is_named(run: Run, normal: Path, tmp_path: Path) -> None:
    path = stored(tmp_path / "new.parquet", parcels(20).drop_columns(["price"]))
    outcome = run("detect-anomalies", path, "--train", normal)
    assert outcome.code == 3
    assert "column 'price'" in outcome.err and "no such column" in outcome.err
    assert "Training" not in outcome.err  # told before learning


def test_a_run_learned_from_contaminated_data_flags_what_is_far_out(
    run: Run, tmp_path: Path
) -> None:
    path = stored(tmp_path / "data.parquet", with_odd(parcels(300)))
    words = ("--scorer", "linear", "--keep", "kept", "--no-report", "--json")
    first = run("detect-anomalies", path, *words)
    assert first.code == 0, first.err
    again = run("detect-anomalies", path, "--run", "kept", "--no-report", "--json")
    assert again.code == 0, again.err
    assert "contamination auto" in again.json["rule"]
    assert again.json["anomalies"] == first.json["anomalies"] > 0
    assert 7 in [top["row"] for top in again.json["top"] if top["flagged"]]


@pytest.mark.slow
def test_the_example_says_what_it_is_and_flags_some(run: Run) -> None:
    outcome = run("detect-anomalies", "--no-report", "--json")
    assert outcome.code == 0, outcome.err
    assert "569 tumours, 30 measurements each, without the diagnosis" in outcome.err
    assert 5 <= outcome.json["anomalies"] <= 50
    assert all(top["flagged"] and top["reasons"] for top in outcome.json["top"][:5])


def test_scored_data_is_not_scored_again(run: Run, normal: Path) -> None:
    assert run("detect-anomalies", normal, "--no-report", "--scorer", "tails").code == 0
    outcome = run("detect-anomalies", "normal.scored.parquet", "--no-report")
    assert outcome.code == 2
    assert "it was scored before" in outcome.err


def test_lines_are_judged_as_they_come(
    run: Run, normal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--no-report", "--keep", "kept", "--scorer", "conditional")
    assert run("detect-anomalies", normal, *words).code == 0
    header = "weight,zone,price,sent,rating,currency\n"
    good, odd = "6.0,near,9.0,2024-02-01,3,EUR\n", "6.0,near,900.0,2024-02-01,,EUR\n"
    monkeypatch.setattr(
        "sys.stdin", io.StringIO(f"{header}{good}{odd}short,line\nx,near,1,2,3,4\n")
    )
    outcome = run("detect-anomalies", "-", "--follow", "--run", "kept")
    assert outcome.code == 0, outcome.err
    first, second = map(json.loads, outcome.out.splitlines())
    assert second["anomaly_score"] > first["anomaly_score"]
    assert second["rating"] is None and second["price"] == 900.0
    assert "line 4: has 2 values, the first line names 6 columns" in outcome.err
    assert "line 5: column 'weight': 'x' cannot be read as double" in outcome.err
    monkeypatch.setattr("sys.stdin", io.StringIO("weight,zone,prize\n1,near,2\n"))
    outcome = run("detect-anomalies", "-", "--follow", "--run", "kept")
    assert outcome.code == 3
    assert "column 'price': has no such column (and 3 more)" in outcome.err
    monkeypatch.setattr("sys.stdin", io.StringIO('{"a": 1}\n'))
    outcome = run("detect-anomalies", "-", "--follow", "--run", "kept")
    assert "line 1: has none of the columns that were learned: weight, zone" in outcome.err
    assert "Add --follow" in run("detect-anomalies", "-", "--run", "kept").err
