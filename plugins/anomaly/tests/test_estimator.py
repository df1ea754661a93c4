"""scikit-learn's own checks of an outlier detector."""

from __future__ import annotations

import warnings

import numpy as np
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

import gmkit


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gmkit_anomaly.members.network.STEPS", 40)
    monkeypatch.setattr("gmkit_anomaly.members.forest.TREES", 30)


@pytest.mark.slow
def test_scikit_learn_finds_no_fault() -> None:
    failed = [
        f"{check['check_name']}: {check['exception']!r}"
        for check in check_estimator(gmkit.AnomalyDetector(), on_skip=None, on_fail=None)
        if check["status"] not in ("passed", "skipped")
    ]
    assert failed == []


def test_signs_and_thresholds_fit() -> None:
    rng = np.random.default_rng(0)
    known = rng.normal(size=(150, 3))
    known[:3] += 9
    detector = clone(gmkit.AnomalyDetector(contamination=0.05, random_state=1)).fit(known)
    decided = detector.decision_function(known)
    assert set(detector.predict(known)) == {-1, 1}
    assert np.array_equal(detector.predict(known) == -1, decided < 0)
    assert (detector.predict(known[:3]) == -1).all()
    assert 3 <= (decided < 0).sum() <= 12
    one = detector.score_samples(known[5:6])
    np.testing.assert_allclose(one, detector.score_samples(known)[5:6])
    with pytest.raises(ValueError, match="contamination is 'auto' or in"):
        gmkit.AnomalyDetector(contamination=0.9).fit(known)


@pytest.mark.parametrize("contamination", ["auto", 0.1])
def test_where_all_rows_are_alike_none_is_abnormal(contamination: float | str) -> None:
    alike = np.tile([[1.0, 2.0]], (40, 1))
    detector = gmkit.AnomalyDetector(contamination=contamination, random_state=0).fit(alike)
    assert (detector.predict(alike) == 1).all()


def test_a_label_left_in_is_warned_of_and_nothing_else() -> None:
    """With the names that a data frame has; and no warning of our own doing."""
    frame = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    known = frame.DataFrame(rng.normal(size=(150, 3)), columns=["a", "b", "c"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gmkit.AnomalyDetector(random_state=0, scorers=["linear"]).fit(known).predict(known)
    known["fraud"] = (np.arange(150) < 6).astype(float)
    known.iloc[:6, :3] += 5
    with pytest.warns(UserWarning, match="'fraud' may be a label left in.*Leave it out"):
        gmkit.AnomalyDetector(random_state=0, scorers=["forest"]).fit(known)


def test_tables_of_any_columns() -> None:
    """As pandas and Arrow hold them; a number in place of a table, or a lacking column, is told."""
    frames = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    weight, zone = rng.gamma(3.0, 2.0, 200), rng.choice(["near", "far"], 200)
    price = 3 + weight * np.where(zone == "near", 1, 5) + rng.normal(0, 0.1, 200)
    price[7] = 400.0
    frame = frames.DataFrame({"weight": weight, "zone": zone, "price": price})
    detector = gmkit.AnomalyDetector(contamination=0.02, random_state=0, scorers=["tails"])
    found = detector.fit(frame).predict(frame)
    assert found[7] == -1 and detector.contributions(frame)[7].argmax() == 2
    np.testing.assert_array_equal(detector.predict(frame[["price", "zone", "weight"]]), found)
    table = pa.Table.from_pandas(frame)
    np.testing.assert_array_equal(clone(detector).fit(table).predict(table), found)
    frame.loc[3, "zone"] = "moon"
    assert detector.score_samples(frame)[3] < detector.score_samples(table)[3]
    with pytest.raises(ValueError, match="give a data frame or an Arrow table, not ndarray"):
        detector.predict(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="column 'zone' has no such column"):
        detector.predict(frame[["weight", "price"]])
    with pytest.raises(ValueError, match="holds nested values"):
        detector.fit(frame.assign(zone=[[1]] * 200))
