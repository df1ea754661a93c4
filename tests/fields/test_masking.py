"""Masking by counts: as many as said, each as likely, and the bound that belongs to it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gmkit.fields import Categorical, Process
from gmkit.fields.masking import counted_share, hide_counted, reveal_counted

ROWS = 4000
WHOLE = Process(masking="count", schedule="flow")
BLOCKS = Process(masking="count", schedule="flow", block=4)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def hidden(process: Process, maskable: Tensor) -> Tensor:
    lot = torch.rand(maskable.shape, generator=rng())
    t = torch.rand(len(maskable), generator=rng(1))
    return hide_counted(lot, maskable, t, process)


def test_every_count_is_as_likely() -> None:
    masked = hidden(WHOLE, torch.ones(ROWS, 10, dtype=torch.bool))
    counts = masked.sum(1).bincount(minlength=11)
    assert counts[0] == 0
    assert bool(((counts[1:] - ROWS / 10).abs() < 90).all())
    assert bool((masked.float().mean(0) - 0.55).abs().max() < 0.03)  # of every place alike


def test_blocks_have_counts_of_their_own() -> None:
    masked = hidden(BLOCKS, torch.ones(ROWS, 10, dtype=torch.bool))
    first, second, last = masked[:, :4].sum(1), masked[:, 4:8].sum(1), masked[:, 8:].sum(1)
    assert first.unique().tolist() == second.unique().tolist() == [1, 2, 3, 4]
    assert last.unique().tolist() == [1, 2]
    assert bool((first != second).any())


def test_blocks_of_one_are_masked_always() -> None:
    process = Process(masking="count", schedule="flow", block=1)
    assert bool(hidden(process, torch.ones(50, 7, dtype=torch.bool)).all())


def test_what_cannot_be_masked_is_not_counted() -> None:
    maskable = torch.arange(10) < torch.arange(ROWS)[:, None] % 11
    for process in (WHOLE, BLOCKS):
        masked = hidden(process, maskable)
        assert not bool((masked & ~maskable).any())
        assert bool((masked.any(1) == maskable.any(1)).all())
    assert bool((counted_share(masked, maskable, BLOCKS) > 0).all())


def test_shares() -> None:
    maskable = torch.tensor([[True] * 5 + [False]])
    masked = torch.tensor([[True, False, False, True, True, False]])
    shares = counted_share(masked, maskable, Process(masking="count", block=3))
    torch.testing.assert_close(shares, torch.tensor([[1 / 3] * 3 + [1.0] * 3]))


def test_steps_reveal_evenly_and_all() -> None:
    masked, revealed = torch.ones(30, 7, dtype=torch.bool), []
    for done in range(4):
        lot = torch.rand(masked.shape, generator=rng(done))
        now = reveal_counted(lot, masked, torch.full((30,), 1 / (4 - done)))
        assert bool((now & ~masked).sum() == 0)
        revealed.append(int(now.sum(1).unique()))
        masked = masked & ~now
    assert revealed == [2, 2, 2, 1]
    assert not bool(masked.any())


@pytest.mark.parametrize("schedule", ["flow", "cosine", "linear"])
@pytest.mark.parametrize("masking", ["rate", "count"])
@pytest.mark.parametrize("block", [0, 4])
def test_one_bound_for_all(schedule: str, masking: str, block: int) -> None:
    """A network that knows the independent frequencies of the classes has the entropy as its bound,
    whatever is masked, and how."""
    if block and (masking, schedule) != ("count", "flow"):
        pytest.skip("blocks are counted, at even times")
    process = Process(schedule=schedule, masking=masking, block=block)  # type: ignore[arg-type]
    field = Categorical(size=3, shape=(10,), layout="sequence")
    chance = torch.tensor([0.5, 0.3, 0.2])
    value = torch.multinomial(chance, ROWS * 10, True, generator=rng()).reshape(ROWS, 10)
    logits = chance.log().expand(ROWS, 10, 3)
    t = (torch.arange(ROWS) + 0.5) / ROWS
    noisy = field.corrupt(value, t, rng(3), process)
    bound = field.bound(logits, value, noisy, t, process).sum(1)
    entropy = 10 * float(-(chance * chance.log()).sum())
    error = float(bound.std()) / ROWS**0.5
    assert float(bound.mean()) == pytest.approx(entropy, abs=4 * error)
    if masking == "count" and schedule == "flow":
        rates = Process(schedule="flow")
        other = field.bound(logits, value, field.corrupt(value, t, rng(3), rates), t, rates)
        assert bound.std() < 0.8 * other.sum(1).std()
