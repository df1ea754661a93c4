"""Promises that generators, critics and denoisers of every trunk keep."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from gmkit.fields import Process

PROCESS = Process()


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def noised(space, batch, seed=0):
    times = torch.rand(len(next(iter(batch.values()))), generator=rng(seed))
    return {**batch, **space.corrupt(batch, times, rng(seed), PROCESS)}, times


def conditions(space):
    return dict(space.condition.fields) if space.condition else {}


def altered(space, batch):
    """``batch`` with every condition another one."""
    return {
        **batch,
        **{
            name: (batch[name] + 1) % f.size if hasattr(f, "size") else batch[name] + 1
            for name, f in conditions(space).items()
        },
    }


def idle(network):
    return [
        name
        for name, p in network.named_parameters()
        if p.grad is None or not bool(p.grad.abs().sum() > 0)
    ]


def close(first, second):
    return all(torch.allclose(first[n], second[n], atol=1e-4, rtol=1e-4) for n in first)


def differ(first, second):
    return all(not torch.allclose(first[n], second[n], atol=1e-5) for n in first)


@pytest.fixture
def generator(space, build):
    roles, awake = build
    return awake(roles(space).generator(4), 3)


@pytest.fixture
def critic(space, build):
    roles, awake = build
    return awake(roles(space).critic(5), 4)


@pytest.fixture
def denoiser(space, build):
    roles, awake = build
    return awake(roles(space).denoiser(), 5)


# ------------------------------------------------------------ generator and critic


def test_a_generator_answers_for_every_element_at_full_length(space, generator, make):
    _, records, _ = make
    latent = torch.randn(6, 4, generator=rng())
    params = generator(latent, records(space))
    assert list(params) == list(space.names)
    for name, f in space.fields.items():
        assert params[name].shape == (6, *f.shape, f.param_dim)
    space.check({**records(space), **space.settle(space.relax(params, rng()))})


def test_a_generator_follows_latent_and_condition_and_no_neighbour(space, generator, make):
    _, records, _ = make
    batch = records(space)
    latent = torch.randn(6, 4, generator=rng())
    params = generator(latent, batch)
    assert differ(params, generator(latent + 1, batch))
    assert not conditions(space) or differ(params, generator(latent, altered(space, batch)))
    for row in range(3):
        part = slice(row, row + 1)
        alone = generator(latent[part], {name: value[part] for name, value in batch.items()})
        assert close(alone, {name: value[part] for name, value in params.items()})


def test_a_critic_sees_every_field_and_no_neighbour(space, critic, make):
    _, records, _ = make
    embedded = space.embed(records(space, trim=False))
    found = critic(embedded)
    assert found.shape == (6, 5)
    for name in space.names:
        assert not torch.allclose(critic({**embedded, name: embedded[name] + 1}), found, atol=1e-4)
    for row in range(3):
        alone = critic({name: value[row : row + 1] for name, value in embedded.items()})
        assert torch.allclose(alone, found[row : row + 1], atol=1e-4, rtol=1e-4)


def test_every_weight_of_both_players_learns_through_the_critic(space, generator, critic, make):
    _, records, _ = make
    batch = records(space, rows=16)
    params = generator(torch.randn(16, 4, generator=rng()), batch)
    critic(space.relax(params, rng())).square().sum().backward()
    assert not idle(critic)
    # of a real value a critic sees the location alone, whose scale no generator is asked for
    for name, kind in space.fields.items():
        assert kind.kind == "real" or params[name].requires_grad
    assert not [name for name in idle(generator) if "output" not in name and "heads" not in name]


def test_a_critic_bears_spectral_norms(space, critic, make):
    _, records, _ = make
    linear = [m for m in critic.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    for layer in linear:
        spectral_norm(layer)
    critic.train()
    critic(space.embed(records(space, trim=False))).sum().backward()
    assert not idle(critic)
    for layer in linear:
        assert float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) < 3


def test_a_fresh_pair_of_players_is_neither_still_nor_wild(space, build):
    roles, _ = build
    trunk = roles(space)
    generator, critic = trunk.generator(4), trunk.critic(5)
    batch = {name: f.prior(64, rng(), PROCESS) for name, f in conditions(space).items()}
    params = generator(torch.randn(64, 4, generator=rng()), batch)
    for value in params.values():
        assert 0.01 < float(value.detach().std()) < 3
    assert 0.005 < float(critic(space.relax(params, rng())).detach().std()) < 10


# ------------------------------------------------------------ denoiser


def test_a_denoiser_answers_for_every_element(space, denoiser, make):
    _, records, _ = make
    batch = records(space)  # sequences trimmed
    noisy, times = noised(space, batch)
    params = denoiser(noisy, times, batch)
    assert list(params) == list(space.names)
    for name, f in space.fields.items():
        assert params[name].shape == (*batch[name].shape, f.param_dim)


def test_every_weight_of_a_denoiser_learns(space, denoiser, make):
    _, records, _ = make
    batch = records(space, rows=16)
    noisy, times = noised(space, batch)
    params = denoiser(noisy, times, batch, torch.arange(16) % 2 == 0)
    torch.stack([value.square().sum() for value in params.values()]).sum().backward()
    assert not idle(denoiser)


def test_a_denoiser_sees_time_record_and_condition_and_no_neighbour(space, denoiser, make):
    _, records, _ = make
    batch = records(space, trim=False)
    noisy, times = noised(space, batch)
    params = denoiser(noisy, times, batch)
    assert differ(params, denoiser(noisy, 1 - 0.5 * times, batch))
    for name, f in space.fields.items():
        moved = (batch[name] + 1) % f.size if hasattr(f, "size") else noisy[name] + 1
        assert differ(params, denoiser({**noisy, name: moved}, times, batch))
    for row in range(3):
        part = slice(row, row + 1)
        alone = {name: value[part] for name, value in noisy.items()}
        found = denoiser(alone, times[part], {name: value[part] for name, value in batch.items()})
        assert close(found, {name: value[part] for name, value in params.items()})


def test_a_withheld_condition_leaves_no_trace(space, denoiser, make):
    _, records, _ = make
    batch = records(space)
    noisy, times = noised(space, batch)
    none, half = torch.zeros(6, dtype=torch.bool), torch.arange(6) < 3
    given, other = (
        denoiser(noisy, times, condition, half) for condition in (batch, altered(space, batch))
    )
    assert close({n: v[:3] for n, v in given.items()}, {n: v[:3] for n, v in other.items()})
    kept = denoiser(noisy, times, batch, none)
    assert close(kept, denoiser(noisy, times, batch))
    assert close({n: v[3:] for n, v in kept.items()}, {n: v[3:] for n, v in given.items()})
    if conditions(space):
        assert differ({n: v[3:] for n, v in given.items()}, {n: v[3:] for n, v in other.items()})
        assert differ({n: v[:3] for n, v in given.items()}, {n: v[:3] for n, v in kept.items()})


@pytest.mark.parametrize(
    "space", ["word", "word-conditioned", "word-and-flat", "two-words"], indirect=True
)
def test_what_follows_an_end_does_not_change_the_answers_before_it(space, denoiser, make):
    """Padding that is noised apart, or cut away."""
    _, records, _ = make
    whole = records(space, trim=False)
    observed = space.observed(whole)
    times = torch.rand(6, generator=rng())
    first, cut = denoiser(whole, times, whole), space.trim(whole)
    second = denoiser(cut, times, cut)
    for name, mask in observed.items():
        value = first[name][:, : second[name].shape[1]] if mask is not None else first[name]
        assert torch.allclose(value, second[name], atol=1e-4, rtol=1e-4)


def test_fitting_makes_a_denoiser_better(space, build, make):
    """On the same few records: well below the loss that it begins with."""
    _, records, _ = make
    roles, _ = build
    denoiser = roles(space).denoiser()
    batch = records(space, rows=16)
    noisy, times = noised(space, batch)
    optimiser = torch.optim.Adam(denoiser.parameters(), lr=5e-3)
    losses = []
    for _ in range(25):
        terms = space.denoise_loss(
            denoiser(noisy, times, batch), batch, noisy, times, Process(objective="data")
        )
        loss = torch.stack(list(terms.values())).sum(0).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.75 * losses[0]
