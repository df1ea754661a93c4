"""The quick guess: likeness, what it knows, and how sure it is."""

from __future__ import annotations

import numpy as np
import pytest

from gmkit.design.surrogate import Surrogate, likeness


def test_likeness_is_shared_over_all():
    a = np.array([[1, 1, 0, 0], [0, 0, 0, 0]], np.bool_)
    b = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 1]], np.bool_)
    assert likeness(a, b).tolist() == [[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]


def counted(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random features, and a value that is a smooth function of some of them."""
    features = np.random.default_rng(seed).random((n, 64)) < 0.3
    return features, features[:, :8].sum(1) / 8.0


def test_it_tells_good_from_bad_and_is_surer_of_what_it_saw():
    features, values = counted(400, 0)
    guess = Surrogate(features, values, np.random.default_rng(0))
    mean, spread = guess.predict(features[:50])
    assert np.corrcoef(mean, values[:50])[0, 1] > 0.9
    new, truth = counted(300, 1)
    mean, unsure = guess.predict(new)
    assert np.corrcoef(mean, truth)[0, 1] > 0.6
    assert spread.mean() < unsure.mean()
    far = np.zeros((1, 64), np.bool_)
    middle, widest = guess.predict(far)
    assert middle[0] == pytest.approx(values.mean()) and widest[0] >= unsure.max()


@pytest.mark.slow
def test_of_many_records_the_best_and_some_others_are_learned_from():
    features, values = counted(3000, 2)
    mean, _ = Surrogate(features, values, np.random.default_rng(0)).predict(features)
    best = np.argsort(-values)[:100]
    assert mean[best].mean() > np.quantile(values, 0.9)
