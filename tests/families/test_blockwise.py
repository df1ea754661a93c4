"""Block diffusion with a denoiser that knows the truth: bound, likelihood, drawing, completion."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from gmkit.codecs import Batch
from gmkit.errors import ConfigError
from gmkit.families import Step
from gmkit.families.diffusion import Diffusion, DiffusionConfig
from gmkit.fields import Categorical, Real, Space
from gmkit.fields.grammar import Grammar, State
from gmkit.fields.space import Params
from gmkit.trunks import TrunkConfig
from gmkit.trunks.trunk import BlockDenoiser

LENGTH, CLASSES = 6, 4
FIRST = torch.tensor([0.4, 0.3, 0.2, 0.1])
NEXT = torch.tensor(
    [[0.7, 0.1, 0.1, 0.1], [0.05, 0.05, 0.8, 0.1], [0.25] * 4, [0.02, 0.9, 0.04, 0.04]]
)
FIELD = Categorical(size=CLASSES, shape=(LENGTH,), layout="sequence")
TINY = TrunkConfig(width=16, depth=1, head_width=8)


def chain(rows: int, seed: int = 0) -> Tensor:
    """Records of the Markov chain."""
    rng = torch.Generator().manual_seed(seed)
    drawn = [torch.multinomial(FIRST, rows, True, generator=rng)]
    while len(drawn) < LENGTH:
        drawn.append(torch.multinomial(NEXT[drawn[-1]], 1, generator=rng)[:, 0])
    return torch.stack(drawn, 1)


def exact_nll(x: Tensor) -> Tensor:
    steps = NEXT.log()[x[:, :-1], x[:, 1:]].sum(1)
    return -(FIRST.log()[x[:, 0]] + steps)


def entropy() -> float:
    left, total = FIRST, -(FIRST * FIRST.log()).sum()
    for _ in range(LENGTH - 1):
        total = total + (left * -(NEXT * NEXT.log()).sum(1)).sum()
        left = left @ NEXT
    return float(total)


class Oracle(BlockDenoiser):
    """The chain's own conditionals, by the forward and backward sums within a block."""

    table = NEXT

    def __init__(self, block: int) -> None:
        super().__init__()
        self.block = block

    def conditionals(self, before: Tensor | None, noisy: Tensor) -> Tensor:
        """log p(x_i | the element before the block, what is seen of it), (B, K, classes)."""
        rows, size = noisy.shape
        seen = torch.ones(rows, size, CLASSES)
        for i in range(size):
            known = noisy[:, i] < CLASSES
            one_hot = torch.nn.functional.one_hot(noisy[:, i].clamp(max=CLASSES - 1), CLASSES)
            seen[:, i] = torch.where(known[:, None], one_hot.float(), seen[:, i])
        into = FIRST.expand(rows, -1) if before is None else self.table[before]
        after = [torch.ones(rows, CLASSES)]
        for i in range(size - 1, 0, -1):
            after.insert(0, (seen[:, i] * after[0]) @ self.table.T)
        answers = []
        for i in range(size):
            answers.append(into * after[i])  # of what is masked: what is seen has no say here
            into = (into * seen[:, i]) @ self.table
        return torch.stack(answers, 1).clamp(min=1e-12).log()

    def forward(
        self, noisy: Batch | None, clean: Batch, condition: Batch, drop: Tensor | None = None
    ) -> tuple[Params | None, Params]:
        x = clean["x"]
        into = torch.cat((FIRST.expand(len(x), 1, -1), self.table[x[:, :-1]]), 1)
        following = into.clamp(min=1e-12).log()
        if noisy is None:
            return None, {"x": following}
        parts = [
            self.conditionals(x[:, a - 1] if a else None, noisy["x"][:, a : a + self.block])
            for a in range(0, x.shape[1], self.block)
        ]
        return {"x": torch.cat(parts, 1)}, {"x": following}

    def begin(self, rows: int, condition: Batch, drop: Tensor | None = None) -> dict[str, Any]:
        return {"before": None}

    def answer(self, state: dict[str, Any], noisy: Batch) -> Params:
        return {"x": self.conditionals(state["before"], noisy["x"])}

    def accept(self, state: dict[str, Any], clean: Batch) -> None:
        state["before"] = clean["x"][:, -1]

    def keep(self, state: dict[str, Any], rows: Tensor) -> dict[str, Any]:
        return {"before": state["before"][rows]}


def family(block: int, **options: Any) -> Diffusion:
    made = Diffusion(Space({"x": FIELD}), DiffusionConfig(block=block, **options), TINY)
    made.blocks = Oracle(block)
    made.register_parameter("anchor", torch.nn.Parameter(torch.zeros(1)))
    return made.eval()


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_blocks_of_one_are_exactly_autoregressive() -> None:
    x = chain(50)
    found = family(1).log_prob({"x": x}, rng())
    torch.testing.assert_close(found.total, exact_nll(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("block", [2, 3, 4, 6])
def test_the_bound_of_the_truth_is_the_entropy(block: int) -> None:
    x = chain(6000)
    found = family(block).log_prob({"x": x}, rng()).total
    noise = float((found - exact_nll(x)).std()) / len(x) ** 0.5
    assert float((found - exact_nll(x)).mean()) == pytest.approx(0, abs=4 * noise + 1e-4)
    assert float(exact_nll(x).mean()) == pytest.approx(entropy(), abs=0.06)


@pytest.mark.parametrize("block", [1, 2, 4, 6])
def test_drawing_one_at_a_time_is_exact(block: int) -> None:
    rows = 6000
    x = family(block).sample(rows, None, rng())["x"]
    FIELD.check(x)
    found = exact_nll(x)
    error = float(found.std()) / rows**0.5
    assert float(found.mean()) == pytest.approx(entropy(), abs=4 * error)
    pairs = torch.bincount(x[:, 3] * CLASSES + x[:, 4], minlength=16) / rows
    left = FIRST @ torch.linalg.matrix_power(NEXT, 3)
    assert float((pairs - (left[:, None] * NEXT).flatten()).abs().max()) < 0.025


def test_few_steps_lose_what_elements_know_of_each_other() -> None:
    careful, hasty = family(6), family(6, steps=1)
    nll = [float(exact_nll(f.sample(4000, None, rng())["x"]).mean()) for f in (careful, hasty)]
    assert nll[1] > nll[0] + 0.3


@pytest.mark.parametrize("block", [1, 4])
def test_what_is_known_stays(block: int) -> None:
    x = chain(40)
    known = torch.rand(x.shape, generator=rng(1)) < 0.5
    filled = family(block).complete({"x": x}, {"x": known}, rng())["x"]
    assert torch.equal(filled[known], x[known])
    FIELD.check(filled)


def test_training_begins_autoregressive() -> None:
    """The first part of it by the causal pass alone, at the true model's entropy."""
    made, x = family(2), chain(3000)
    early = made.losses({"x": x}, Step(0, 0.2, rng()))
    late = made.losses({"x": x}, Step(0, 0.8, rng()))
    assert set(early) == {"loss"}
    assert float(early["loss"]) * LENGTH == pytest.approx(entropy(), abs=0.1)
    assert float(late["bound"]) * LENGTH == pytest.approx(entropy(), abs=0.15)
    assert float(late["loss"]) == pytest.approx(float(early["loss"] + late["bound"]), abs=1e-4)


def test_a_trained_network_finds_the_chain() -> None:
    torch.manual_seed(0)
    made = Diffusion(Space({"x": FIELD}), DiffusionConfig(block=2, anneal=0.3), TINY)
    optimiser = torch.optim.AdamW(made.parameters(), 1e-2)
    for i in range(300):
        loss = made.losses({"x": chain(64, i)}, Step(i, i / 300, rng(i)))["loss"]
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    x = chain(2000, 1000)
    bound = float(made.eval().log_prob({"x": x}, rng()).total.mean())
    assert bound == pytest.approx(float(exact_nll(x).mean()), abs=0.25)


def test_blocks_need_sequences() -> None:
    with pytest.raises(ConfigError, match="blocks need sequences of categories"):
        Diffusion(Space({"x": Real(shape=(4,))}), DiffusionConfig(block=2), TINY)


ENDED = Categorical(size=CLASSES, shape=(LENGTH,), layout="sequence", end=0)
STAYS = NEXT.clone()
STAYS[0] = torch.tensor([1.0, 0, 0, 0])
"""The chain, which stays where it ended."""


class Ending(Oracle):
    """The truth of the chain that ends."""

    table = STAYS


def ending(block: int, field: Categorical = ENDED) -> Diffusion:
    made = Diffusion(Space({"x": field}), DiffusionConfig(block=block), TINY)
    made.blocks = Ending(block)
    made.register_parameter("anchor", torch.nn.Parameter(torch.zeros(1)))
    return made.eval()


@pytest.mark.parametrize("block", [1, 2, 4])
def test_the_end_is_a_class_like_any_other(block: int) -> None:
    """Its bound is the entropy, whatever lies after it in its block, and however far records are
    cut; and drawn records end as often after each element."""
    x = ENDED.close(chain(6000))
    truth = -(FIRST.log()[x[:, 0]] + STAYS.clamp(min=1e-12).log()[x[:, :-1], x[:, 1:]].sum(1))
    made = ending(block)
    found = made.log_prob({"x": x}, rng()).total
    noise = float((found - truth).std()) / len(x) ** 0.5
    assert float((found - truth).mean()) == pytest.approx(0, abs=4 * noise + 1e-3)
    short = x[ENDED.length_of(x) == 1]  # the same alone, where it is cut
    cut = made.log_prob({"x": short[:, :2]}, rng(), samples=8).total
    noise = float(cut.std()) / len(cut) ** 0.5
    assert float((cut - truth[ENDED.length_of(x) == 1]).mean()) == pytest.approx(0, abs=4 * noise)
    drawn = made.sample(6000, None, rng())["x"]
    ENDED.check(drawn)
    assert torch.equal(drawn, ENDED.close(drawn))
    shares = [ENDED.length_of(v).bincount(minlength=LENGTH + 1) / 6000 for v in (x, drawn)]
    assert float((shares[0] - shares[1]).abs().max()) < 0.025


class OnlyTwice(Grammar):
    """The same class twice, then another, and so on; it ends after a pair."""

    def begin(self, rows: int) -> State:
        return {"open": torch.full((rows,), -1), "last": torch.full((rows,), -1)}

    def allowed(self, state: State, classes: Tensor, room: int | None = None) -> Tensor:
        waiting, last = state["open"][:, None], state["last"][:, None]
        fresh = (waiting < 0) & (classes != last)
        if room is not None and room < 1:
            fresh &= classes == 0
        return torch.where(waiting >= 0, classes == waiting, fresh)

    def advance(self, state: State, chosen: Tensor) -> State:
        waiting = torch.where(state["open"] < 0, chosen, -1)
        return {"open": waiting, "last": chosen}


@pytest.mark.parametrize("block", [1, 2, 4])
def test_drawings_keep_to_the_rules(block: int) -> None:
    """With the chance of each class among the allowed ones."""
    field, rows = replace(ENDED, grammar=OnlyTwice()), 3000
    made = ending(block, field)
    drawn = made.sample(rows, None, rng())["x"]
    pairs = drawn.reshape(rows, -1, 2)
    assert torch.equal(pairs[..., 0], pairs[..., 1])
    follows = pairs[(pairs[:, 0, 0] == 1), 1, 0].bincount(minlength=CLASSES)
    chance = NEXT[1] * torch.tensor([1.0, 0, 1, 1])
    torch.testing.assert_close(follows / follows.sum(), chance / chance.sum(), atol=0.04, rtol=0)
    begun = torch.tensor([[1, 1, 3, 0, 0, 0]]).expand(rows, -1)
    known = torch.tensor([[True, True, True, False, False, False]]).expand(rows, -1)
    after = made.complete({"x": begun}, {"x": known}, rng())["x"]
    assert bool((after[:, :4] == torch.tensor([1, 1, 3, 3])).all())


@pytest.mark.parametrize("block", [1, 4])
def test_nothing_ends_before_what_is_known(block: int) -> None:
    given = torch.full((200, LENGTH), 1)
    known = torch.zeros(200, LENGTH, dtype=torch.bool)
    known[:, 4] = True
    filled = ending(block).complete({"x": given}, {"x": known}, rng())["x"]
    assert bool((filled[:, :4] != 0).all()) and bool((filled[:, 4] == 1).all())
