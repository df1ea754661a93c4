"""What p-values promise: as many false alarms as said, and no more false discoveries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gmkit_anomaly.flagging import rule_of

import gmkit
from gmkit.scoring.calibration import FieldScale, Scale, false_discoveries, p_values


def correlated(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Six columns of which five follow the first."""
    first = rng.normal(size=(rows, 1))
    return np.concatenate([first, first + 0.2 * rng.normal(size=(rows, 5))], axis=1)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gmkit_anomaly.members.network.STEPS", 60)
    monkeypatch.setattr("gmkit_anomaly.members.conditional.TREES", 3)


def fitted(rng: np.random.Generator, rows: int) -> gmkit.AnomalyDetector:
    return gmkit.AnomalyDetector(novelty=True, random_state=0).fit(correlated(rng, rows))


@pytest.mark.slow
def test_false_alarms_are_as_rare_as_the_p_values_say() -> None:
    rng = np.random.default_rng(0)
    alpha, rates = 0.1, []
    for _ in range(20):
        detector = fitted(rng, 200)
        rates.append(float((detector.p_values(correlated(rng, 200)) <= alpha).mean()))
    error = float(np.std(rates, ddof=1) / np.sqrt(len(rates)))
    assert np.mean(rates) <= alpha + 3 * error
    assert np.mean(rates) >= alpha / 3  # and not by never alarming at all


def test_false_discoveries_are_as_rare_as_asked_for() -> None:
    """Planted: 40 of 500, and 3 of 500, which is fewer than ranks alone could tell."""
    rng = np.random.default_rng(1)
    least = {40: 0.8, 3: 0.5}
    false: dict[int, list[float]] = {planted: [] for planted in least}
    power: dict[int, list[float]] = {planted: [] for planted in least}
    for _ in range(6):
        detector = fitted(rng, 800)
        for planted in least:
            new = correlated(rng, 500)
            new[:planted, 3] = -new[:planted, 3] + 4 * np.sign(-new[:planted, 0])
            p_found = detector.p_values(new)
            found = p_found <= false_discoveries(p_found, 0.1)
            false[planted].append(float(found[planted:].sum() / max(1, found.sum())))
            power[planted].append(float(found[:planted].mean()))
    for planted, share in least.items():
        error = float(np.std(false[planted], ddof=1) / np.sqrt(6))
        assert np.mean(false[planted]) <= 0.1 + 3 * error
        assert np.mean(power[planted]) > share


def test_without_anomalies_discoveries_are_as_rare_as_the_rate() -> None:
    """Then any discovery is false: of 400 batches about a tenth may have one. What ignores the
    number of tests, or takes the greatest step wrong, has one in nearly all."""
    rng = torch.Generator().manual_seed(0)
    alarms = 0
    for _ in range(400):
        known = torch.empty(200, dtype=torch.float64).exponential_(generator=rng).sort().values
        new = torch.empty(300, dtype=torch.float64).exponential_(generator=rng)
        as_high = len(known) - torch.searchsorted(known, new)
        p_found = p_values(new, as_high, known).numpy()
        alarms += int((p_found <= false_discoveries(p_found, 0.1)).any())
    assert alarms / 400 <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / 400)
    assert alarms > 0


def test_p_values_are_conformal_and_go_on_beyond_all_that_was_seen() -> None:
    known = torch.arange(1.0, 100.0)  # 99
    found = p_values(
        torch.tensor([0.0, 50.5, 99.0, 100.0, 500.0]), torch.tensor([99, 49, 1, 0, 0]), known
    )
    np.testing.assert_allclose(found[:3].numpy(), [1.0, 0.5, 0.02])
    assert 0 < float(found[4]) < float(found[3]) < 0.01


def test_contributions_name_the_column() -> None:
    rng = np.random.default_rng(2)
    detector = fitted(rng, 400)
    new = correlated(rng, 50)
    new[np.arange(50), np.arange(50) % 6] += np.where(new[:, 0] > 0, -5, 5)
    named = detector.contributions(new).argmax(1) == np.arange(50) % 6
    assert named.mean() > 0.8


def test_a_single_wrong_value_is_found_though_some_of_the_data_is_abnormal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Among thirty columns it drowns in any sum: by the totals alone these six are on average
    the 150th of 600."""
    monkeypatch.setattr("gmkit_anomaly.members.forest.TREES", 40)
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(600, 30)) + rng.normal(size=(600, 1))
    rows[np.arange(0, 600, 100), np.arange(0, 30, 5)] += 7
    detector = gmkit.AnomalyDetector(scorers=["forest", "linear"], random_state=0).fit(rows)
    rank = detector.score_samples(rows).argsort().argsort()  # the most abnormal first
    assert rank[::100].max() < 60 and np.median(rank[::100]) < 30


def test_benjamini_and_hochbergs_own_example() -> None:
    small = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459]
    p_values = np.array([*small, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0])
    assert false_discoveries(p_values, 0.05) == 0.0095
    assert false_discoveries(np.array([0.5, 0.9]), 0.05) == -1.0
    assert false_discoveries(np.empty(0), 0.05) == -1.0


def test_surprise_grows_beyond_all_that_was_seen() -> None:
    scale = Scale()
    scale.fit(torch.arange(99.0))
    found = scale.surprise(torch.tensor([-5.0, 49.0, 98.0, 99.0, 200.0, 1e9, float("inf")]))
    assert found[0] == 0
    assert float(found[1].exp()) == pytest.approx(100 / 51)
    assert (found.diff()[:-1] > 0).all() and found.isfinite().all()


def test_held_out_scores_compared_with_the_others_are_exchangeable() -> None:
    """The most unusual of n + 1 is as likely to be any of them, also over many fields."""
    rng = torch.Generator().manual_seed(0)
    higher = 0
    for _ in range(300):
        scores = torch.randn(20, 51, generator=rng)
        scale = FieldScale()
        scale.fit(scores[:, :50])
        own = scale.surprise(scores[:, :50], own=True).amax(0)
        new = scale.surprise(scores[:, 50:]).amax(0)
        higher += int(1 + (own >= new).sum() <= 10)
    assert abs(higher / 300 - 10 / 51) < 3 * np.sqrt(0.2 * 0.8 / 300)


def test_as_many_are_far_out_as_were_planted_and_hardly_any_of_clean_scores() -> None:
    rng = torch.Generator().manual_seed(0)
    clean = torch.randn(2000, generator=rng)
    skewed = -torch.rand(2000, generator=rng).log()
    for scores, planted, low, high in (
        (clean, 0, 0.0, 0.003),
        (clean, 100, 0.045, 0.055),
        (skewed, 0, 0.0, 0.015),
        (skewed, 100, 0.045, 0.065),
    ):
        scores = scores.clone()
        scores[:planted] += 12
        scale = Scale()
        scale.fit(scores)
        assert low <= scale.far_out <= high
    for constant in (torch.zeros(50), torch.full((50,), 1e12), torch.zeros(0)):
        scale = Scale()
        scale.fit(constant)
        assert scale.far_out == 0


def test_the_rule_flags_the_share_that_is_far_out_or_nothing() -> None:
    known = np.sort(np.random.default_rng(0).gamma(3, size=1000))
    for share, most in ((0.0, 0), (0.05, 50), (0.001, 1)):
        rule = rule_of(known, None, fdr=None, contamination=None, far_out=share)
        assert rule.flagged(known, np.ones(1000)).sum() == most
        assert "contamination auto" in rule.told
    alike = np.zeros(10)
    rule = rule_of(alike, None, fdr=None, contamination=None, far_out=0.05)
    assert not rule.flagged(alike, np.ones(10)).any()


@pytest.mark.parametrize("planted", [pytest.param(0, marks=pytest.mark.slow), 20])
def test_automatic_contamination_finds_what_was_planted(planted: int) -> None:
    rng = np.random.default_rng(3)
    data = correlated(rng, 400)
    data[:planted] = rng.uniform(-6, 6, size=(planted, 6))
    detector = gmkit.AnomalyDetector(scorers=["forest", "linear"], random_state=0).fit(data)
    found = detector.predict(data) < 0
    assert found[planted:].mean() <= 0.04
    assert found[:planted].sum() >= 0.8 * planted
