"""The VAE and stacks on it against sources whose truth is known exactly."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal

from gmkit.families import Step
from gmkit.families.diffusion import Diffusion
from gmkit.families.stack import stack
from gmkit.families.vae import VAE, VAEConfig
from gmkit.fields import Categorical, Real, Space
from gmkit.trunks import TrunkConfig

TRUNK = TrunkConfig(width=64, depth=1)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def fit(family, data, steps, *, rate=4e-3, size=128):
    """Trained in its own turns by AdamW, each player's rate falling with its share."""
    players = {
        p: torch.optim.AdamW(family.player_parameters(p), rate, weight_decay=0)
        for p in family.players
    }
    family.train()
    rows = len(next(iter(data.values())))
    for k in range(steps):
        g = rng(k)
        batch = family.space.pick(data, torch.randint(rows, (size,), generator=g), "cpu")
        for player, share in family.turns(k / steps):
            for group in players[player].param_groups:
                group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * share))
            family.zero_grad()
            family.losses(batch, Step(k, share, g, player))["loss"].backward()
            nn.utils.clip_grad_norm_(family.player_parameters(player), 1.0)
            players[player].step()
    return family.eval()


# ------------------------------------------------------------ x = W z + ε, by hand

WEIGHTS = torch.tensor([[1.0, 0.9], [-0.8, -0.3], [0.3, -0.6], [0.7, 0.8]])
NOISE = 0.5
EXACT = MultivariateNormal(torch.zeros(4), WEIGHTS @ WEIGHTS.T + NOISE**2 * torch.eye(4))
INNER = torch.eye(2) + WEIGHTS.T @ WEIGHTS / NOISE**2
"""Precision of p(z|x), whose mean is INNER⁻¹ Wᵀ x/σ² (Bishop 2006, eq. 2.116–2.117)."""


class Posterior(nn.Module):
    """The best diagonal Gaussian under KL(q‖p): the mean, and the precision's diagonal; its mean
    can be put off by ``shift``."""

    def __init__(self, weights, inner, shift=0.0):
        super().__init__()
        self.weights, self.inner, self.shift = weights, inner, shift

    def forward(self, batch):
        mean = batch["x"] @ self.weights @ self.inner.inverse() / NOISE**2 + self.shift
        log_scale = -0.5 * self.inner.diagonal().log()
        return torch.cat((mean, log_scale.expand_as(mean)), 1)


class Likelihood(nn.Module):
    """N(W z, σ² I)."""

    def __init__(self, weights):
        super().__init__()
        self.weights = weights

    def forward(self, latent, batch):
        mean = latent @ self.weights.T
        return {"x": torch.stack((mean, torch.full_like(mean, math.log(NOISE))), -1)}


def by_hand(weights, shift=0.0):
    vae = VAE(Space({"x": Real(shape=(4,))}), VAEConfig(latent=2), TrunkConfig(width=8, depth=1))
    inner = torch.eye(2) + weights.T @ weights / NOISE**2
    vae.encoder, vae.decoder = Posterior(weights, inner, shift), Likelihood(weights)
    return vae


@pytest.fixture(scope="module")
def plane():
    g = rng()
    latent, noise = torch.randn(2000, 2, generator=g), torch.randn(2000, 4, generator=g)
    return {"x": latent @ WEIGHTS.T + NOISE * noise}


def test_the_bound_lies_below_and_importance_weights_close_it(plane):
    exact = -EXACT.log_prob(plane["x"]).mean()
    vae = by_hand(WEIGHTS)
    one = vae.log_prob(plane, rng(1)).total.mean()
    many = vae.log_prob(plane, rng(2), samples=64).total.mean()
    # what a diagonal q costs: KL(q‖p) = ½(Σ log INNER_dd − log det INNER)
    gap = 0.5 * (INNER.diagonal().log().sum() - torch.logdet(INNER))
    assert float(gap) > 0.01
    assert float(one - exact) == pytest.approx(float(gap), abs=0.02)
    assert abs(float(many - exact)) < 0.3 * float(gap)


def test_a_posterior_put_off_costs_its_divergence_and_weights_mend_it(plane):
    exact = -EXACT.log_prob(plane["x"]).mean()
    vae = by_hand(WEIGHTS, shift=0.5)
    one = float(vae.log_prob(plane, rng(1)).total.mean() - exact)
    many = float(vae.log_prob(plane, rng(2), samples=64).total.mean() - exact)
    shift = torch.full((2,), 0.5)
    gap = 0.5 * (INNER.diagonal().log().sum() - torch.logdet(INNER) + shift @ INNER @ shift)
    assert one == pytest.approx(float(gap), rel=0.1)
    assert 0 < many < 0.5 * one


def test_where_the_posterior_is_exact_so_is_every_records_bound(plane):
    """Orthogonal columns make p(z|x) diagonal: log p(x|z) p(z)/q(z|x) is log p(x) for any z."""
    weights = torch.linalg.qr(WEIGHTS).Q * torch.tensor([1.5, 0.7])
    exact = MultivariateNormal(torch.zeros(4), weights @ weights.T + NOISE**2 * torch.eye(4))
    vae = by_hand(weights)
    for samples in (1, 5):
        found = vae.log_prob(plane, rng(3), samples).total
        assert torch.allclose(found, -exact.log_prob(plane["x"]), atol=1e-3)


def test_a_stack_whose_second_is_the_prior_bounds_the_same(plane):
    """A diffusion that answers with the optimum for N(0, I): its bound of log p₂(z) is the exact
    density up to the grain of its integral, so that the stack's is the VAE's."""
    kind = stack(VAE, Diffusion, "vae", "diffusion")
    config = kind.Config.model_validate({"vae": {"latent": 2}})
    space = Space({"x": Real(shape=(4,))})
    family = kind(space, config, TrunkConfig(width=8, depth=1))
    hand = by_hand(WEIGHTS)
    family.first.encoder, family.first.decoder = hand.encoder, hand.decoder

    class Optimum(nn.Module):
        """E[velocity | x_t] = E[α ε − σ x_0 | x_t] is 0 where x_0 is N(0, I) too."""

        def __init__(self):
            super().__init__()
            self.nothing = nn.Parameter(torch.zeros(2))

        def forward(self, noisy, time, condition, drop=None):
            return {"latent": self.nothing.expand(*noisy["latent"].shape, 2)}

    family.second.denoiser = Optimum()
    found = family.log_prob(plane, rng(4), samples=8).total.mean()
    expected = hand.log_prob(plane, rng(1)).total.mean()
    assert float(found) == pytest.approx(float(expected), abs=0.1)


# ------------------------------------------------------------ mixtures

RING = 2 * torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
SPREAD = 0.15


def ring(n, seed):
    g = rng(seed)
    mode = torch.randint(4, (n,), generator=g)
    return {"x": RING[mode] + SPREAD * torch.randn(n, 2, generator=g)}


def near(x):
    """(share of draws within 4 SPREAD of a mode, the smallest share of all that a mode gets)."""
    distance, mode = torch.cdist(x, RING).min(1)
    inside = distance < 4 * SPREAD
    return float(inside.float().mean()), float(mode[inside].bincount(minlength=4).min() / len(x))


@pytest.fixture(scope="module")
def stacked():
    """A VAE of little β, whose encodings are four islands, under a diffusion."""
    torch.manual_seed(0)
    kind = stack(VAE, Diffusion, "vae", "diffusion")
    config = kind.Config.model_validate(
        {"share": 0.3, "vae": {"latent": 2, "beta": 0.05}, "diffusion": {"steps": 30}}
    )
    space = Space({"x": Real(shape=(2,))})
    return fit(kind(space, config, TRUNK), ring(8000, 0), 450, rate=1e-2)


def test_a_stack_finds_the_modes_that_the_prior_misses(stacked):
    plain, plain_least = near(stacked.first.sample(4000, None, rng())["x"])
    share, least = near(stacked.sample(4000, None, rng())["x"])
    assert share > 0.85 and plain < 0.5
    assert least > 0.15 and plain_least < 0.1  # of 0.25
    codes = stacked.encode(ring(4000, 1))
    assert float(codes.std(0).max()) > 1.5  # far from N(0, I), or there were nothing to mend


def test_a_stacks_bound_is_below_its_plain_vaes(stacked):
    held = ring(2000, 2)
    entropy = math.log(4) + 2 * (0.5 * math.log(2 * math.pi * math.e) + math.log(SPREAD))
    plain = float(stacked.first.log_prob(held, rng()).total.mean())
    found = float(stacked.log_prob(held, rng(), samples=4).total.mean())
    assert entropy - 0.02 < found < plain


def test_moments_of_a_mixture_are_recovered():
    torch.manual_seed(0)
    centres, weights = torch.tensor([[-1.5, 0.5], [1.0, -1.0]]), torch.tensor([0.3, 0.7])

    def mixture(n, seed):
        g = rng(seed)
        mode = torch.multinomial(weights, n, replacement=True, generator=g)
        return centres[mode] + 0.4 * torch.randn(n, 2, generator=g)

    vae = VAE(Space({"x": Real(shape=(2,))}), VAEConfig(latent=2), TRUNK)
    drawn = fit(vae, {"x": mixture(8000, 0)}, 250, rate=1e-2).sample(8000, None, rng())["x"]
    mean = weights @ centres
    covariance = 0.16 * torch.eye(2) + (centres - mean).T @ (weights[:, None] * (centres - mean))
    assert torch.allclose(drawn.mean(0), mean, atol=0.12)
    assert torch.allclose(drawn.T.cov(), covariance, atol=0.2)
    nearer = torch.cdist(drawn, centres).argmin(1)
    assert torch.allclose(nearer.bincount(minlength=2) / 8000, weights, atol=0.07)


# ------------------------------------------------------------ codes

WORDS = torch.tensor([(a, b, (a + b) % 3) for a, b in itertools.product(range(3), repeat=2)])
"""9 of the 27 words of three letters."""


def words(n, seed):
    return {"w": WORDS[torch.randint(len(WORDS), (n,), generator=rng(seed))]}


@pytest.fixture(scope="module")
def coded():
    torch.manual_seed(0)
    kind = stack(VAE, Diffusion, "vae", "diffusion")
    config = kind.Config.model_validate(
        {
            "vae": {"latent": 3, "latent_kind": "fsq", "levels": 4},
            "diffusion": {"steps": 12},
        }
    )
    space = Space({"w": Categorical(size=3, shape=(3,))})
    return fit(kind(space, config, TRUNK), words(4000, 0), 350, rate=1e-2)


def test_codes_reconstruct_a_discrete_distribution(coded):
    batch = words(500, 1)
    same = (coded.reconstruct(batch, rng())["w"] == batch["w"]).all(1)
    assert float(same.float().mean()) == 1
    assert len(coded.encode({"w": WORDS}).unique(dim=0)) == len(WORDS)


def test_a_stack_on_codes_draws_the_words_evenly_and_bounds_their_entropy(coded):
    def distance(family):
        """Total variation from the source."""
        drawn = family.sample(4000, None, rng())["w"]
        shares = (drawn[:, None] == WORDS).all(2).float().mean(0)
        return 0.5 * float((shares - 1 / 9).abs().sum() + 1 - shares.sum())

    assert distance(coded) < 0.12 and distance(coded.first) > 0.2
    bound = float(coded.log_prob(words(2000, 2), rng()).total.mean())
    assert math.log(9) * 0.98 < bound < math.log(9) * 1.1
