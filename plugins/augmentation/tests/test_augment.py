"""``gmkit augment`` and ``gmkit impute``: what is promised of every result."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from gmkit_augmentation.report import _text

ORIGIN = "_gmkit_origin"
Run = Callable[..., Any]


def augmented(run: Run, path: Path, *words: Any, out: str = "out.parquet") -> pa.Table:
    place = path.with_name(out)
    outcome = run("augment", path, "--no-report", "--out", place, *words)
    assert outcome.code == 0, outcome.err
    return pq.read_table(place)


def synthetic(table: pa.Table) -> pa.Table:
    return table.filter(pc.equal(table.column(ORIGIN), "synthetic"))


def test_originals_stay_and_as_many_rows_are_added(run: Run, stored: Path, table: pa.Table) -> None:
    outcome = run("augment", stored, "--no-report", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["out"] == str(stored.with_name("orders.augmented.parquet"))
    found = pq.read_table(outcome.json["out"])
    assert found.num_rows == 800
    assert found.column(ORIGIN).to_pylist() == ["original"] * 400 + ["synthetic"] * 400
    assert found.drop_columns([ORIGIN]).slice(0, 400).equals(table)


def test_the_schema_is_the_tables(run: Run, stored: Path, table: pa.Table) -> None:
    found = augmented(run, stored, "--only-synthetic", "-n", 77)
    assert found.num_rows == 77
    assert found.schema.equals(table.schema, check_metadata=True)


def test_rows_keep_what_holds_in_the_data(run: Run, stored: Path, table: pa.Table) -> None:
    found = augmented(run, stored, "--only-synthetic", "-n", 1000)
    pairs = set(zip(found["city"].to_pylist(), found["country"].to_pylist(), strict=True))
    assert pairs == {("Rome", "IT"), ("Oslo", "NO"), ("Lima", "PE")}
    assert pc.all(pc.less_equal(found["start"], found["end"])).as_py()
    amounts = found["amount"].to_numpy()
    assert (amounts % 5 == 0).all()
    assert amounts.min() >= table["amount"].to_numpy().min()
    zeros = float((found["discount"].to_numpy() == 0).mean())
    assert 0.6 < zeros < 0.8
    missing = found["rating"].null_count / 1000
    assert 0.12 < missing < 0.28
    assert found["rating"].null_count + len(found["rating"].drop_null()) == 1000
    assert found["currency"].to_pylist() == ["EUR"] * 1000
    assert set(found["note"].to_pylist()) <= set(table["note"].to_pylist())


def test_identifiers_are_new(run: Run, stored: Path, table: pa.Table) -> None:
    found = augmented(run, stored, "-n", 900)["order"].to_pylist()
    assert len(set(found)) == 1300
    assert all(text.startswith("ORD-") for text in found)


def test_the_same_seed_gives_the_same_file(run: Run, stored: Path) -> None:
    augmented(run, stored, "--seed", 3, out="a.parquet")
    augmented(run, stored, "--seed", 3, out="b.parquet")
    augmented(run, stored, "--seed", 4, out="c.parquet")
    first, again, other = (stored.with_name(f"{n}.parquet").read_bytes() for n in "abc")
    assert first == again
    assert first != other


def test_no_row_is_a_copy(run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    few = pa.table({"a": rng.integers(0, 30, 300), "b": rng.integers(0, 30, 300)})
    path = tmp_path / "few.parquet"
    pq.write_table(few, path)
    found = augmented(run, path, "--only-synthetic", "-n", 500)
    rows = list(zip(*(few[n].to_pylist() for n in "ab"), strict=True))
    single = {row for row in rows if rows.count(row) == 1}
    assert len(single) > 200
    assert not single & set(zip(*(found[n].to_pylist() for n in "ab"), strict=True))


def test_conditions_are_met_by_every_row(run: Run, stored: Path) -> None:
    words = ["--where", "city=Oslo,amount>500,start<2020-09-01", "-n", 60, "--where", "paid=false"]
    found = synthetic(augmented(run, stored, *words))
    assert found.num_rows == 60
    assert set(found["city"].to_pylist()) == {"Oslo"}
    assert set(found["country"].to_pylist()) == {"NO"}
    assert set(found["paid"].to_pylist()) == {False}
    assert min(found["amount"].to_pylist()) > 500
    assert str(max(found["start"].to_pylist())) < "2020-09-01"


@pytest.mark.parametrize("text", ["at>2024-03-01", "at>2024-03-01T00:00", "at>2024-02-29T15:00Z"])
def test_times_are_those_of_the_columns_zone(run: Run, tmp_path: Path, text: str) -> None:
    hours = pa.array(range(1_706_713_200, 1_711_000_000, 3600), pa.timestamp("s", "Asia/Tokyo"))
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"at": hours, "x": np.arange(len(hours)) % 7}), path)
    found = synthetic(augmented(run, path, "--where", text, "-n", 40))["at"].to_pylist()
    assert len(found) == 40
    assert min(found).isoformat() > "2024-03-01T00:00:00+09:00"


def test_missing_can_be_asked_for(run: Run, stored: Path) -> None:
    found = synthetic(augmented(run, stored, "--where", "rating=null", "-n", 20))
    assert found["rating"].null_count == 20


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("city", {"Rome": None, "Oslo": None, "Lima": None}),
        ("city=Lima:0.5", {"Lima": None}),
    ],
)
def test_classes_become_balanced(run: Run, stored: Path, text: str, counts: dict[str, Any]) -> None:
    found = augmented(run, stored, "--balance", text)
    column = found["city"].to_pylist()
    have = {name: column.count(name) for name in ("Rome", "Oslo", "Lima")}
    if text == "city":
        assert len(set(have.values())) == 1
    else:
        assert have["Lima"] == have["Rome"] + have["Oslo"]
        assert set(synthetic(found)["city"].to_pylist()) == {"Lima"}


def test_constraints_hold(run: Run, stored: Path) -> None:
    words = ["--constraint", "amount>=100", "--constraint", "discount<=amount", "-n", 200]
    found = synthetic(augmented(run, stored, *words))
    assert min(found["amount"].to_pylist()) >= 100
    assert (found["discount"].to_numpy() <= found["amount"].to_numpy()).all()


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_text_formats_go_in_and_out(run: Run, tmp_path: Path, ending: str) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / f"data.{ending}"
    rows = [{"x": round(float(v), 2), "y": "ab"[i % 2]} for i, v in enumerate(rng.normal(size=60))]
    if ending == "csv":
        path.write_text("\ufeffx;y\n" + "".join(f"{r['x']};{r['y']}\n" for r in rows), "utf-8")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    outcome = run("augment", path, "--no-report", "-n", 15, "--json")
    assert outcome.code == 0, outcome.err
    text = (tmp_path / f"data.augmented.{ending}").read_text()
    assert text.count("synthetic") == 15
    assert text.count("original") == 60


def test_a_dry_run_tells_the_columns_and_writes_nothing(run: Run, stored: Path) -> None:
    before = sorted(stored.parent.iterdir())
    outcome = run("augment", stored, "--dry-run", "--json")
    assert outcome.code == 0, outcome.err
    kinds = {name: facts["kind"] for name, facts in outcome.json["columns"].items()}
    assert kinds == {
        "order": "identifier",
        "city": "category",
        "country": "category",
        "start": "number",
        "end": "number",
        "amount": "number",
        "discount": "number",
        "price": "number",
        "rating": "category",
        "paid": "category",
        "note": "text",
        "currency": "constant",
    }
    assert outcome.json["rules"] == ["city → country", "start ≤ end"]
    assert sorted(p for p in stored.parent.iterdir() if p.name != "cache") == before
    shown = run("augment", stored, "--dry-run").out
    assert "Taken for" in shown
    assert "date32[day]" in shown  # no mark-up


def test_columns_can_be_told(run: Run, stored: Path) -> None:
    path = stored.with_name("columns.toml")
    path.write_text('[columns]\namount = "category"\nnote = "constant"\n')
    outcome = run("augment", stored, "--dry-run", "--columns", path, "--json")
    kinds = {name: facts["kind"] for name, facts in outcome.json["columns"].items()}
    assert (kinds["amount"], kinds["note"]) == ("category", "constant")


def test_the_report_holds_all_it_shows(run: Run, stored: Path) -> None:
    outcome = run("augment", stored, "--target", "paid", "--json")
    assert outcome.code == 0, outcome.err
    facts = outcome.json
    page = Path(facts["report"]).read_text()
    assert page.count("<svg") == 10 + 2  # columns but identifier and note, heat map, projection
    assert "Not shown, for nothing is learned of them: " in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "<script" not in page
    assert facts["figures"]["column_shapes"] > 0.85
    assert 0 <= facts["figures"]["detection_auc"] <= 1
    assert facts["figures"]["privacy"]["copies"] == 0
    assert facts["figures"]["utility"]["target"] == "paid"
    assert all(entry["text"].endswith((".", ".'")) for entry in facts["sentences"])


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (16588, pa.decimal128(12, 2), "165.9"),
        (-(2.0**62), pa.uint64(), "4.612e+18"),
        (18262, pa.date32(), "2020-01-01"),
        (3.14159, pa.float64(), "3.142"),
    ],
)
def test_charts_are_labelled_in_the_columns_units(
    value: float, kind: pa.DataType, text: str
) -> None:
    assert _text(value, kind) == text


@pytest.mark.parametrize("model", ["vae", "diffusion", "gan", "mixture"])
def test_other_families_work_through_the_same_door(run: Run, stored: Path, model: str) -> None:
    words = ["--model", model, "--set", "training.steps=20", "--set", "trunk.width=16", "-n", 30]
    found = synthetic(augmented(run, stored, *words, "--where", "city=Oslo"))
    assert found.num_rows == 30
    assert set(found["city"].to_pylist()) == {"Oslo"}


def test_missing_values_are_filled_in(run: Run, stored: Path, table: pa.Table) -> None:
    outcome = run("impute", stored, "--draws", 3, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["filled"] == {"rating": table["rating"].null_count}
    found = pq.read_table(stored.with_name("orders.imputed.parquet"))
    assert found.num_rows == 1200
    assert found["rating"].null_count == 0
    assert found["_gmkit_draw"].to_pylist() == [1] * 400 + [2] * 400 + [3] * 400
    known = np.asarray(table["rating"].is_valid())
    draws = [found.slice(400 * i, 400) for i in range(3)]
    for draw in draws:
        rest = draw.drop_columns(["rating", "_gmkit_draw"])
        assert rest.equals(table.drop_columns(["rating"]))
        assert np.array_equal(
            draw["rating"].to_numpy()[known], table["rating"].drop_null().to_numpy()
        )
    assert draws[0]["rating"].to_pylist() != draws[1]["rating"].to_pylist()


def test_filled_values_follow_the_rest_of_the_row(run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=3000)
    y = 3 * x + 0.1 * rng.normal(size=3000)
    hidden = rng.random(3000) < 0.2
    path = tmp_path / "xy.parquet"
    for name in ("x", "y"):  # the first column of the row, and the last
        values = {"x": x, "y": y}
        table = pa.table({n: pa.array(v, mask=hidden & (n == name)) for n, v in values.items()})
        pq.write_table(table, path)
        assert run("impute", path, "--seed", 1).code == 0
        found = pq.read_table(path.with_name("xy.imputed.parquet"))
        filled = found[name].to_numpy()[hidden]
        assert np.corrcoef(filled, values[name][hidden])[0, 1] > 0.95


def test_no_copy_of_the_rows_stays(run: Run, stored: Path) -> None:
    assert run("augment", stored, "--target", "paid").code == 0
    names = {path.name for path in stored.parent.rglob("*") if path.is_file()}
    assert names == {"orders.parquet", "orders.augmented.parquet", "orders.augmented.report.html"}


def test_how_many_threads_draw_changes_nothing(
    run: Run, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = []
    for workers in ("1", "3"):
        monkeypatch.setenv("GMKIT_WORKERS", workers)
        augmented(run, stored, "-n", 60_000, out=f"{workers}.parquet")
        files.append(stored.with_name(f"{workers}.parquet").read_bytes())
    assert files[0] == files[1]


def test_a_budget_too_short_to_learn_anything_writes_no_noise(run: Run, stored: Path) -> None:
    outcome = run("augment", stored, "--model", "vae", "--time-budget", "0.01s", "--no-report")
    assert outcome.code == 1
    told = re.sub(r"[│\s]+", " ", outcome.err)
    assert "the time budget of 0.01 s was used up before vae learned anything" in told
    assert not stored.with_name("orders.augmented.parquet").exists()


def test_private_training_tells_its_figures(run: Run, stored: Path) -> None:
    pytest.importorskip("opacus")
    words = ["--dp-epsilon", 3, "--set", "training.steps=5", "--json"]
    outcome = run("augment", stored, "--only-synthetic", "-n", 100, *words)
    assert outcome.code == 0, outcome.err
    privacy = outcome.json["privacy"]
    assert 2.5 < privacy["epsilon"] <= 3
    assert 0 < privacy["delta"] < 1e-3
    assert outcome.json["rules"] == []
    page = Path(outcome.json["report"]).read_text()
    assert "Differentially private: epsilon" in page
    assert "does not cover each column" in page
    found = pq.read_table(outcome.json["out"])
    assert not set(found["note"].to_pylist()) & set(pq.read_table(stored)["note"].to_pylist())


@pytest.mark.parametrize(
    "words",
    [[], ["--only-synthetic", "--where", "paid=true"], ["--only-synthetic", "--model", "gan"]],
)
def test_what_private_training_cannot_protect(run: Run, stored: Path, words: list[str]) -> None:
    pytest.importorskip("opacus")
    outcome = run("augment", stored, "--dp-epsilon", 3, *words)
    assert outcome.code == 2, outcome.err
    assert not stored.with_name("orders.augmented.parquet").exists()


def test_texts_as_views_are_filled_in(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    texts = pa.array(["a", "b", None] * 60, pa.string_view())
    pq.write_table(pa.table({"x": texts, "y": np.arange(180) % 3}), path)
    assert run("impute", path, "--draws", 2).code == 0
    found = pq.read_table(path.with_name("t.imputed.parquet"))
    assert found.schema.field("x").type == pa.string_view()
    assert found["x"].null_count == 0


def test_rows_that_balance_come_with_advice(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gmkit_augmentation import gate

    class Judge:
        measure, possible = "average precision", True

        def __init__(self, *_: Any, **__: Any) -> None: ...

        def score(self, rows: pa.Table, learner: int) -> float:
            return float(rows.num_rows / -10_000)

    monkeypatch.setattr(gate, "Task", Judge)
    path = tmp_path / "t.parquet"
    rare = np.arange(150) % 4 == 0
    pq.write_table(pa.table({"x": np.arange(150) / 7, "rare": rare}), path)
    outcome = run("augment", path, "--balance", "rare=true")
    assert outcome.code == 0, outcome.err
    assert pq.read_metadata(path.with_name("t.augmented.parquet")).num_rows == 2 * (~rare).sum()
    told = "These new rows do harm to a model that predicts 'rare': average precision -0.00"
    assert told in outcome.out
    page = path.with_name("t.augmented.report.html").read_text()
    assert told in html.unescape(page)


@pytest.mark.parametrize(
    ("gains", "told"),
    [
        ((0.02, 0.03, 0.025), "These new rows help to predict 'y': AUC +0.025 ± 0.003 in 3 folds."),
        ((0.02, -0.03, 0.0), "These new rows would not help for sure to predict 'y'"),
        ((-0.02, -0.03, -0.02), "These new rows do harm to a model that predicts 'y'"),
    ],
)
def test_advice_follows_from_the_gains(gains: tuple[float, ...], told: str) -> None:
    from gmkit_augmentation.gate import Trial, Verdict

    verdict = Verdict("y", "AUC", (Trial("trees", 1.0, gains),), balances=True, advises=True)
    assert verdict.sentence().startswith(told)
    assert ("--no-harm" in verdict.sentence()) == (gains[0] + gains[1] < 0.04)
