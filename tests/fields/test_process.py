"""The noising process against its definitions, computed another way."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch

from gmkit.fields import Process, Real
from gmkit.fields.process import T_MIN, Objective, Schedule
from gmkit.fields.real import CHAIN_STEPS

SCHEDULES = get_args(Schedule)
OBJECTIVES = get_args(Objective)
TIMES = torch.tensor([T_MIN, 1e-3, 0.01, 0.2, 0.5, 0.9, 1 - T_MIN])
MEANS, DEVIATIONS, SHARES = torch.tensor([-1.5, 1.0]), torch.tensor([0.3, 0.7]), (0.4, 0.6)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_signal_fades_from_one_to_almost_none(schedule):
    process = Process(schedule=schedule)
    t = torch.linspace(0, 1, 101)
    alpha, sigma = process.alpha(t), process.sigma(t)
    assert alpha[0] == 1 and sigma[0] == 0
    assert alpha[-1] < 0.01 and sigma[-1] > 0.9999
    assert bool((alpha.diff() < 0).all()) and bool((sigma.diff() >= 0).all())
    assert torch.allclose(process.masked(t), 1 - alpha, atol=1e-6)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_variance_is_preserved(schedule):
    process = Process(schedule=schedule)
    t = torch.linspace(0, 1, 101)
    assert torch.allclose(process.alpha(t) ** 2 + process.sigma(t) ** 2, torch.ones(101))


def test_the_flow_is_a_straight_line():
    t = torch.linspace(0, 1, 11)
    process = Process(schedule="flow")
    assert torch.equal(process.alpha(t), 1 - t) and torch.equal(process.sigma(t), t)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_noise_near_the_ends_is_as_exact_as_in_double_precision(schedule):
    process = Process(schedule=schedule)
    for verb in (process.sigma, process.masked):
        exact = verb(TIMES.double()).float()
        assert torch.allclose(verb(TIMES), exact, rtol=1e-4, atol=0)
        assert bool((exact > 0).all())


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_losses_are_finite_at_every_time(schedule, objective):
    process = Process(schedule=schedule, objective=objective)
    real, rng = Real(), torch.Generator().manual_seed(0)
    t = torch.cat((torch.tensor([0.0, 1.0]), TIMES))
    value = torch.randn(len(t), generator=rng)
    noisy = real.corrupt(value, t, rng, process)
    loss = real.denoise_loss(torch.zeros(len(t), 2), value, noisy, t, process)
    assert bool(torch.isfinite(loss).all()) and bool((loss >= 0).all())


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("s", "t"), [(0.1, 0.2), (0.3, 0.9), (0.0, 0.5), (0.5, 0.501)])
def test_posterior_is_a_product_of_gaussians(schedule, s, t):
    process = Process(schedule=schedule)
    s_, t_ = torch.tensor(s, dtype=torch.double), torch.tensor(t, dtype=torch.double)
    c_x, c_t, deviation = (float(c) for c in process.posterior(t_, s_))
    a_s, a_t = float(process.alpha(s_)), float(process.alpha(t_))
    v_s, v_t = float(process.sigma(s_)) ** 2, float(process.sigma(t_)) ** 2
    # x_s | x_0 ~ N(a_s x_0, v_s); x_t | x_s ~ N(r x_s, v): condition the joint on x_t
    r = a_t / a_s
    v = v_t - r * r * v_s
    gain = v_s * r / (r * r * v_s + v)
    assert c_t == pytest.approx(gain, rel=1e-6)
    assert c_x == pytest.approx(a_s - gain * r * a_s, rel=1e-6)
    assert deviation**2 == pytest.approx(v_s - gain * r * v_s, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_target_read_back_is_the_data_and_the_noise(schedule, objective):
    process = Process(schedule=schedule, objective=objective)
    rng = torch.Generator().manual_seed(1)
    x, noise = torch.randn(2, 50, generator=rng, dtype=torch.double)
    t = torch.linspace(0.01, 0.99, 50, dtype=torch.double)
    alpha, sigma = process.alpha(t), process.sigma(t)
    answer = process.target(x, noise, alpha, sigma)
    found, heard = process.predict(answer, alpha * x + sigma * noise, alpha, sigma)
    assert torch.allclose(found, x) and torch.allclose(heard, noise)


def mixture(n, rng):
    """Draws of a known two-component mixture."""
    which = (torch.rand(n, generator=rng) < SHARES[1]).long()
    return MEANS[which] + DEVIATIONS[which] * torch.randn(n, generator=rng)


def exact_mean(noisy, alpha, sigma):
    """E[x_0 | x_t] of the mixture, in closed form."""
    noisy = noisy.unsqueeze(-1)
    variance = (alpha * DEVIATIONS) ** 2 + sigma**2
    log_weight = (
        torch.tensor(SHARES).log()
        - 0.5 * variance.log()
        - 0.5 * (noisy - alpha * MEANS) ** 2 / variance
    )
    gain = alpha * DEVIATIONS**2 / variance
    means = MEANS + gain * (noisy - alpha * MEANS)
    return (torch.softmax(log_weight, -1) * means).sum(-1)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_each_objective_is_least_at_the_exact_posterior_mean(schedule, objective):
    """The optimum is E[target | x_t]; re-read as x_0 it is E[x_0 | x_t] for every objective:
    any shift, wherever made, costs more, and the gradient there vanishes."""
    process = Process(schedule=schedule, objective=objective)
    real, rng = Real(), torch.Generator().manual_seed(2)
    level = torch.tensor(0.4)
    n = 100_000
    x = mixture(n, rng)
    t = level.expand(n)
    noisy = real.corrupt(x, t, rng, process)
    alpha, sigma = process.alpha(level), process.sigma(level)
    mean = exact_mean(noisy, alpha, sigma)
    best = process.target(mean, (noisy - alpha * mean) / sigma, alpha, sigma)
    answer = best.clone().requires_grad_()
    params = torch.stack((answer, torch.zeros(n)), -1)
    loss = real.denoise_loss(params, x, noisy, t, process)
    (gradient,) = torch.autograd.grad(loss.sum(), answer)
    # the gradient averages out in every region of x_t, not only overall
    for region in noisy.argsort().chunk(8):
        part = gradient[region]
        assert abs(float(part.mean())) < 4.5 * float(part.std()) / math.sqrt(len(region))
    found, _ = process.predict(best, noisy, alpha, sigma)
    assert torch.allclose(found, mean, atol=1e-4)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_weighted_losses_agree_between_objectives(schedule):
    """With min-SNR weighting every objective's loss is min(SNR, γ) times the x_0 error; the
    loss of ``mean`` is that of the posterior means over 2σ̃², computed here from these."""
    rng = torch.Generator().manual_seed(3)
    n = 64
    x, guess, noise = torch.randn(3, n, generator=rng)
    t = torch.linspace(0.05, 0.95, n)
    real = Real()
    for gamma in (5.0, 0.5):
        for objective in ("data", "noise", "velocity", "flow"):
            process = Process(schedule=schedule, objective=objective, min_snr=gamma)
            alpha, sigma = process.alpha(t), process.sigma(t)
            noisy = alpha * x + sigma * noise
            answer = process.target(guess, (noisy - alpha * guess) / sigma, alpha, sigma)
            params = torch.stack((answer, torch.zeros(n)), -1)
            loss = real.denoise_loss(params, x, noisy, t, process)
            expected = ((alpha / sigma) ** 2).clamp(max=gamma) * (x - guess) ** 2
            assert torch.allclose(loss, expected, rtol=2e-3, atol=1e-5), objective

    process = Process(schedule=schedule, objective="mean")
    alpha, sigma = process.alpha(t), process.sigma(t)
    noisy = alpha * x + sigma * noise
    answer = process.target(guess, (noisy - alpha * guess) / sigma, alpha, sigma)
    loss = real.denoise_loss(torch.stack((answer, torch.zeros(n)), -1), x, noisy, t, process)
    loss = loss / CHAIN_STEPS  # the loss is summed over the chain
    t64 = t.double()
    c_x, c_t, deviation = process.posterior(t64, t64 - 1e-3)
    wanted = c_x * x + c_t * noisy
    given = c_x * guess + c_t * noisy
    expected = (wanted - given) ** 2 / (2 * deviation**2)
    assert torch.allclose(loss.double(), expected, rtol=0.05)


def test_unweighted_objectives_are_plain_squared_errors():
    real = Real()
    x, noise, t = torch.tensor([0.7]), torch.tensor([-0.2]), torch.tensor([0.3])
    for objective, target in (("data", 0.7), ("noise", -0.2), ("flow", -0.9)):
        process = Process(schedule="flow", objective=objective, min_snr=0)
        noisy = 0.7 * x + 0.3 * noise
        loss = real.denoise_loss(torch.tensor([[0.1, 0.0]]), x, noisy, t, process)
        assert float(loss) == pytest.approx((target - 0.1) ** 2, rel=1e-4)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"schedule": "sqrt"}, "schedule 'sqrt' is none of linear, cosine, flow"),
        ({"objective": "x"}, "objective 'x' is none of"),
        ({"sampler": "rk4"}, "sampler 'rk4' is none of ancestral, ddim"),
        ({"min_snr": -1.0}, "min_snr is -1.0"),
    ],
)
def test_unknown_options(options, text):
    with pytest.raises(ValueError, match=text):
        Process(**options)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_rates_are_derivatives_and_times_invert_the_snr(schedule):
    process = Process(schedule=schedule)
    t = torch.linspace(0.02, 0.98, 49, dtype=torch.double)
    step = 1e-6
    for verb, rate in zip((process.alpha, process.sigma), process.rates(t), strict=True):
        slope = (verb(t + step) - verb(t - step)) / (2 * step)
        assert torch.allclose(rate, slope, rtol=1e-5, atol=1e-6)
    fall = -(process.log_snr(t + step) - process.log_snr(t - step)) / (2 * step)
    assert torch.allclose(process.rate(t), fall, rtol=1e-5)
    assert torch.allclose(process.time_of(process.log_snr(t)), t, rtol=1e-6)


@pytest.mark.parametrize("v", [-30.0, 30.0])
def test_learned_deviations_lie_between_the_posterior_and_the_forward_one(v):
    process = Process(learned_variance=True)
    t, s = torch.tensor([0.5]), torch.tensor([0.4])
    _, _, deviation = process.posterior(t, s)
    kept = process.alpha(t) / process.alpha(s) * process.sigma(s)
    forward = (process.sigma(t) ** 2 - kept**2).sqrt()
    wanted = deviation if v < 0 else forward
    found = process.log_deviation(torch.tensor([v]), t, s).exp()
    assert float(found) == pytest.approx(float(wanted))
