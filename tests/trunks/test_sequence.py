"""The sequence trunk: causality, cached generation against teacher forcing, compaction, ends."""

from __future__ import annotations

import pytest
import torch

from gmkit.fields import Categorical, Space
from gmkit.trunks import sequence

SEQUENTIAL = [
    "word",
    "word-conditioned",
    "word-and-flat",
    "two-words",
    "word-and-signal",
    "endless",
]


@pytest.fixture(params=SEQUENTIAL)
def built(request, make):
    spaces, records, networks = make
    space = spaces[request.param]
    return space, records(space, rows=40, trim=False), networks(space)[1]


def latents(rows=40):
    return torch.randn(rows, 4, generator=torch.Generator().manual_seed(8))


def sequences(space):
    return [name for name, f in space.fields.items() if f.layout == "sequence"]


def test_no_position_sees_itself_or_what_follows(built):
    space, batch, decoder = built
    params = decoder(latents(), batch)
    for place in range(8):
        for name in sequences(space):
            f, changed = space.fields[name], batch[name].clone()
            tail = changed[:, place:]
            changed[:, place:] = (tail + 1) % f.size if isinstance(f, Categorical) else tail + 1
            after = decoder(latents(), {**batch, name: changed})
            for other in sequences(space):
                same = torch.isclose(after[other], params[other], atol=1e-5).flatten(2).all(2)
                assert bool(same[:, : place + 1].all())
                assert place == 7 or bool((~same[:, place + 1]).all())  # what follows does see it


def test_greedy_generation_is_what_teacher_forcing_finds(built):
    space, batch, decoder = built
    drawn = decoder.generate(latents(), batch, torch.Generator(), temperature=0.0)
    params = decoder(latents(), {**batch, **drawn})
    for name, f in space.fields.items():
        best = f.sample(params[name], torch.Generator(), 0.0)
        assert torch.allclose(best.float(), drawn[name].float(), atol=1e-5)


def test_generated_frequencies_are_the_probabilities_of_forward(make):
    """Cached sampling draws from the same distribution as forward states, sequence by sequence."""
    _, _, networks = make
    space = Space({"w": Categorical(size=3, shape=(3,), layout="sequence", end=0)})
    decoder = networks(space)[1]
    latent = torch.ones(1, 4)
    every = torch.tensor([[a, b, c] for a in range(3) for b in range(3) for c in range(3)])
    every = torch.unique(space.fields["w"].close(every), dim=0)
    with torch.no_grad():
        params = decoder(latent.expand(len(every), 4), {"w": every})
    nll = space.nll(params, {"w": every})["w"]
    assert float(torch.exp(-nll).sum()) == pytest.approx(1, abs=1e-5)
    n = 20_000
    rng = torch.Generator().manual_seed(0)
    drawn = decoder.generate(latent.expand(n, 4), {}, rng)["w"]
    counts = torch.stack([(drawn == row).all(1).float().mean() for row in every])
    assert 0.5 * float((counts - torch.exp(-nll)).abs().sum()) < 0.02


@pytest.mark.parametrize("share", [0.0, 1.01])
def test_dropping_finished_records_changes_nothing(built, share, monkeypatch):
    space, batch, decoder = built
    usual = decoder.generate(latents(), batch, torch.Generator(), temperature=0.0)
    monkeypatch.setattr(sequence, "COMPACT_BELOW", share)  # never, and at every step
    other = decoder.generate(latents(), batch, torch.Generator(), temperature=0.0)
    for name in space.names:
        assert torch.allclose(usual[name].float(), other[name].float(), atol=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.8, 1.01])
def test_compaction_keeps_the_distribution_of_lengths(make, share, monkeypatch):
    spaces, _, networks = make
    decoder = networks(spaces["word"])[1]
    monkeypatch.setattr(sequence, "COMPACT_BELOW", share)
    rng = torch.Generator().manual_seed(0)
    drawn = decoder.generate(torch.zeros(2500, 4), {}, rng)["word"]
    lengths = spaces["word"].fields["word"].length_of(drawn).float()
    batch = {"word": drawn}
    with torch.no_grad():
        chance = torch.softmax(decoder(torch.zeros(2500, 4), batch)["word"], -1)[:, :, 0]
    # in expectation a record ends as often as it was about to
    closing = (drawn == 0) & spaces["word"].fields["word"].observed(drawn)
    expected = (chance * spaces["word"].fields["word"].observed(drawn)).sum()
    assert float(closing.sum() / expected) == pytest.approx(1, abs=0.05)
    assert 0 < float(lengths.mean()) < 8


def test_an_ended_sequence_feeds_its_end_beside_a_longer_one(make):
    """``a`` ends at once and ``b`` late: b must be drawn as if a stayed at its end."""
    spaces, _, networks = make
    space = spaces["two-words"]
    decoder = networks(space)[1]
    with torch.no_grad():
        decoder.outputs[0].bias += torch.tensor([1.0, 0, 0, 0, 0])  # a ends often but not always
        decoder.outputs[1].bias -= torch.tensor([0, 0, 6.0])  # b hardly ends
    n = 4000
    drawn = decoder.generate(torch.zeros(n, 4), {}, torch.Generator().manual_seed(0))
    params = decoder(torch.zeros(n, 4), drawn)
    chance = torch.softmax(params["b"], -1)[..., 0]
    ended = (space.fields["a"].length_of(drawn["a"]) < 7)[:, None] & (
        torch.arange(8) > space.fields["a"].length_of(drawn["a"])[:, None]
    )
    ended &= space.fields["b"].observed(drawn["b"])
    assert float(ended.sum()) > 700
    excess = ((drawn["b"] == 0).float() - chance)[ended]
    assert abs(excess.mean().item()) < 4 * excess.std().item() / len(excess) ** 0.5


def test_the_end_is_put_off_until_the_last_known_element(make):
    spaces, _, networks = make
    space, word = spaces["word"], spaces["word"].fields["word"]
    decoder = networks(space)[1]
    with torch.no_grad():
        decoder.outputs[0].bias += torch.tensor([20.0, 0, 0, 0, 0])  # would end at once
    given = torch.tensor([[1, 2, 3, 4, 1, 2, 0, 0]]).expand(50, 8)
    known = torch.zeros(50, 8, dtype=torch.bool)
    known[:, [1, 4]] = True
    drawn = decoder.generate(
        torch.zeros(50, 4),
        {},
        torch.Generator().manual_seed(0),
        given={"word": given},
        known={"word": known},
    )["word"]
    assert torch.equal(drawn[known], given[known])
    assert bool((word.length_of(drawn) == 5).all())
