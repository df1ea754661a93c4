"""Spaces and networks that tests of the trunks share."""

from __future__ import annotations

import pytest
import torch

from gmkit.fields import Categorical, Real, Space
from gmkit.trunks import TrunkConfig, build_trunk

WORD = Categorical(size=5, shape=(8,), layout="sequence", end=0)
SPACES = {
    "flat": Space({"x": Real(shape=(3,)), "k": Categorical(size=4)}),
    "flat-conditioned": Space({"x": Real(shape=(2, 2))}, Space({"c": Categorical(size=3)})),
    "columns": Space({"x": Real(shape=(3,)), "k": Categorical(size=4), "y": Real()}),
    "columns-conditioned": Space(
        {"x": Real(), "k": Categorical(size=4)}, Space({"c": Categorical(size=3)})
    ),
    "word": Space({"word": WORD}),
    "word-conditioned": Space({"word": WORD}, Space({"c": Categorical(size=3), "hint": WORD})),
    "word-and-flat": Space(
        # names that a torch module could not bear
        {"type": WORD, "age.present": Categorical(size=2), "x": Real(shape=(3,))},
        Space({"c": Real()}),
    ),
    "two-words": Space({"a": WORD, "b": Categorical(size=3, shape=(8,), layout="sequence", end=2)}),
    "word-and-signal": Space({"a": WORD, "x": Real(shape=(8,), layout="sequence")}),
    "endless": Space({"a": Categorical(size=4, shape=(8,), layout="sequence")}),
    "picture": Space({"pixels": Real(shape=(3, 7, 9), layout="grid2d")}),
    "picture-and-flat": Space(
        {
            "age.present": Categorical(size=2),
            "pixels": Real(shape=(1, 17, 16), layout="grid2d"),
            "type": Categorical(size=3, shape=(2, 17, 16), layout="grid2d"),
        },
        Space({"c": Categorical(size=3)}),
    ),
    "grey-levels": Space({"pixels": Categorical(size=40, shape=(1, 5, 6), layout="grid2d")}),
    "sound": Space({"wave": Real(shape=(2, 70), layout="grid1d")}, Space({"c": Real()})),
}


def records(space, rows=6, seed=0, trim=True):
    """Random well-formed records and conditions."""
    rng = torch.Generator().manual_seed(seed)
    every = {**space.fields, **(space.condition.fields if space.condition else {})}
    batch = {}
    for name, f in every.items():
        if isinstance(f, Categorical):
            value = f.close(torch.randint(0, f.size, (rows, *f.shape), generator=rng))
        else:
            value = torch.randn(rows, *f.shape, generator=rng)
        batch[name] = value
    space.check(batch)
    return space.trim(batch) if trim else batch


def awake(module, seed=0, scale=0.3):
    """``module`` with no weight at zero: blocks start as the identity, which would hide faults."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=rng))
    return module.eval()


def roles(space, **options):
    """A trunk, small enough to test."""
    torch.manual_seed(0)
    if any(space is SPACES[name] for name in SPACES if name.startswith("columns")):
        options = {"flat": "columns", **options}
    return build_trunk(space, TrunkConfig(width=32, depth=2, head_width=8, **options))


def networks(space, **options):
    """An awake encoder to 4 and decoder from 4 numbers."""
    trunk = roles(space, **options)
    return awake(trunk.encoder(4), 1), awake(trunk.decoder(4), 2)


@pytest.fixture(params=SPACES)
def space(request):
    return SPACES[request.param]


@pytest.fixture
def build():
    """(roles, awake): a trunk, and what wakes one of its networks."""
    return roles, awake


@pytest.fixture
def make():
    """(spaces, records, networks): how tests make what they need."""
    return SPACES, records, networks
