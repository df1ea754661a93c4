"""Goals on measures, and how they join to one score."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmkit.errors import ConfigError
from gmkit.objectives.desirability import desirability, joined
from gmkit.objectives.measure import Measure
from gmkit.objectives.objective import Objective, Term, parse_term, read_objective

RECORDS = pa.RecordBatch.from_pydict({"x": [0.0, 2.5, 5.0, 10.0, None]})


def column(_: str):
    return lambda records: records.column("x").to_numpy(zero_copy_only=False).astype(float)


def above(argument: str):
    limit = float(argument)
    return lambda records: (column("")(records) > limit).astype(float)


MEASURES = {
    "x": Measure("the number", 0.0, 10.0, column),
    "above": Measure("1 above a limit", 0.0, 1.0, above, "a number: above:3"),
}
FLOATS = st.floats(-100, 100)


def test_each_goal_as_its_formula_says():
    values = np.array([0.0, 2.5, 5.0, 12.0, math.nan])
    up = desirability(values, "maximise", 0, 10, 1)
    assert up.tolist() == [0, 0.25, 0.5, 1, 0]
    assert desirability(values, "minimise", 0, 10, 1).tolist() == [1, 0.75, 0.5, 0, 0]
    target = desirability(values, "target", 2.5, 2.5, 2.5)
    assert target[:3] == pytest.approx([math.exp(-0.5), 1, math.exp(-0.5)])
    least = desirability(values, "at_least", 5, 5, 2.5)
    assert least.tolist() == pytest.approx([math.exp(-2), math.exp(-0.5), 1, 1, 0])
    most = desirability(values, "at_most", 5, 5, 3.5)
    assert most.tolist() == pytest.approx([1, 1, 1, math.exp(-2), 0])
    assert desirability(values, "require", 0, 5, 1).tolist() == [0, 0, 1, 1, 0]
    assert desirability(values, "forbid", 0, 5, 1).tolist() == [1, 1, 0, 0, 0]


@given(st.lists(st.tuples(FLOATS, st.floats(0.1, 5)), min_size=1, max_size=4), FLOATS)
def test_scores_stay_between_0_and_1_and_a_failed_goal_is_not_made_up_for(terms, value):
    parts = np.stack([desirability(np.array([v]), "maximise", -50, 50, 1) for v, _ in terms])
    weights = np.array([weight for _, weight in terms])
    score = joined(parts, weights)[0]
    assert 0 <= score <= 1 + 1e-12
    assert parts.min() - 1e-9 <= score <= parts.max() + 1e-9
    assert joined(np.vstack([parts, [[0.0]]]), np.append(weights, 1.0))[0] == 0


def test_terms_join_by_their_weights():
    terms = [Term(measure="x", weight=3), Term(measure="above", argument="1", goal="require")]
    scored = Objective(terms, MEASURES)(RECORDS)
    assert scored.score == pytest.approx([0, 0.25**0.75, 0.5**0.75, 1, 0])
    assert scored.parts["above:1"].tolist() == [0, 1, 1, 1, 0]
    assert scored.parts["x"][:4].tolist() == [0, 2.5, 5, 10]


def test_terms_as_people_write_them():
    assert parse_term("qed", "maximise") == Term(measure="qed")
    assert parse_term("contains:C=O", "require") == Term(
        measure="contains", argument="C=O", goal="require"
    )
    found = parse_term("logp=-2.5", "target")
    assert (found.measure, found.value, found.goal) == ("logp", -2.5, "target")
    found = parse_term("similarity:C(=O)O=0.5", "target")
    assert (found.argument, found.value) == ("C(=O)O", 0.5)
    for wrong in ("logp", "logp=", "logp=high", "=2", "logp=nan"):
        with pytest.raises(ConfigError, match="is no target"):
            parse_term(wrong, "target")


@pytest.mark.parametrize(
    ("term", "message"),
    [
        ({"measure": "y"}, "'y' cannot be measured"),
        ({"measure": "abov", "argument": "1"}, "'abov' cannot be measured"),
        ({"measure": "above"}, "needs a number"),
        ({"measure": "x", "argument": "1"}, "takes no argument"),
        ({"measure": "x", "low": 3, "high": 3}, "low 3 is not below high 3"),
        ({"measure": "x", "goal": "target"}, "the target of 'x' has no value"),
        ({"measure": "x", "goal": "at_least"}, "the at least of 'x' has no value"),
    ],
)
def test_terms_that_make_no_sense(term, message):
    with pytest.raises(ConfigError, match=message):
        Objective([Term(**term)], MEASURES)


def test_no_terms():
    with pytest.raises(ConfigError, match="needs a term"):
        Objective([], MEASURES)


def test_a_file_of_terms(tmp_path: Path):
    path = tmp_path / "my.toml"
    path.write_text('[[term]]\nmeasure = "x"\nweight = 2\n[[term]]\nmeasure = "above"\n')
    assert [term.measure for term in read_objective(path)] == ["x", "above"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a list of"),
        ("[[term]]\nmeasure = 'x'\n[other]\na = 1\n", "a list of"),
        ("term = 3\n", "a list of"),
        ("term = [3]\n", "term 1"),
        ("[[term]]\nmeasure = 'x'\ngoal = 'most'\n", "goal"),
        ("[[term]]\nmeasure = 'x'\nwieght = 2\n", "wieght"),
        ("[[term]]\nmeasure = 'x'\nweight = -1\n", "weight"),
        ("[[term]\n", "is not TOML"),
    ],
)
def test_files_that_make_no_sense(tmp_path: Path, text: str, message: str):
    path = tmp_path / "my.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as error:
        read_objective(path)
    assert str(path) in str(error.value)
