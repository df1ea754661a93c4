"""The VAE on each likelihood that a real field can have."""

from __future__ import annotations

import math

import pytest
import torch

from gmkit.families import Step
from gmkit.families.vae import VAE, VAEConfig
from gmkit.fields import Real, Space
from gmkit.trunks import TrunkConfig

BINS = 5
FIELDS = {
    "gaussian": Real(shape=(3,)),
    "logistic": Real(shape=(3,), likelihood="logistic", bounds=(-1, 1), bins=BINS),
    "bernoulli": Real(shape=(3,), likelihood="bernoulli", bounds=(0, 1)),
}


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def source(kind, n, seed=0):
    """Three elements that go together, as numbers of the field's kind."""
    g = rng(seed)
    joint = torch.randn(n, 1, generator=g).expand(n, 3) + 0.3 * torch.randn(n, 3, generator=g)
    if kind == "bernoulli":
        return (joint > 0.5).float()
    if kind == "logistic":
        return ((joint.clamp(-2, 2) + 2) / 4 * (BINS - 1)).round() * 2 / (BINS - 1) - 1
    return joint


@pytest.fixture(params=FIELDS, scope="module")
def fitted(request):
    """(kind, VAE, its bound before and after training)."""
    torch.manual_seed(0)
    vae = VAE(
        Space({"x": FIELDS[request.param]}),
        VAEConfig(latent=1, warmup=0.2),
        TrunkConfig(width=32, depth=1),
    )
    data, held = source(request.param, 4000), {"x": source(request.param, 1000, 1)}
    bounds = [vae.log_prob(held, rng(), 4).total]
    optimiser = torch.optim.AdamW(vae.parameters(), 1e-2)
    for k in range(100):
        batch = {"x": data[torch.randint(4000, (128,), generator=rng(k))]}
        vae.zero_grad()
        vae.losses(batch, Step(k, k / 100, rng(k)))["loss"].backward()
        optimiser.step()
        for group in optimiser.param_groups:
            group["lr"] = 1e-2 * (1 - k / 100)
    bounds.append(vae.eval().log_prob(held, rng(), 4).total)
    return request.param, vae, bounds


def test_the_bound_is_finite_and_falls_below_what_needs_no_latent(fitted):
    """To less than the elements cost by themselves: they go together."""
    kind, _, (before, after) = fitted
    assert before.isfinite().all() and after.isfinite().all()
    assert float(after.mean()) < float(before.mean())
    x = source(kind, 1000, 1)
    if kind == "gaussian":
        alone = 3 * (0.5 * math.log(2 * math.pi * math.e) + math.log(float(x.std())))
    else:
        share = torch.unique(x, return_counts=True)[1] / x.numel()
        alone = -3 * float((share * share.log()).sum())
    assert float(after.mean()) < 0.95 * alone


def test_samples_have_the_mean_of_the_source(fitted):
    kind, vae, _ = fitted
    drawn = vae.sample(4000, None, rng())["x"]
    data = source(kind, 4000)
    assert torch.allclose(drawn.mean(0), data.mean(0), atol=0.12)
    if kind != "gaussian":
        assert set(drawn.unique().tolist()) <= set(data.unique().tolist())


def test_masses_of_all_values_sum_to_one(fitted):
    kind, vae, _ = fitted
    if kind == "gaussian":
        pytest.skip("a density")
    field = vae.space.fields["x"]
    low, high = field.bounds
    values = torch.linspace(low, high, BINS if kind == "logistic" else 2)
    params = vae.decoder(torch.randn(20, 1, generator=rng()), {})["x"]
    masses = [torch.exp(-field.nll(params, torch.full((20, 3), float(v)))) for v in values]
    assert torch.allclose(torch.stack(masses).sum(0), torch.ones(20, 3), atol=1e-5)


def test_a_bernoulli_draw_at_temperature_zero_is_its_mean():
    torch.manual_seed(0)
    vae = VAE(
        Space({"x": FIELDS["bernoulli"]}), VAEConfig(latent=1), TrunkConfig(width=16, depth=1)
    ).eval()
    z = torch.randn(1, 1, generator=rng()).expand(20_000, 1)
    mean = vae.decode(z[:1], None, rng(), 0.0)["x"][0]
    assert torch.allclose(vae.decode(z, None, rng())["x"].mean(0), mean, atol=0.02)
