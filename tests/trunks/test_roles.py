"""Promises that the roles of every trunk keep, on flat, sequential and mixed spaces."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from gmkit.trunks import TrunkConfig
from gmkit.trunks.transformer import head_count


def test_shapes(space, make):
    _, records, networks = make
    encoder, decoder = networks(space)
    batch = records(space)
    vectors = encoder(batch)
    assert vectors.shape == (6, 4)
    params = decoder(vectors, batch)
    assert list(params) == list(space.names)
    for name, f in space.fields.items():
        assert params[name].shape == (*batch[name].shape, f.param_dim)


def test_every_weight_learns(space, make):
    _, records, networks = make
    encoder, decoder = networks(space)
    batch = records(space, rows=16)
    nll = space.nll(decoder(encoder(batch), batch), batch)
    torch.stack(list(nll.values())).sum().backward()
    idle = [
        name
        for role in (encoder, decoder)
        for name, p in role.named_parameters()
        if p.grad is None or not bool(p.grad.abs().sum() > 0)
    ]
    assert not idle


def test_records_do_not_see_their_neighbours(space, make):
    """Alone, beside others, trimmed or padded: the same vector and the same likelihood."""
    _, records, networks = make
    encoder, decoder = networks(space)
    padded = records(space, trim=False)
    batch = space.trim(padded)
    vectors = encoder(batch)
    nll = space.nll(decoder(vectors, batch), batch)
    assert torch.allclose(encoder(padded), vectors, atol=1e-5)
    wide = space.nll(decoder(vectors, padded), padded)
    for name in space.names:
        assert torch.allclose(wide[name], nll[name], atol=1e-4, rtol=1e-4)
    for row in range(6):
        alone = space.trim({name: value[row : row + 1] for name, value in padded.items()})
        vector = encoder(alone)
        assert torch.allclose(vector, vectors[row : row + 1], atol=1e-5)
        lone = space.nll(decoder(vector, alone), alone)
        for name in space.names:
            assert torch.allclose(lone[name], nll[name][row : row + 1], atol=1e-4, rtol=1e-4)


def test_the_latent_and_each_condition_matter(space, make):
    _, records, networks = make
    encoder, decoder = networks(space)
    batch = records(space, trim=False)
    latent = torch.randn(6, 4, generator=torch.Generator().manual_seed(5))
    params = decoder(latent, batch)
    moved = decoder(latent + 1, batch)
    assert all(not torch.allclose(params[n], moved[n]) for n in space.names)
    for name, f in (space.condition.fields if space.condition else {}).items():
        other = {
            **batch,
            name: (batch[name] + 1) % f.size if hasattr(f, "size") else batch[name] + 1,
        }
        changed = decoder(latent, other)
        assert all(not torch.allclose(params[n], changed[n]) for n in space.names)
        assert not torch.allclose(encoder(other), encoder(batch))


def test_generated_records_are_well_formed_and_follow_the_seed(space, make):
    _, records, networks = make
    _, decoder = networks(space)
    batch = records(space, rows=40, trim=False)
    latent = torch.randn(40, 4, generator=torch.Generator().manual_seed(3))

    def drawn(seed):
        return decoder.generate(latent, batch, torch.Generator().manual_seed(seed))

    first = drawn(0)
    assert list(first) == list(space.names)
    space.check({**batch, **first})
    assert all(torch.equal(first[n], value) for n, value in drawn(0).items())
    assert any(not torch.equal(first[n], value) for n, value in drawn(1).items())


@pytest.mark.parametrize("trim", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.8, 1.0])
def test_known_elements_are_kept_exactly(space, make, share, trim):
    _, records, networks = make
    _, decoder = networks(space)
    batch = records(space, rows=60, trim=trim)
    rng = torch.Generator().manual_seed(1)
    known = {n: torch.rand(batch[n].shape, generator=rng) < share for n in space.names}
    latent = torch.randn(60, 4, generator=rng)
    filled = decoder.generate(latent, batch, rng, given=batch, known=known)
    space.check({**batch, **filled})
    for name, mask in known.items():
        value = filled[name][:, : mask.shape[1]] if mask.dim() > 1 else filled[name]
        assert torch.equal(value[mask], batch[name][mask])


def test_the_unknown_part_is_drawn_not_copied(space, make):
    _, records, networks = make
    _, decoder = networks(space)
    batch = records(space, rows=60, trim=False)
    name = space.names[-1]
    known = {n: torch.full(batch[n].shape, n != name) for n in space.names}
    rng = torch.Generator().manual_seed(1)
    filled = decoder.generate(torch.zeros(60, 4), batch, rng, given=batch, known=known)
    assert not torch.equal(filled[name], batch[name])
    # a field left out of the masks is unknown too
    assert set(decoder.generate(torch.zeros(60, 4), batch, rng, given=batch, known={})) == set(
        space.names
    )


def test_sequences_of_different_lengths_are_refused(make):
    from gmkit.fields import Real, Space

    _, _, networks = make
    uneven = Space({n: Real(shape=(k,), layout="sequence") for n, k in (("a", 3), ("b", 4))})
    with pytest.raises(ValueError, match="need the same length"):
        networks(uneven)


@pytest.mark.parametrize("width", range(8, 300, 8))
@pytest.mark.parametrize("head_width", [8, 32, 100])
def test_heads_share_every_width_evenly(width, head_width):
    heads = head_count(width, head_width)
    assert width % heads == 0 and (width // heads) % 2 == 0
    assert heads == 1 or width // heads >= head_width


def test_an_odd_width_still_computes(make):
    spaces, records, _ = make
    from gmkit.trunks import build_trunk

    trunk = build_trunk(spaces["word"], TrunkConfig(width=104, depth=1))
    batch = records(spaces["word"])
    assert trunk.decoder(4)(trunk.encoder(4)(batch), batch)["word"].isfinite().all()


@pytest.mark.parametrize("facts", [{"width": 12}, {"width": 0}, {"depth": 0}, {"size": "huge"}])
def test_impossible_sizes_are_refused(facts):
    with pytest.raises(ValidationError):
        TrunkConfig(**facts)


def test_size_sets_width_and_depth_unless_they_are_given():
    assert (TrunkConfig(size="tiny").channels, TrunkConfig(size="base").blocks) == (128, 8)
    assert (TrunkConfig(width=64, depth=3).channels, TrunkConfig(width=64, depth=3).blocks) == (
        64,
        3,
    )
    assert (
        TrunkConfig(depth=1).encoder_blocks == 1
        and TrunkConfig(encoder_depth=7).encoder_blocks == 7
    )
