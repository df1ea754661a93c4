"""The Transformer over columns, and how a trunk and its size are chosen."""

from __future__ import annotations

import pytest
import torch

from gmkit.errors import ConfigError, PluginError
from gmkit.fields import Categorical, Real, Space
from gmkit.training.resolve import resolve
from gmkit.trunks import TrunkConfig, build_trunk
from gmkit.trunks.columns import ColumnTrunk

TABLE = Space({f"c{k}": Categorical(size=3) for k in range(5)})


def test_columns_have_no_order(build):
    """The same fields declared the other way round, with the same weights: the same vector."""
    roles, awake = build
    space = Space({"a": Real(), "b": Real()})
    turned = Space({"b": Real(), "a": Real()})
    encoder = awake(roles(space, flat="columns").encoder(4))
    other = awake(roles(turned, flat="columns").encoder(4))
    state = encoder.state_dict()
    swapped = {
        name.replace("inputs.0", "inputs.?").replace("inputs.1", "inputs.0").replace("?", "1"): v
        for name, v in state.items()
    }
    swapped["input.names"] = state["input.names"].flip(0)
    other.load_state_dict(swapped)
    batch = {"a": torch.randn(6), "b": torch.randn(6)}
    assert torch.allclose(encoder(batch), other(batch), atol=1e-6)


def test_a_column_that_depends_on_the_product_of_two_is_learned():
    """What one token per column is for: a sign that only two columns together decide."""
    torch.manual_seed(0)
    space = Space({"a": Categorical(size=2), "b": Categorical(size=2), "c": Categorical(size=2)})
    rng = torch.Generator().manual_seed(0)
    a, b = (torch.randint(2, (512,), generator=rng) for _ in range(2))
    denoiser = build_trunk(
        space, TrunkConfig(width=32, depth=2, head_width=8, flat="columns")
    ).denoiser()
    optimiser = torch.optim.Adam(denoiser.parameters(), 3e-3)
    noisy = {"a": a, "b": b, "c": torch.full((512,), 2)}  # masked
    for _ in range(150):
        params = denoiser(noisy, torch.ones(512), {})
        loss = torch.nn.functional.cross_entropy(params["c"], a ^ b)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.05


def test_the_trunk_of_flat_data_is_chosen_by_name():
    assert isinstance(build_trunk(TABLE, TrunkConfig(flat="columns")), ColumnTrunk)
    assert not isinstance(build_trunk(TABLE, TrunkConfig()), ColumnTrunk)
    with pytest.raises(PluginError, match="colums"):
        build_trunk(TABLE, TrunkConfig(flat="colums"))
    picture = Space({"p": Real(shape=(1, 8, 8), layout="grid2d")})
    assert not isinstance(build_trunk(picture, TrunkConfig(flat="columns")), ColumnTrunk)
    with pytest.raises(ConfigError, match="grid2d"):
        ColumnTrunk(picture, TrunkConfig())


@pytest.mark.parametrize(
    ("records", "width"), [(100, 128), (20_000, 128), (20_001, 256), (3_000_000, 512)]
)
def test_the_size_follows_the_number_of_records(records, width):
    assert TrunkConfig().settled(records).channels == width
    assert TrunkConfig(size="small").settled(records).channels == 256
    assert TrunkConfig(width=64).settled(records).channels == 64


def test_a_size_asked_for_puts_the_domains_measures_aside():
    asked = resolve({"domain": "molecules", "trunk": {"size": "base"}}).trunk_config
    assert (asked.channels, asked.blocks) == (512, 8)
    both = resolve({"domain": "molecules", "trunk": {"size": "base", "depth": 2}}).trunk_config
    assert (both.channels, both.blocks) == (512, 2)
    suited = resolve({"domain": "molecules"})
    assert suited.settled(10).trunk_config.channels == suited.trunk_config.channels == 128
    assert suited.settled(10).config.trunk["size"] == "tiny"
