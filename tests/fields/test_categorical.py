"""Categories: cross-entropy, draws, ends, masks and their reversal against exact probabilities."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Categorical as Exact

from gmkit.errors import DataError
from gmkit.fields import Categorical, Process, Space

JOINT = torch.tensor([[0.05, 0.30, 0.10], [0.20, 0.05, 0.05], [0.02, 0.08, 0.15]])
"""p(a, b) of two tokens of three classes."""
ENTROPY = float(-(JOINT * JOINT.log()).sum())
PAIR = Categorical(size=3, shape=(2,), layout="sequence")
WORD = Categorical(size=4, shape=(6,), layout="sequence", end=0)


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


@settings(max_examples=30)
@given(
    size=st.integers(1, 7),
    shape=st.lists(st.integers(1, 4), max_size=3).map(tuple),
    rows=st.integers(0, 5),
    seed=st.integers(0, 99),
)
def test_verbs_keep_shapes_and_types(size, shape, rows, seed):
    field, rng = Categorical(size=size, shape=shape), torch.Generator().manual_seed(seed)
    value = torch.randint(0, size, (rows, *shape), generator=rng)
    params = torch.randn(rows, *shape, size, generator=rng)
    t = torch.rand(rows, generator=rng)
    process = Process()
    field.check(value)
    noisy = field.corrupt(value, t, rng, process)
    assert field.embed(value).shape == field.relax(params, rng).shape == (rows, *shape, size)
    assert bool((field.embed(value).argmax(-1) == value).all())
    for drawn in (field.sample(params, rng), field.prior(rows, rng, process), noisy):
        assert drawn.shape == (rows, *shape) and drawn.dtype == torch.int64
    clean = field.reverse_step(
        field.clean(params, noisy, t, process), noisy, t, torch.zeros_like(t), rng, process
    )
    field.check(clean)
    assert torch.equal(clean[noisy < size], noisy[noisy < size])
    exact = -Exact(logits=params).log_prob(value) if rows else torch.zeros(0, *shape)
    assert torch.allclose(field.nll(params, value), exact, atol=1e-5)
    hidden = field.hide(value, torch.ones_like(value, dtype=torch.bool))
    assert not field.embed(hidden).any()
    assert Categorical.from_json(field.to_json()) == field


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_draws_follow_the_softmax(temperature, rng):
    logits = torch.tensor([1.0, -1.0, 0.3, -math.inf])
    drawn = Categorical(size=4).sample(logits.expand(40_000, 4), rng, temperature)
    shares = drawn.bincount(minlength=4) / 40_000
    assert torch.allclose(shares, torch.softmax(logits / temperature, 0), atol=0.012)
    assert shares[3] == 0


def test_an_impossible_first_class_is_never_drawn(monkeypatch):
    """A uniform draw of exactly 0, once in 2^24, must not fall on a class of probability 0."""
    monkeypatch.setattr(torch, "rand", lambda shape, **_: torch.zeros(shape))
    logits = torch.tensor([[-math.inf, 0.0, 0.0]])
    assert Categorical(size=3).sample(logits, torch.Generator()).tolist() == [1]


def test_temperature_zero_is_the_mode(rng):
    logits = torch.randn(50, 6, generator=rng)
    assert torch.equal(Categorical(size=6).sample(logits, rng, 0.0), logits.argmax(-1))


def test_relax_is_one_hot_forward_and_soft_backward(rng):
    logits = torch.tensor([1.0, 0.0, -1.0]).repeat(20_000, 1).requires_grad_()
    relaxed = Categorical(size=3).relax(logits, rng)
    hot = relaxed.detach()
    assert torch.allclose(hot.sum(-1), torch.ones(20_000)) and torch.allclose(
        hot.amax(-1), hot.sum(-1)
    )
    # the hard draw follows the softmax, as Gumbel's trick says
    assert torch.allclose(hot.mean(0), torch.softmax(logits[0].detach(), 0), atol=0.012)
    relaxed[:, 0].sum().backward()
    assert bool((logits.grad[:, 0] > 0).all()) and bool((logits.grad[:, 1:] < 0).all())


# ------------------------------------------------------------ the end of a sequence


def test_end_closes_what_follows():
    value = torch.tensor([[3, 1, 0, 2, 2, 1], [1, 2, 3, 1, 2, 3], [0, 1, 1, 1, 1, 1]])
    assert WORD.close(value).tolist() == [[3, 1, 0, 0, 0, 0], [1, 2, 3, 1, 2, 3], [0] * 6]
    assert WORD.length_of(value).tolist() == [2, 6, 0]
    assert WORD.observed(value).sum(-1).tolist() == [3, 6, 1]
    assert torch.equal(WORD.close(WORD.close(value)), WORD.close(value))


def test_nothing_is_charged_after_the_first_end(rng):
    value = torch.tensor([[3, 1, 0, 0, 0, 0]])
    nll = WORD.nll(torch.randn(1, 6, 4, generator=rng), value)
    assert bool((nll[:, :3] > 0).all()) and not nll[:, 3:].any()


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.integers(0, 9))
@settings(max_examples=30)
def test_trimming_changes_no_likelihood(lengths, seed):
    rng = torch.Generator().manual_seed(seed)
    places = torch.arange(6).expand(len(lengths), 6)
    value = torch.randint(1, 4, places.shape, generator=rng)
    value = value.masked_fill(places >= torch.tensor(lengths)[:, None], 0)
    params = torch.randn(*value.shape, 4, generator=rng)
    trimmed = Space({"w": WORD}).trim({"w": value})["w"]
    assert trimmed.shape[1] == max(lengths) + 1
    whole = WORD.nll(params, value).sum(1)
    assert torch.allclose(WORD.nll(params[:, : trimmed.shape[1]], trimmed).sum(1), whole)
    WORD.check(trimmed)


def test_samples_are_closed(rng):
    drawn = WORD.sample(torch.zeros(500, 6, 4), rng)
    assert torch.equal(drawn, WORD.close(drawn)) and bool((drawn == 0).any(1).any())


# ------------------------------------------------------------ masked diffusion


@pytest.mark.parametrize("schedule", ["linear", "cosine", "flow"])
def test_corrupt_masks_the_share_of_the_process(schedule, rng):
    process = Process(schedule=schedule)
    for level in (0.1, 0.5, 0.9):
        t = torch.full((20_000,), level)
        value = torch.randint(0, 3, (20_000, 2), generator=rng)
        noisy = PAIR.corrupt(value, t, rng, process)
        masked = noisy == PAIR.size
        assert float(masked.float().mean()) == pytest.approx(float(process.masked(t[0])), abs=0.01)
        assert torch.equal(noisy[~masked], value[~masked])


def exact_conditionals(noisy):
    """log p(a | seen), log p(b | seen) of ``JOINT``, (B, 2, 3); −∞ becomes very unlikely."""
    a, b = noisy[:, 0], noisy[:, 1]
    given_b = torch.cat((JOINT / JOINT.sum(0), JOINT.sum(1, keepdim=True)), 1).T[b]
    given_a = torch.cat((JOINT / JOINT.sum(1, keepdim=True), JOINT.sum(0, keepdim=True)))[a]
    return torch.stack((given_b, given_a), 1).clamp(min=1e-9).log()


@pytest.mark.parametrize("schedule", ["linear", "cosine", "flow"])
def test_reversal_with_exact_conditionals_recovers_the_distribution(schedule, rng):
    process = Process(schedule=schedule)
    n = 10_000
    x = PAIR.prior(n, rng, process)
    grid = torch.linspace(1, 0, 101)
    for t, s in itertools.pairwise(grid):
        x = PAIR.reverse_step(exact_conditionals(x), x, t.expand(n), s.expand(n), rng, process)
    PAIR.check(x)
    found = (x[:, 0] * 3 + x[:, 1]).bincount(minlength=9).reshape(3, 3) / n
    assert 0.5 * float((found - JOINT).abs().sum()) < 0.03  # total variation


def test_a_last_small_step_leaves_no_mask(rng):
    """Near t = 0 a cosine masks almost nothing, yet what is masked must be revealed."""
    t, s = torch.full((1000,), 1e-3), torch.zeros(1000)
    noisy = torch.full((1000, 2), PAIR.size)
    PAIR.check(PAIR.reverse_step(torch.zeros(1000, 2, 3), noisy, t, s, rng, Process()))


@pytest.mark.parametrize("schedule", ["linear", "cosine", "flow"])
def test_bound_of_the_exact_conditionals_is_the_entropy(schedule, rng):
    process = Process(schedule=schedule)
    n = 200_000
    which = torch.multinomial(JOINT.flatten(), n, replacement=True, generator=rng)
    value = torch.stack((which // 3, which % 3), 1)
    t = (torch.arange(n) + torch.rand(n, generator=rng)) / n
    t = t[torch.randperm(n, generator=rng)]
    noisy = PAIR.corrupt(value, t, rng, process)
    loss = PAIR.denoise_loss(exact_conditionals(noisy), value, noisy, t, process)
    assert float(loss.sum(1).mean()) == pytest.approx(ENTROPY, rel=0.03)


# ------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("value", "text", "row"),
    [
        (torch.tensor([[1, 2], [1, 3]]), "row 1: a class outside 0 … 2", 1),
        (torch.tensor([[-1, 2]]), "row 0: a class outside 0 … 2", 0),
        (torch.tensor([[1.0, 2.0]]), "expected integers", None),
        (torch.tensor([[1, 2, 1]]), r"shape \(3,\), expected \(2,\)", None),
        (torch.tensor([[1]]), r"shape \(1,\), expected \(2,\)", None),
    ],
)
def test_check_says_what_is_wrong(value, text, row):
    with pytest.raises(DataError, match=text) as error:
        PAIR.check(value)
    assert error.value.row == row


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"size": 0}, "size is 0"),
        ({"size": 3, "end": 3, "shape": (2,), "layout": "sequence"}, "end class 3 is not in 0 … 2"),
        ({"size": 3, "end": 0, "shape": (2,)}, "an end class needs layout 'sequence'"),
    ],
)
def test_ill_formed_fields(facts, text):
    with pytest.raises(ValueError, match=text):
        Categorical(**facts)


def test_the_nucleus_is_the_fewest_likeliest_classes(rng):
    field = Categorical(size=4)
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05], [0.1, 0.2, 0.3, 0.4]]).log()

    def kept(top_p, temperature=1.0):
        return (field.narrow(logits, top_p, temperature) > -math.inf).tolist()

    assert kept(0.01) == [[True, False, False, False], [False, False, False, True]]
    assert kept(0.75) == [[True, True, False, False], [False, True, True, True]]
    assert kept(1.0) == [[True] * 4] * 2
    assert kept(0.75, 0.2) == [[True, False, False, False], [False, False, False, True]]
    assert kept(0.75, 0.0) == [[True] * 4] * 2
    drawn = field.sample(field.narrow(logits[:1].expand(500, -1), 0.75), rng)
    assert drawn.unique().tolist() == [0, 1]
    share = float((drawn == 0).float().mean())
    assert share == pytest.approx(0.5 / 0.8, abs=0.07)
