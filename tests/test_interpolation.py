"""Ways through a latent."""

from __future__ import annotations

import math

import pytest
import torch

from gmkit.errors import ConfigError
from gmkit.families.gan import GAN
from gmkit.families.vae import VAE
from gmkit.fields import Categorical, Real, Space
from gmkit.interpolation import between, latent_path
from gmkit.trunks import TrunkConfig

SMALL = TrunkConfig(width=16, depth=1)


def test_the_way_goes_along_the_great_circle():
    a, b = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 1.0])
    path = latent_path(a, b, 5)
    assert torch.allclose(path[0], a) and torch.allclose(path[-1], b, atol=1e-6)
    angles = torch.atan2(path[:, 1], path[:, 0])
    assert torch.allclose(angles, torch.linspace(0, math.pi / 2, 5), atol=1e-6)
    assert torch.allclose(path.norm(dim=1), torch.linspace(3, 1, 5), atol=1e-6)


@pytest.mark.parametrize("b", [[1.0, 2.0], [-1.0, -2.0], [2.0, 4.0], [0.0, 0.0]])
def test_where_no_circle_joins_the_ends_the_way_is_straight_and_finite(b):
    a, end = torch.tensor([1.0, 2.0]), torch.tensor(b)
    path = latent_path(a, end, 3)
    assert torch.isfinite(path).all()
    assert torch.allclose(path[0], a) and torch.allclose(path[-1], end, atol=1e-6)


def test_codes_stay_codes():
    path = latent_path(torch.tensor([0, 7, 3]), torch.tensor([4, 0, 3]), 5)
    assert path.dtype == torch.int64
    assert path[0].tolist() == [0, 7, 3] and path[-1].tolist() == [4, 0, 3]
    assert path[:, 0].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("kind", ["gaussian", "fsq"])
def test_the_ends_are_the_reconstructions_and_conditions_those_of_the_nearer_end(kind):
    torch.manual_seed(0)
    space = Space({"x": Real(shape=(3,))}, Space({"c": Categorical(size=4)}))
    family = VAE(space, VAE.Config(latent=4, latent_kind=kind), SMALL).eval()
    ends = {"x": torch.randn(2, 3), "c": torch.tensor([1, 3])}
    rng = torch.Generator().manual_seed(0)
    found = between(family, ends, 4, rng)
    back = family.reconstruct(ends, rng)
    assert torch.allclose(found["x"][[0, -1]], back["x"], atol=1e-5)
    assert found["c"].tolist() == [1, 1, 3, 3]


def test_refused():
    space = Space({"x": Real(shape=(2,))})
    ends = {"x": torch.zeros(2, 2)}
    rng = torch.Generator()
    with pytest.raises(ConfigError, match="no latent"):
        between(GAN(space, GAN.Config(), SMALL), ends, 3, rng)
    with pytest.raises(ConfigError, match="1 steps"):
        between(VAE(space, VAE.Config(), SMALL), ends, 1, rng)
