"""Counter-based randomness."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from gmkit.randomness import derive, generator

DERIVED = 231383131325738176


def test_seeds_stay_what_they_are():
    """A changed derivation would silently break every resumed run."""
    assert derive(0, "step", 12) == DERIVED
    assert generator(0, "step", 12).initial_seed() == DERIVED


@given(st.integers(0, 2**63 - 1), st.sampled_from(["step", "epoch"]), st.integers(0, 10**9))
def test_seeds_are_in_range_and_apart(seed, purpose, counter):
    found = derive(seed, purpose, counter)
    assert 0 <= found < 2**63
    others = {
        derive(seed, purpose, counter + 1),
        derive(seed + 1, purpose, counter),
        derive(seed, "valid", counter),
        derive(seed, purpose),
    }
    assert found not in others and len(others) == 4


def test_generators_do_not_depend_on_order_or_global_state():
    first = torch.rand(3, generator=generator(1, "step", 5))
    torch.rand(7)
    torch.rand(2, generator=generator(1, "step", 4))
    assert torch.equal(first, torch.rand(3, generator=generator(1, "step", 5)))
    assert not torch.equal(first, torch.rand(3, generator=generator(1, "step", 6)))
