"""Diffusion against exact answers: with the best possible denoiser, every sampler must give the
data's distribution and every likelihood its entropy."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from gmkit.errors import ConfigError
from gmkit.families import Step
from gmkit.families.diffusion import Diffusion, DiffusionConfig
from gmkit.fields import Categorical, Process, Real, Space
from gmkit.trunks import TrunkConfig

TRUNK = TrunkConfig(width=32, depth=2)
MEAN, SCALE = torch.tensor([0.5, -1.0, 0.0]), torch.tensor([0.6, 1.2, 1.0])
TABLE = torch.tensor([[0.30, 0.05, 0.05], [0.02, 0.25, 0.03], [0.10, 0.05, 0.15]])
ENTROPY = float(-(TABLE * TABLE.log()).sum())


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


class ExactGaussian(nn.Module):
    """Answers E[target | x_t] for independent Gaussian data, in the objective asked for."""

    def __init__(self, process):
        super().__init__()
        self.process = process
        self.parameter = nn.Parameter(torch.zeros(()))

    def forward(self, noisy, time, condition, drop=None):
        x, t = noisy["x"], self.process.inside(time)[:, None]
        alpha, sigma = self.process.alpha(t), self.process.sigma(t)
        gain = alpha * SCALE**2 / (alpha**2 * SCALE**2 + sigma**2)
        mean = MEAN + gain * (x - alpha * MEAN)
        answer = self.process.target(mean, (x - alpha * mean) / sigma, alpha, sigma)
        return {"x": torch.stack((answer, torch.zeros_like(answer)), -1)}


class ExactPair(nn.Module):
    """Log-probabilities of each of two categories given what is seen of the other."""

    def __init__(self):
        super().__init__()
        self.parameter = nn.Parameter(torch.zeros(()))

    def forward(self, noisy, time, condition, drop=None):
        a, b = noisy["pair"].unbind(1)
        rows = torch.cat((TABLE, TABLE.sum(0, True)))
        columns = torch.cat((TABLE, TABLE.sum(1)[:, None]), 1)
        return {"pair": torch.stack((columns.T[b].log(), rows[a].log()), 1)}


def gaussian(**options):
    model = Diffusion(Space({"x": Real(shape=(3,))}), DiffusionConfig(**options), TRUNK)
    model.denoiser = ExactGaussian(model.process)
    return model.eval()


def pair(**options):
    field = Categorical(size=3, shape=(2,))
    model = Diffusion(Space({"pair": field}), DiffusionConfig(**options), TRUNK)
    model.denoiser = ExactPair()
    return model.eval()


def adjusted(model, **options):
    model.config = model.config.model_copy(update=options)
    return model


@pytest.mark.parametrize(
    ("sampler", "steps"),
    [("ancestral", 200), ("ddim", 100), ("euler", 100), ("dpm++", 16), ("heun", 12)],
)
@pytest.mark.parametrize(("objective", "schedule"), [("velocity", "cosine"), ("flow", "flow")])
def test_samplers_reach_the_datas_moments(sampler, steps, objective, schedule):
    model = gaussian(objective=objective, schedule=schedule, sampler=sampler, steps=steps)
    drawn = model.sample(8000, None, rng())["x"]
    assert torch.allclose(drawn.mean(0), MEAN, atol=0.05)
    assert torch.allclose(drawn.std(0), SCALE, rtol=0.05)


def test_orders_of_the_samplers():
    """The map from noise to data is affine for Gaussian data, and known: the error of a second
    order sampler falls about fourfold when steps double, that of a first order one twofold."""
    noise = torch.randn(500, 3, generator=rng())
    exact = MEAN + SCALE * noise  # α ≈ 0 at t = 1

    def error(sampler, steps):
        model = gaussian(sampler=sampler, steps=steps)
        found = model._reverse({"x": noise}, {}, rng(), model.process, None, None)["x"]
        return float((found - exact).square().mean().sqrt())

    for sampler, least in (("ddim", 1.6), ("euler", 1.6), ("dpm++", 2.5), ("heun", 2.5)):
        coarse, fine = error(sampler, 10), error(sampler, 20)
        assert fine < coarse / least, sampler
        assert fine < 0.12, sampler


@pytest.mark.parametrize("objective", ["velocity", "noise", "flow", "mean", "data"])
def test_bound_and_flow_likelihood_of_the_best_denoiser_are_exact(objective):
    model = gaussian(objective=objective)
    x = MEAN + SCALE * torch.randn(4000, 3, generator=rng(1))
    exact = (0.5 * ((x - MEAN) / SCALE) ** 2 + SCALE.log() + 0.5 * math.log(2 * math.pi)).sum(1)
    scores = model.log_prob({"x": x}, rng(2), 2)
    assert float(scores.total.mean()) == pytest.approx(float(exact.mean()), abs=0.06)
    assert torch.equal(scores.fields["x"], scores.total)
    if objective == "velocity":
        found = -model.flow_log_prob({"x": x[:200]}, rng(3))
        assert torch.allclose(found, exact[:200], atol=0.03)


def test_a_worse_denoiser_has_a_worse_bound():
    model = gaussian()
    x = MEAN + SCALE * torch.randn(2000, 3, generator=rng(1))
    best = model.log_prob({"x": x}, rng(2)).total.mean()
    answer = model.denoiser.forward
    model.denoiser.forward = lambda *given: {"x": answer(*given)["x"] + 0.2}
    assert model.log_prob({"x": x}, rng(2)).total.mean() > best + 0.3


def test_binned_values_have_a_mass():
    """On a grid of 17 values the bound is that of a discrete distribution: here of one that
    the network knows, so that it costs nothing."""
    field = Real(shape=(1,), bounds=(-1.0, 1.0), bins=17)
    model = Diffusion(Space({"x": field}), DiffusionConfig(objective="data"), TRUNK)

    class Knows(nn.Module):
        def forward(self, noisy, time, condition, drop=None):
            value = torch.full_like(noisy["x"], 0.25)
            return {"x": torch.stack((value, value), -1)}

    model.denoiser = nn.ModuleList([Knows(), nn.Linear(1, 1)])
    model.denoiser.forward = model.denoiser[0].forward
    nats = model.log_prob({"x": torch.full((500, 1), 0.25)}, rng()).total
    assert float(nats.mean()) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("schedule", ["linear", "cosine", "flow"])
def test_nelbo_of_exact_conditionals_is_the_entropy(schedule):
    model = pair(schedule=schedule)
    cells = torch.multinomial(TABLE.flatten(), 20_000, replacement=True, generator=rng(1))
    values = torch.stack((cells // 3, cells % 3), 1)
    nats = model.log_prob({"pair": values}, rng(2)).total
    assert float(nats.mean()) == pytest.approx(ENTROPY, rel=0.03)


def test_masked_sampling_gives_the_joint_and_few_steps_less_of_it():
    def distance(steps):
        drawn = adjusted(pair(), steps=steps).sample(20_000, None, rng())["pair"]
        found = torch.zeros(3, 3).index_put_(
            (drawn[:, 0], drawn[:, 1]), torch.ones(()), accumulate=True
        )
        return float((found / 20_000 - TABLE).abs().sum() / 2)

    assert distance(100) < 0.02
    assert distance(1) > 0.15  # both at once: independent


def test_completion_of_categories_follows_the_conditional():
    model = adjusted(pair(), steps=20)
    given = torch.tensor([[1, 0]]).expand(20_000, 2)
    known = torch.tensor([[True, False]]).expand(20_000, 2)
    drawn = model.complete({"pair": given}, {"pair": known}, rng())["pair"]
    assert bool((drawn[:, 0] == 1).all())
    shares = torch.bincount(drawn[:, 1], minlength=3) / 20_000
    assert torch.allclose(shares, TABLE[1] / TABLE[1].sum(), atol=0.015)


def fit(model, data, steps, rows=128, rate=3e-3):
    torch.manual_seed(0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
    count, first = len(next(iter(data.values()))), []
    for k in range(steps):
        noise = rng(k)
        chosen = torch.randint(count, (rows,), generator=noise)
        batch = {name: value[chosen] for name, value in data.items()}
        loss = model.train().losses(batch, Step(k, k / steps, noise))["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.param_groups[0]["lr"] = rate * 0.5 * (1 + math.cos(math.pi * k / steps))
        optimiser.step()
        first.append(float(loss.detach()))
    assert all(map(math.isfinite, first))
    return model.eval()


def test_a_trained_mix_recovers_its_joint():
    """A category that decides a number's mean: both ways round, and the entropy."""
    torch.manual_seed(0)
    space = Space({"x": Real(), "k": Categorical(size=2)})
    k = torch.randint(2, (4000,), generator=rng(1))
    x = (2.0 * k - 1) + 0.3 * torch.randn(4000, generator=rng(2))
    model = fit(Diffusion(space, DiffusionConfig(steps=40), TRUNK), {"x": x, "k": k}, 500)
    drawn = model.sample(4000, None, rng(3))
    agree = ((drawn["x"] > 0) == (drawn["k"] == 1)).float().mean()
    assert float(agree) > 0.97
    assert float(drawn["k"].float().mean()) == pytest.approx(0.5, abs=0.06)
    assert float(drawn["x"].abs().mean()) == pytest.approx(1.0, abs=0.08)
    exact = math.log(2) + 0.5 * math.log(2 * math.pi * math.e * 0.09)
    nats = float(model.log_prob({"x": x[:2000], "k": k[:2000]}, rng(4)).total.mean())
    assert exact - 0.05 < nats < exact + 0.5


def test_guidance_leans_on_the_condition():
    torch.manual_seed(0)
    space = Space({"x": Real(shape=(2,))}, Space({"c": Categorical(size=2)}))
    c = torch.randint(2, (4000,), generator=rng(1))
    x = torch.randn(4000, 2, generator=rng(2)) * 0.7 + (2.0 * c - 1)[:, None]
    model = fit(Diffusion(space, DiffusionConfig(steps=20), TRUNK), {"x": x, "c": c}, 400)
    ones = {"c": torch.ones(2000, dtype=torch.int64)}
    plain = model.sample(2000, ones, rng(3))["x"].mean()
    assert float(plain) == pytest.approx(1.0, abs=0.15)
    strong = adjusted(model, guidance=3.0).sample(2000, ones, rng(3))["x"].mean()
    none = adjusted(model, guidance=0.0).sample(2000, ones, rng(3))["x"].mean()
    assert float(strong) > float(plain) + 0.2
    assert abs(float(none)) < 0.35


def words(rows, seed=0):
    """Sequences of class 1 and 2 in turn, of 2 or 5 elements, then the end 0."""
    length = torch.where(torch.rand(rows, generator=rng(seed)) < 0.3, 2, 5)
    places = torch.arange(6)
    start = torch.randint(2, (rows, 1), generator=rng(seed + 1))
    value = 1 + (places + start) % 2
    return torch.where(places < length[:, None], value, torch.zeros_like(value))


@pytest.mark.parametrize(
    ("shares", "steps"), [(None, 60), ((0, 0, 3, 0, 0, 7, 0), 60)], ids=["unknown", "known"]
)
def test_sequences_with_an_end(shares, steps):
    torch.manual_seed(0)
    field = Categorical(size=3, shape=(6,), layout="sequence", end=0, length_shares=shares)
    model = Diffusion(Space({"w": field}), DiffusionConfig(steps=steps), TRUNK)
    fit(model, {"w": words(2000)}, 300, rows=64)
    drawn = model.sample(500, None, rng(3))["w"]
    field.check(drawn)
    lengths = field.length_of(drawn)
    if shares is not None:
        assert set(lengths.tolist()) == {2, 5}
    assert float((lengths == 5).float().mean()) == pytest.approx(0.7, abs=0.1)
    right = [
        all(a != b for a, b in itertools.pairwise(row[:n]))
        for row, n in zip(drawn.tolist(), lengths.tolist(), strict=True)
    ]
    assert sum(right) / 500 > 0.93
    # log 2 for the start, and the entropy of the length
    exact = math.log(2) - 0.3 * math.log(0.3) - 0.7 * math.log(0.7)
    nats = float(model.log_prob({"w": words(1000, 7)}, rng(4)).total.mean())
    assert exact - 0.08 < nats < exact + 0.2
    # what is known stays, and leaves room
    given = torch.tensor([[1, 2, 1, 2, 1, 0]]).expand(50, 6)
    known = torch.zeros(50, 6, dtype=torch.bool)
    known[:, 3] = True
    done = model.complete({"w": given}, {"w": known}, rng(5))["w"]
    assert bool((done[:, 3] == 2).all()) and bool((field.length_of(done) >= 4).all())


def test_learned_variances_train_and_sample():
    torch.manual_seed(0)
    options = DiffusionConfig(learned_variance=True, sampler="ancestral", steps=100)
    x = MEAN + SCALE * torch.randn(4000, 3, generator=rng(1))
    model = fit(Diffusion(Space({"x": Real(shape=(3,))}), options, TRUNK), {"x": x}, 300)
    drawn = model.sample(2000, None, rng(2))["x"]
    assert torch.allclose(drawn.std(0), SCALE, rtol=0.25)


def test_times_of_a_batch_are_even():
    from gmkit.families.diffusion import _even_times

    t = _even_times(100, rng(), torch.device("cpu")).sort().values
    assert torch.allclose(t.diff(), torch.full((99,), 0.01), atol=1e-6)
    assert not torch.equal(t, _even_times(100, rng(1), torch.device("cpu")).sort().values)


def test_known_numbers_stay_while_the_rest_is_drawn():
    model = gaussian(steps=20)
    given = torch.full((400, 3), 0.7)
    known = torch.tensor([[True, False, False]]).expand(400, 3)
    done = model.complete({"x": given}, {"x": known}, rng())["x"]
    assert bool((done[:, 0] == 0.7).all())
    assert torch.allclose(done[:, 1:].std(0), SCALE[1:], rtol=0.15)


def test_flow_likelihood_needs_continuous_values():
    with pytest.raises(ConfigError, match="continuous values only"):
        pair().flow_log_prob({"pair": torch.zeros(1, 2, dtype=torch.int64)}, rng())


def test_denoise_error_is_the_loss_at_one_time():
    model = gaussian()
    x = MEAN + SCALE * torch.randn(50, 3, generator=rng(1))
    scores = model.denoise_error({"x": x}, 0.5, rng(2))
    assert scores.total.shape == (50,) and bool((scores.total >= 0).all())
    outlier = model.denoise_error({"x": x + 6}, 0.5, rng(2))
    assert float(outlier.total.mean()) > 3 * float(scores.total.mean())


def test_process_has_the_options():
    process = gaussian(objective="noise", schedule="linear", min_snr=3.0).process
    assert process == Process(objective="noise", schedule="linear", min_snr=3.0, sampler="dpm++")
