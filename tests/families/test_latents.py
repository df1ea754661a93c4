"""Latents: Gaussian against torch's distributions, FSQ against counting."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from gmkit.families import Step
from gmkit.families.latents import FSQLatent, GaussianLatent, gaussian_kl, latent_name
from gmkit.families.vae import VAE, VAEConfig
from gmkit.fields import Categorical, Real, Space
from gmkit.trunks import TrunkConfig

CPU = torch.device("cpu")


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_gaussian_draws_have_the_densities_of_torch():
    latent, head = GaussianLatent(3), torch.randn(50, 6, generator=rng())
    mean, log_scale = latent.split(head)
    posterior, prior = Normal(mean, log_scale.exp()), Normal(0.0, 1.0)
    drawn = latent.draw(head, rng(1))
    assert torch.equal(drawn.value, drawn.read)
    assert torch.allclose(drawn.log_posterior, posterior.log_prob(drawn.value).sum(1), atol=1e-4)
    assert torch.allclose(drawn.log_prior, prior.log_prob(drawn.value).sum(1), atol=1e-4)
    assert torch.allclose(drawn.kl, kl_divergence(posterior, prior), atol=1e-5)
    assert torch.equal(drawn.kl, gaussian_kl(mean, log_scale))
    many = torch.stack([latent.draw(head, rng(k)).value for k in range(400)])
    assert torch.allclose(many.mean(0), mean, atol=6 * float(log_scale.exp().max()) / 20)
    assert torch.equal(latent.settle(head), mean)
    latent.field().check(drawn.value)


@pytest.mark.parametrize("levels", [2, 3, 8])
def test_fsq_reaches_every_level_symmetrically(levels):
    latent = FSQLatent(1, levels)
    head = torch.linspace(-9, 9, 4001)[:, None]
    codes = latent.settle(head)
    latent.field().check(codes)
    assert codes.unique().tolist() == list(range(levels))
    assert bool((codes.diff(dim=0) >= 0).all())
    middle = head.abs() > 0.01  # the very middle is a boundary of even numbers of levels
    assert torch.equal((levels - 1 - codes.flip(0))[middle], codes[middle])
    read = latent.read(codes)
    assert read.unique().tolist() == pytest.approx(torch.linspace(-1, 1, levels).tolist())
    assert float((read - torch.tanh(head)).abs().max()) <= 1 / (levels - 1) + 1e-5


def test_fsq_passes_the_gradient_straight_through():
    latent = FSQLatent(2, 5)
    head = torch.randn(40, 2, generator=rng()).requires_grad_(True)
    drawn = latent.draw(head, rng())
    assert torch.allclose(drawn.read, latent.read(drawn.value), atol=1e-6)
    drawn.read.sum().backward()
    assert torch.allclose(head.grad, 1 - torch.tanh(head.detach()) ** 2, atol=1e-6)


def test_fsq_draws_nothing_and_costs_the_code():
    latent, head, before = FSQLatent(4, 6), torch.randn(30, 4, generator=rng()), rng(3)
    drawn = latent.draw(head, before)
    assert torch.equal(before.get_state(), rng(3).get_state())
    assert torch.equal(drawn.value, latent.settle(head))
    assert torch.equal(drawn.log_posterior, torch.zeros(30))
    assert torch.allclose(drawn.log_prior, torch.full((30,), -4 * math.log(6)))
    assert torch.allclose(drawn.kl, torch.full((30, 4), math.log(6)))


def test_priors():
    codes = FSQLatent(2, 4).prior(20_000, rng(), CPU)
    assert codes.dtype == torch.int64
    assert torch.allclose(codes.flatten().bincount() / 40_000, torch.full((4,), 0.25), atol=0.015)
    normal = GaussianLatent(2).prior(20_000, rng(), CPU)
    assert torch.allclose(normal.T.cov(), torch.eye(2), atol=0.05)


def test_a_name_kept_apart():
    assert [latent_name(t) for t in ((), {"latent"}, {"latent", "latent_"})] == [
        "latent",
        "latent_",
        "latent__",
    ]


# ------------------------------------------------------------ in a VAE


@pytest.fixture
def coded():
    torch.manual_seed(0)
    space = Space({"x": Real(shape=(3,)), "k": Categorical(size=4)})
    config = VAEConfig(latent=3, latent_kind="fsq", levels=5)
    return VAE(space, config, TrunkConfig(width=16, depth=1))


def records(n=60):
    x = torch.randn(n, 3, generator=rng())
    return {"x": x, "k": torch.randint(4, (n,), generator=rng(1))}


def test_fsq_bound_is_plain(coded):
    """− log p(x) ≤ − log p(x|z) + D log L, whatever the samples."""
    batch = records()
    one, many = coded.log_prob(batch, rng()), coded.log_prob(batch, rng(1), samples=7)
    assert torch.allclose(one.total, many.total, atol=1e-5)
    assert torch.allclose(one.fields["latent"], torch.tensor(3 * math.log(5)), atol=1e-5)
    nll = coded.nll_given(coded.encode(batch), batch)
    assert torch.allclose(sum(nll.values()) + 3 * math.log(5), one.total, atol=1e-5)
    with torch.no_grad():
        terms = coded.losses(batch, Step(0, 1.0, rng()))
    assert float(terms["loss"]) == pytest.approx(float(one.total.mean()), rel=1e-5)


def test_fsq_codes_pass_through_encode_and_decode(coded):
    batch = records()
    codes = coded.encode(batch)
    coded.latent_field().check(codes)
    assert coded.latent_field() == Categorical(size=5, shape=(3,))
    decoded = coded.decode(codes, None, rng(), 0.0)
    coded.space.check(decoded)
    assert torch.equal(decoded["x"], coded.reconstruct(batch, rng(5))["x"])
    drawn, log_posterior = coded.infer(batch, rng())
    assert torch.equal(drawn, codes) and float(log_posterior.abs().max()) == 0


def test_gaussian_latents_pass_through_encode_and_decode():
    torch.manual_seed(0)
    vae = VAE(Space({"x": Real(shape=(3,))}), VAEConfig(latent=2), TrunkConfig(width=16, depth=1))
    batch = {"x": torch.randn(60, 3, generator=rng())}
    assert vae.latent_field() == Real(shape=(2,))
    z, log_posterior = vae.infer(batch, rng(4))
    mean, log_scale = vae.latent.split(vae.encoder(batch))
    exact = Normal(mean, log_scale.exp()).log_prob(z).sum(1)
    assert torch.allclose(log_posterior, exact, atol=1e-4)
    assert torch.allclose(vae.encode(batch), mean)
    # the pieces make up the bound that log_prob draws with the same numbers
    nll = vae.nll_given(z, batch)["x"]
    total = nll + log_posterior - Normal(0.0, 1.0).log_prob(z).sum(1)
    assert torch.allclose(total, vae.log_prob(batch, rng(4)).total, atol=1e-4)


def test_posterior_densities_are_those_of_the_draws():
    latent, head = GaussianLatent(3), torch.randn(20, 6, generator=rng())
    drawn = latent.draw(head, rng(1))
    near = latent.log_posterior(head, drawn.value)
    assert near.shape == (20, 20)
    torch.testing.assert_close(near.diagonal(), drawn.log_posterior, rtol=1e-4, atol=1e-4)
    mean, log_scale = latent.split(head)
    other = Normal(mean[7], log_scale[7].exp()).log_prob(drawn.value[2]).sum()
    torch.testing.assert_close(near[2, 7], other, rtol=1e-4, atol=1e-4)
    codes, head = FSQLatent(2, 3), torch.tensor([[9.0, -9.0], [9.0, 9.0], [9.0, -9.0]])
    same = codes.log_posterior(head, codes.settle(head)) == 0
    assert same.tolist() == [[True, False, True], [False, True, False], [True, False, True]]


class _Told(torch.nn.Module):
    """An encoder whose head is the record itself."""

    def forward(self, batch):
        return batch["x"]


@pytest.mark.parametrize(
    ("apart", "kl", "information"), [(0.0, 0.0, 0.0), (200.0, None, math.log(50))]
)
def test_figures_tell_whether_a_latent_is_used(apart, kl, information):
    """Posteriors all alike tell nothing; far apart they tell which of the records it was."""
    space = Space({"x": Real(shape=(2,))})
    vae = VAE(space, VAEConfig(latent=1), TrunkConfig(width=16, depth=1))
    vae.encoder = _Told()
    means = apart * torch.arange(50.0)
    batches = [{"x": torch.stack((part, torch.zeros_like(part)), 1)} for part in means.split(20)]
    found = vae.figures(batches, rng())
    assert found["mutual information (nats)"][0] == pytest.approx(information, abs=1e-3)
    if kl is not None:
        assert found["KL (nats)"][0] == pytest.approx(kl, abs=1e-6)
    else:
        assert found["KL (nats)"][0] == pytest.approx(float(0.5 * (means**2).mean()), rel=1e-4)
