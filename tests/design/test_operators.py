"""Proposals: what is kept of a parent, and that every family has some."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gmkit.design.operators import STRETCH, operators, spans
from gmkit.families.diffusion import Diffusion
from gmkit.families.gan import GAN
from gmkit.families.vae import VAE
from gmkit.fields import Categorical, Real, Space
from gmkit.trunks import TrunkConfig

WORD = Categorical(size=6, shape=(9,), layout="sequence", end=0)
SMALL = TrunkConfig(width=16, depth=1, head_width=8)


def word(*ids: int) -> list[int]:
    return [*ids, *[0] * (9 - len(ids))]


@given(st.lists(st.lists(st.integers(1, 5), max_size=8), min_size=1, max_size=5), st.integers())
def test_a_span_is_unknown_and_the_rest_is_the_parents(parents, seed):
    value = torch.tensor([word(*ids) for ids in parents])
    rng = torch.Generator().manual_seed(seed % 2**32)
    given_, known = spans(WORD, value, rng)
    assert given_.shape == known.shape == value.shape
    WORD.check(WORD.close(given_))
    for row, ids in enumerate(parents):
        kept, mask = given_[row], known[row]
        length = int(WORD.length_of(kept[None])[0]) if bool((kept == 0).any()) else 9
        assert abs(length - len(ids)) <= STRETCH or not ids
        holes = (~mask).nonzero().flatten().tolist()
        if holes:  # one run
            assert holes == list(range(holes[0], holes[-1] + 1))
            left, right = holes[0], kept[holes[-1] + 1 :]
            assert kept[:left].tolist() == ids[:left]
            tail = [int(i) for i in right if i]
            assert tail == ids[len(ids) - len(tail) :]
        assert int(kept[-1]) == 0  # room for the end


def test_of_numbers_a_part_is_unknown():
    value = torch.randn(400, 10)
    given_, known = spans(Real(shape=(10,)), value, torch.Generator().manual_seed(0))
    assert torch.equal(given_, value)
    assert 0.1 < 1 - known.float().mean() < 0.4


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (VAE, {"fresh", "near", "between", "part"}),
        (Diffusion, {"fresh", "part"}),
        (GAN, {"fresh"}),
    ],
)
def test_what_a_family_can_do_follows_from_its_capabilities(kind, names):
    torch.manual_seed(0)
    space = Space({"w": WORD, "x": Real(shape=(2,))})
    family = kind(space, kind.Config(), SMALL).eval()
    ways = operators(family)
    assert set(ways) == names
    parents = {
        "w": torch.tensor([word(1, 2, 3), word(4, 5, 4, 3, 2), word(1, 1)]),
        "x": torch.randn(3, 2),
    }
    for propose in ways.values():
        found = propose(parents, torch.Generator().manual_seed(1))
        again = propose(parents, torch.Generator().manual_seed(1))
        assert set(found) == {"w", "x"}
        for name, value in found.items():
            assert len(value) == 3 and torch.equal(value, again[name])


def test_codes_are_not_moved():
    space = Space({"x": Real(shape=(2,))})
    family = VAE(space, VAE.Config(latent=2, latent_kind="fsq"), SMALL).eval()
    assert set(operators(family)) == {"fresh", "part"}


def test_a_family_that_looks_back_only_draws_to_the_end():
    """What would come after the part is of no use to it."""
    torch.manual_seed(0)
    family = Diffusion(Space({"w": WORD}), Diffusion.Config(block=1), SMALL).eval()
    parents = {"w": torch.tensor([word(1, 2, 3, 4, 5, 1, 2, 3)]).expand(200, -1)}
    asked = {}
    family.complete = lambda batch, known, rng: asked.update(known) or batch
    operators(family)["part"](parents, torch.Generator().manual_seed(0))
    kept = asked["w"].long()
    assert bool((kept.diff(dim=1) <= 0).all())  # known, then not
    assert len(kept.sum(1).unique()) > 4
