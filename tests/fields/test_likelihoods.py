"""Likelihoods of pixels against their definitions."""

from __future__ import annotations

import math

import pytest
import torch

from gmkit.errors import ArtifactError
from gmkit.fields import Real, Space

PIXEL = Real(shape=(1,), likelihood="logistic", bounds=(-1.0, 1.0), bins=17)
GRID = torch.linspace(-1, 1, 17)


LOGISTICS = [(0.0, -2.0), (0.9, -4.0), (-1.4, 0.5), (0.03, 2.0)]


@pytest.mark.parametrize(("mean", "log_scale"), LOGISTICS)
def test_masses_of_all_bins_sum_to_one(mean, log_scale):
    params = torch.tensor([mean, log_scale]).expand(17, 1, 2)
    nll = PIXEL.nll(params, GRID[:, None])
    assert float(torch.exp(-nll).sum()) == pytest.approx(1, abs=1e-4)
    assert bool(torch.isfinite(nll).all())


def test_logistic_masses_are_differences_of_the_distribution_function():
    mean, scale = 0.2, 0.3
    params = torch.tensor([[mean, math.log(scale)]])
    for k in (0, 5, 16):
        x, half = float(GRID[k]), 1 / 16
        above = 1.0 if k == 16 else 1 / (1 + math.exp(-(x - mean + half) / scale))
        below = 0.0 if k == 0 else 1 / (1 + math.exp(-(x - mean - half) / scale))
        found = float(PIXEL.nll(params[None], torch.tensor([[x]])))
        assert found == pytest.approx(-math.log(above - below), rel=1e-4)


def test_logistic_draws_lie_on_the_grid_as_often_as_they_should():
    rng = torch.Generator().manual_seed(0)
    params = torch.tensor([0.2, math.log(0.1)]).expand(20_000, 1, 2)
    drawn = PIXEL.sample(params, rng)
    places = (drawn - GRID).abs().argmin(1)
    assert torch.allclose(drawn[:, 0], GRID[places])
    shares = torch.bincount(places, minlength=17) / 20_000
    masses = torch.exp(-PIXEL.nll(params[:17], GRID[:, None]))[:, 0]
    assert float((shares - masses).abs().max()) < 0.012
    assert torch.allclose(PIXEL.sample(params[:1], rng, 0.0), torch.tensor([[0.25]]))


def test_bernoulli_of_pixels():
    field = Real(shape=(), likelihood="bernoulli", bounds=(-1.0, 1.0))
    params = torch.tensor([[0.8, 9.0]])
    p = 1 / (1 + math.exp(-0.8))
    assert float(field.nll(params, torch.tensor([1.0]))) == pytest.approx(-math.log(p))
    assert float(field.nll(params, torch.tensor([-1.0]))) == pytest.approx(-math.log(1 - p))
    assert float(field.sample(params, torch.Generator(), 0.0)) == pytest.approx(2 * p - 1)
    rng = torch.Generator().manual_seed(0)
    drawn = field.sample(params.expand(20_000, 2), rng)
    assert set(drawn.tolist()) == {-1.0, 1.0}
    assert float((drawn > 0).float().mean()) == pytest.approx(p, abs=0.012)


@pytest.mark.parametrize(
    "facts",
    [
        {"likelihood": "poisson"},
        {"likelihood": "bernoulli"},
        {"likelihood": "logistic", "bounds": [-1, 1]},
        {"bounds": [1, -1]},
        {"bounds": [0, float("inf")]},
        {"bounds": [0]},
        {"bins": 16},
        {"bounds": [-1, 1], "bins": 1},
    ],
)
def test_facts_that_make_no_field(facts):
    described = {"kind": "real", "shape": [1], "layout": "flat", **facts}
    with pytest.raises(ArtifactError):
        Space.from_json({"fields": [["x", described]], "condition": None})


def test_description_round_trip():
    space = Space({"x": PIXEL})
    assert Space.from_json(space.to_json()).to_json() == space.to_json()


def test_bounded_values_stay_within():
    field, rng = Real(shape=(4,), bounds=(0.0, 2.0)), torch.Generator().manual_seed(0)
    params = torch.randn(100, 4, 2, generator=rng) * 5
    for value in (field.sample(params, rng), field.settle(field.relax(params, rng))):
        assert float(value.min()) >= 0 and float(value.max()) <= 2
