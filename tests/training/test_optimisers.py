"""Optimisers, their rate and state, and averaged weights."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from gmkit.config import TrainingConfig
from gmkit.training.ema import EMA, EVERY
from gmkit.training.optimisers import MUON_SCALE, Optimiser, rate_factor


class Net(nn.Module):
    """With a matrix between hidden layers, at ``body``, which Muon takes."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.input = nn.Linear(3, 8)
        self.body = nn.Sequential(nn.Linear(8, 6), nn.Linear(6, 8))
        self.output = nn.Linear(8, 1)

    def forward(self, x):
        return self.output(torch.tanh(self.body(torch.tanh(self.input(x))))) ** 2


class Wrapped(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = Net()


def go(module, optimiser, steps, start=0):
    for k in range(start, start + steps):
        x = torch.randn(16, 3, generator=torch.Generator().manual_seed(k))
        (module.net(x) - 1).square().mean().backward()
        optimiser.set_rate(rate_factor(k, k / 20, config()))
        optimiser.step()


def config(**options):
    return TrainingConfig(**{"learning_rate": 1e-2, "warmup": 3, **options})


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_restored_state_continues_to_the_bit(name):
    straight = Wrapped()
    first = Optimiser(dict(straight.named_parameters()), config(optimiser=name))
    go(straight, first, 20)

    half = Wrapped()
    second = Optimiser(dict(half.named_parameters()), config(optimiser=name))
    go(half, second, 10)
    state = {key: value.clone() for key, value in second.state().items()}
    resumed = Wrapped()
    resumed.load_state_dict(half.state_dict())
    third = Optimiser(dict(resumed.named_parameters()), config(optimiser=name))
    third.load(state)
    go(resumed, third, 10, start=10)
    for a, b in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)
    assert all(torch.equal(first.state()[key], value) for key, value in third.state().items())
    # going back to an empty state forgets the moments
    third.load({})
    assert third.state() == {"steps": 0}


def test_muon_takes_hidden_matrices_and_orthogonalises_their_updates():
    net = Wrapped()
    optimiser = Optimiser(dict(net.named_parameters()), config(optimiser="muon", weight_decay=0))
    owned = {id(p) for group in optimiser.parts[0].param_groups for p in group["params"]}
    assert owned == {id(net.net.body[0].weight), id(net.net.body[1].weight)}
    rest = [id(p) for group in optimiser.parts[1].param_groups for p in group["params"]]
    assert sorted([*owned, *rest]) == sorted(map(id, net.parameters()))
    before = net.net.body[1].weight.detach().clone()
    torch.manual_seed(1)
    for p in net.parameters():
        p.grad = torch.randn_like(p)
    optimiser.step()
    scale = MUON_SCALE * 1e-2 * math.sqrt(8 / 6)
    singular = torch.linalg.svdvals(net.net.body[1].weight.detach() - before) / scale
    assert bool((singular > 0.5).all() and (singular < 1.3).all())
    assert all(p.grad is None for p in net.parameters())


def test_only_matrices_decay():
    net = Wrapped()
    for p in net.parameters():
        p.data.fill_(1.0)
        p.grad = torch.zeros_like(p)
    Optimiser(dict(net.named_parameters()), config(weight_decay=0.5)).step()
    for p in net.parameters():
        expected = 1 - 1e-2 * 0.5 if p.dim() >= 2 else 1.0
        assert torch.allclose(p, torch.full_like(p, expected))


def test_a_player_of_hidden_matrices_alone():
    matrix = nn.Parameter(torch.randn(4, 4))
    optimiser = Optimiser({"a.body.weight": matrix}, config(optimiser="muon"))
    matrix.grad = torch.ones(4, 4)
    before = matrix.detach().clone()
    optimiser.step()
    assert not torch.equal(before, matrix)


def test_rate_rises_then_falls_to_its_floor():
    options = config(warmup=10, min_learning_rate=0.1)
    rates = [rate_factor(k, k / 100, options) for k in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == max(rates) == pytest.approx(0.1 + 0.9 * 0.5 * (1 + math.cos(0.09 * math.pi)))
    assert all(a < b for a, b in pairwise(rates[:10]))
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert rates[50] == pytest.approx(0.55) and rates[100] == pytest.approx(0.1)
    assert rate_factor(500, 1.7, options) == pytest.approx(0.1)
    assert rate_factor(0, 0.0, config(warmup=0)) == 1


def test_averages_follow_the_formula():
    net = nn.Linear(2, 2)
    ema = EMA(net, 0.8)
    expected = [p.detach().clone() for p in net.parameters()]
    for k in range(60):
        with torch.no_grad():
            for p in net.parameters():
                p.add_(torch.randn_like(p))
        ema.update(k)
        if (k + 1) % EVERY:
            continue
        decay = min(0.8, (1 + k) / (10 + k)) ** EVERY
        expected = [
            decay * e + (1 - decay) * p.detach()
            for e, p in zip(expected, net.parameters(), strict=True)
        ]
    assert all(
        torch.allclose(value, e, atol=1e-5)
        for value, e in zip(ema.state().values(), expected, strict=True)
    )
    assert list(ema.state()) == ["weight", "bias"]


def test_applied_gives_the_weights_back_even_after_an_error():
    net = nn.Linear(2, 2)
    ema = EMA(net, 0.9)
    with torch.no_grad():
        net.weight.add_(1)
    trained, average = net.weight.detach().clone(), ema.state()["weight"].clone()
    with ema.applied():
        assert torch.equal(net.weight, average)
    with pytest.raises(KeyError), ema.applied():
        raise KeyError
    assert torch.equal(net.weight, trained) and torch.equal(ema.state()["weight"], average)


def test_averages_are_restored_as_copies():
    net = nn.Linear(2, 2)
    ema, state = EMA(net, 0.9), {n: torch.full_like(p, 7) for n, p in net.named_parameters()}
    ema.load(state)
    ema.update(EVERY - 1)
    assert bool((state["weight"] == 7).all())
    assert not torch.equal(ema.state()["weight"], state["weight"])


def test_who_starts_late_soon_forgets_the_start_and_who_has_ended_converges():
    """Averages go by the steps that a parameter's player made, not by the trainer's."""
    net = nn.Linear(1, 1)
    with torch.no_grad():
        net.weight.fill_(0.0)
        net.bias.fill_(0.0)
    ema = EMA(net, 0.999, {"early": [net.weight], "late": [net.bias]})
    for k in range(200):
        with torch.no_grad():
            if k < 160:
                net.weight.fill_(float(k))
            else:
                net.bias.fill_(1.0)
        ema.update(k, {"early": min(k + 1, 160), "late": max(0, k + 1 - 160)})
    averages = ema.state()
    assert float(averages["bias"]) == pytest.approx(1.0, abs=1e-3)  # by k alone 0.86
    assert 145 < float(averages["weight"]) < 159
