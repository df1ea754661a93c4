"""The block denoiser: who sees whom, and that drawing gives what one pass over all gives."""

from __future__ import annotations

import pytest
import torch

from gmkit.codecs import Batch
from gmkit.errors import ConfigError
from gmkit.fields import Categorical, Real, Space
from gmkit.trunks import TrunkConfig, build_trunk
from gmkit.trunks.trunk import BlockDenoiser

LENGTH, CLASSES = 11, 5
CONDITION = Space({"label": Categorical(size=3)})


def made(block: int, condition: Space | None = None) -> BlockDenoiser:
    torch.manual_seed(0)
    field = Categorical(size=CLASSES, shape=(LENGTH,), layout="sequence")
    config = TrunkConfig(width=32, depth=2, head_width=8)
    network = build_trunk(Space({"x": field}, condition), config).block_denoiser(block)
    with torch.no_grad():  # blocks begin as the identity, which would hide what is looked at
        for parameter in network.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.3)
    return network.eval()


def batch(seed: int = 0) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    clean = torch.randint(CLASSES, (3, LENGTH), generator=rng)
    mask = torch.rand(3, LENGTH, generator=rng) < 0.5
    return {"x": clean, "noisy": torch.where(mask, CLASSES, clean), "label": torch.arange(3)}


def answers(network: BlockDenoiser, given: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.no_grad():
        found, following = network({"x": given["noisy"]}, given, given)
    assert found is not None
    return found["x"], following["x"]


@pytest.mark.parametrize("block", [1, 2, 4, 11, 40])
def test_elements_see_their_block_and_what_is_before_it(block: int) -> None:
    network, given = made(block), batch()
    found, following = answers(network, given)
    for place in range(LENGTH):
        begin = place // block * block
        for name in ("x", "noisy"):
            other = dict(given)
            other[name] = given[name].clone()
            other[name][:, place] = (given[name][:, place] + 1) % CLASSES
            changed, after = answers(network, other)
            moved = (changed != found).any(-1).any(0)
            if name == "noisy":  # those of the block alone, which of one element tell nothing
                seen = range(begin, min(begin + block, LENGTH)) if block > 1 else []
                assert moved.nonzero().flatten().tolist() == list(seen)
                assert torch.equal(after, following)
            else:  # all after the block, by its clean form
                assert moved[begin + block :].all()
                assert not moved[: begin + block].any()
                assert not (after != following).any(-1).any(0)[: place + 1].any()


@pytest.mark.parametrize("condition", [None, CONDITION])
@pytest.mark.parametrize("block", [1, 3, 4])
def test_drawing_gives_the_answers_of_one_pass(block: int, condition: Space | None) -> None:
    network, given = made(block, condition), batch()
    found, _ = answers(network, given)
    state = network.begin(3, given)
    for start in range(0, LENGTH, block):
        part = slice(start, start + block)
        for _ in range(2):  # asking twice changes nothing
            answer = network.answer(state, {"x": given["noisy"][:, part]})["x"]
            torch.testing.assert_close(answer, found[:, part], rtol=1e-4, atol=1e-4)
        network.accept(state, {"x": given["x"][:, part]})


@pytest.mark.parametrize("block", [1, 3])
def test_a_drawing_goes_on_with_some_of_its_records(block: int) -> None:
    network, given = made(block, CONDITION), batch()
    whole, some = network.begin(3, given), network.begin(3, given)
    rows = torch.tensor([True, False, True])
    for place in range(0, 3 * block, block):
        part = given["x"][:, place : place + block]
        hidden = torch.full_like(part, CLASSES)
        kept = slice(None) if place == 0 else rows
        whole_answer = network.answer(whole, {"x": hidden})["x"][kept]
        torch.testing.assert_close(network.answer(some, {"x": hidden[kept]})["x"], whole_answer)
        network.accept(whole, {"x": part})
        network.accept(some, {"x": part[kept]})
        if place == 0:
            some = network.keep(some, rows)


def test_the_causal_pass_alone_is_the_same() -> None:
    network, given = made(4), batch()
    _, following = answers(network, given)
    with torch.no_grad():
        none, alone = network(None, given, given)
    assert none is None
    torch.testing.assert_close(alone["x"], following, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "fields",
    [
        {"x": Real(shape=(3,))},
        {"x": Categorical(size=3, shape=(4,), layout="sequence"), "age": Real()},
    ],
)
def test_blocks_need_sequences(fields: dict[str, Categorical | Real]) -> None:
    with pytest.raises(ConfigError, match="blocks need"):
        build_trunk(Space(fields), TrunkConfig(width=16)).block_denoiser(2)
