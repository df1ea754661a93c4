"""Running moments of latents."""

from __future__ import annotations

import torch

from gmkit.families.standardiser import MOMENTUM, Standardiser


def drawn(n=500, seed=0):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed)) * torch.tensor(
        [3.0, 0.2]
    ) + torch.tensor([5.0, -1.0])


def test_nothing_gathered_changes_nothing():
    scaling, z = Standardiser((2,)), drawn()
    assert torch.equal(scaling(z), z) and torch.equal(scaling.inverse(z), z)
    assert float(scaling.log_volume()) == 0


def test_a_single_batch_is_standardised_by_its_own_moments():
    scaling, z = Standardiser((2,)), drawn()
    scaling.gather(z)
    scaled = scaling(z)
    assert torch.allclose(scaled.mean(0), torch.zeros(2), atol=1e-3)
    assert torch.allclose(scaled.std(0), torch.ones(2), atol=5e-3)
    assert torch.allclose(scaling.inverse(scaled), z, atol=1e-4)
    assert torch.allclose(scaling.log_volume(), z.std(0).log().sum(), atol=1e-2)


def test_moments_are_weighted_means_without_the_start():
    scaling, mean, square, weight = Standardiser((2,)), 0.0, 0.0, 0.0
    for seed in range(30):
        z = drawn(50, seed) + seed
        scaling.gather(z)
        mean = MOMENTUM * mean + (1 - MOMENTUM) * z.mean(0)
        square = MOMENTUM * square + (1 - MOMENTUM) * (z**2).mean(0)
        weight = MOMENTUM * weight + (1 - MOMENTUM)
    exact = mean / weight
    assert torch.allclose(scaling.moments()[0], exact, rtol=1e-3)
    assert torch.allclose(scaling.moments()[1], (square / weight - exact**2).sqrt(), rtol=1e-2)


def test_only_first_and_only_finite_ones_are_taken_in():
    scaling = Standardiser((2,))
    scaling.gather(torch.full((4, 2), torch.nan))
    assert float(scaling.weight) == 0
    scaling.gather(drawn(), only_first=True)
    before = {name: value.clone() for name, value in scaling.state_dict().items()}
    scaling.gather(drawn() + 7, only_first=True)
    scaling.gather(torch.full((4, 2), torch.inf))
    assert all(torch.equal(before[name], v) for name, v in scaling.state_dict().items())
    scaling.gather(drawn() + 7)
    assert not torch.equal(before["mean"], scaling.mean)


def test_constant_latents_do_not_blow_up():
    scaling = Standardiser((2,))
    scaling.gather(torch.ones(10, 2))
    assert bool(scaling(torch.ones(3, 2) + 1e-4).isfinite().all())
