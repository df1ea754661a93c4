"""Real values: likelihood, draws, noise and its reversal against Gaussians computed by torch."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Normal

from gmkit.errors import DataError
from gmkit.fields import Process, Real
from gmkit.fields.likelihoods import LOG_SCALE_RANGE

SHAPES = st.lists(st.integers(1, 4), max_size=3).map(tuple)


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


@settings(max_examples=25)
@given(shape=SHAPES, rows=st.integers(0, 5), seed=st.integers(0, 99))
def test_verbs_keep_shapes_and_types(shape, rows, seed):
    field, rng = Real(shape=shape), torch.Generator().manual_seed(seed)
    value = torch.randn(rows, *shape, generator=rng)
    params = torch.randn(rows, *shape, field.param_dim, generator=rng)
    t = torch.rand(rows, generator=rng)
    process = Process()
    field.check(value)
    noisy = field.corrupt(value, t, rng, process)
    assert field.embed(value).shape == (rows, *shape, field.embed_dim)
    assert field.relax(params, rng).shape == (rows, *shape, field.embed_dim)
    assert field.observed(value) is None
    for found in (
        field.nll(params, value),
        field.sample(params, rng),
        field.prior(rows, rng, process),
        noisy,
        field.denoise_loss(params, value, noisy, t, process),
        field.reverse_step(field.clean(params, noisy, t, process), noisy, t, t / 2, rng, process),
        field.hide(value, torch.ones_like(value, dtype=torch.bool)),
    ):
        assert found.shape == (rows, *shape) and found.dtype == field.dtype
    assert Real.from_json(field.to_json()) == field


@settings(max_examples=25)
@given(mean=st.floats(-5, 5), log_scale=st.floats(-6, 2.5), value=st.floats(-9, 9))
def test_nll_is_that_of_a_gaussian(mean, log_scale, value):
    params = torch.tensor([[mean, log_scale]])
    exact = -Normal(params[:, 0], params[:, 1].exp()).log_prob(torch.tensor([value]))
    assert torch.allclose(Real().nll(params, torch.tensor([value])), exact, rtol=1e-4, atol=1e-4)


def test_scale_is_bounded():
    low, high = LOG_SCALE_RANGE
    value = torch.zeros(2)
    wild = Real().nll(torch.tensor([[0.0, -1e9], [0.0, 1e9]]), value)
    edge = Real().nll(torch.tensor([[0.0, low], [0.0, high]]), value)
    assert torch.equal(wild, edge)


def test_draws_have_the_mean_and_scale_of_the_parameters(rng):
    params = torch.tensor([1.5, -0.7]).expand(40_000, 2)
    for temperature in (1.0, 0.5):
        drawn = Real().sample(params, rng, temperature)
        assert float(drawn.mean()) == pytest.approx(1.5, abs=0.015)
        assert float(drawn.std()) == pytest.approx(temperature * 0.4966, rel=0.02)
    assert torch.equal(Real().sample(params, rng, 0.0), params[:, 0])


def test_relax_carries_the_gradient_of_the_mean(rng):
    params = torch.randn(3, 2, requires_grad=True)
    Real().relax(params, rng).sum().backward()
    assert torch.equal(params.grad, torch.tensor([1.0, 0.0]).expand(3, 2))


@pytest.mark.parametrize("schedule", ["linear", "cosine", "flow"])
def test_corrupt_has_the_marginal_of_the_process(schedule, rng):
    process = Process(schedule=schedule)
    for level in (0.1, 0.5, 0.9):
        t = torch.full((40_000,), level)
        noisy = Real().corrupt(torch.full((40_000,), 2.0), t, rng, process)
        sigma = float(process.sigma(t[0]))
        assert float(noisy.mean()) == pytest.approx(2 * float(process.alpha(t[0])), abs=0.02)
        assert float(noisy.std()) == pytest.approx(sigma, rel=0.02)


@pytest.mark.parametrize("objective", ["mean", "noise", "data", "velocity", "flow"])
@pytest.mark.parametrize(
    ("schedule", "sampler"),
    [("cosine", "ancestral"), ("cosine", "ddim"), ("linear", "ancestral"), ("flow", "ddim")],
)
def test_reversal_with_the_exact_posterior_mean_recovers_the_gaussian(
    schedule, sampler, objective, rng
):
    process = Process(schedule=schedule, sampler=sampler, objective=objective)
    field, centre, spread = Real(), 2.0, 0.5
    x = field.prior(8000, rng, process)
    grid = torch.linspace(1, 0, 81)
    for t, s in itertools.pairwise(grid):
        inner = process.inside(t)
        alpha, sigma = process.alpha(inner), process.sigma(inner)
        gain = alpha * spread**2 / (alpha**2 * spread**2 + sigma**2)
        clean = centre + gain * (x - alpha * centre)
        answer = process.target(clean, (x - alpha * clean) / sigma, alpha, sigma)
        params = torch.stack((answer, torch.zeros_like(answer)), -1)
        clean = field.clean(params, x, t.expand(8000), process)
        x = field.reverse_step(clean, x, t.expand(8000), s.expand(8000), rng, process)
    assert float(x.mean()) == pytest.approx(centre, abs=0.05)
    assert float(x.std()) == pytest.approx(spread, rel=0.08)


@pytest.mark.parametrize(
    ("value", "text", "row"),
    [
        (torch.zeros(2, 4), r"shape \(4,\), expected \(3,\)", None),
        (torch.zeros(2, 3, dtype=torch.int64), "expected floating point", None),
        (torch.tensor([[0.0] * 3, [0, float("nan"), 0]]), "row 1: a value is not finite", 1),
        (torch.tensor([[0.0, float("-inf"), 0]]), "row 0: a value is not finite", 0),
        (torch.tensor(1.0), "expected a row for each record", None),
    ],
)
def test_check_says_what_is_wrong(value, text, row):
    with pytest.raises(DataError, match=text) as error:
        Real(shape=(3,)).check(value)
    assert error.value.row == row


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"layout": "ring"}, "layout 'ring' is none of flat"),
        ({"shape": (0,)}, "a size below 1"),
        ({"shape": (2, 2), "layout": "sequence"}, "needs 1 dimensions"),
        ({"shape": (2,), "layout": "grid2d"}, "needs 3 dimensions"),
    ],
)
def test_ill_formed_fields(facts, text):
    with pytest.raises(ValueError, match=text):
        Real(**facts)
