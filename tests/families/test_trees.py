"""Trees against what is known: independence, dependence, exact conditionals, damaged state."""

from __future__ import annotations

import math

import pytest
import torch

from gmkit.codecs import Batch
from gmkit.errors import ArtifactError, ConfigError
from gmkit.families import Step
from gmkit.families.stack import stack
from gmkit.families.trees import Trees, TreesConfig
from gmkit.families.vae import VAE
from gmkit.fields import Categorical, Real, Space
from gmkit.trunks import TrunkConfig

SPACE = Space({"a": Categorical(size=3), "b": Categorical(size=4, ordered=True), "x": Real()})


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def truth(rows: int, seed: int = 0) -> Batch:
    """b is a or one more, x is normal around b."""
    draws = rng(seed)
    a = torch.multinomial(torch.tensor([0.5, 0.3, 0.2]), rows, True, generator=draws)
    b = a + (torch.rand(rows, generator=draws) < 0.25).long()
    x = b - 1 + 0.2 * torch.randn(rows, generator=draws)
    return {"a": a, "b": b, "x": x}


def learned(space: Space, batch: Batch, **config: object) -> Trees:
    model = Trees(space, TreesConfig.model_validate(config), TrunkConfig())
    while model.learned < 1:
        model.learn(batch, Step(0, model.learned, rng()))
    return model.eval()


@pytest.fixture(scope="module")
def model() -> Trees:
    return learned(SPACE, truth(20_000))


def test_draws_have_the_joint_distribution(model: Trees) -> None:
    drawn, real = model.sample(20_000, None, rng(1)), truth(20_000, 5)
    assert (drawn["b"] - drawn["a"]).unique().tolist() == [0, 1]
    for name in ("a", "b"):
        gap = drawn[name].bincount(minlength=4) - real[name].bincount(minlength=4)
        assert gap.abs().max() < 450  # 4.5 standard deviations of the difference
    rest = drawn["x"] - drawn["b"] + 1
    assert abs(float(rest.mean())) < 0.01
    assert abs(float(rest.std()) - 0.2) < 0.02


def test_log_prob_is_near_the_true_one(model: Trees) -> None:
    batch = truth(5000, 9)
    scores = model.log_prob(batch, rng())
    chance = torch.tensor([0.5, 0.3, 0.2])[batch["a"]]
    step = torch.tensor([0.75, 0.25])[batch["b"] - batch["a"]]
    z = (batch["x"] - batch["b"] + 1) / 0.2
    density = -0.5 * z**2 - math.log(0.2 * math.sqrt(2 * math.pi))
    exact = -(chance.log() + step.log() + density)
    assert abs(float((scores.total - exact).mean())) < 0.06
    unlikely = model.log_prob({**batch, "b": (batch["a"] + 2) % 4}, rng()).fields["b"]
    assert float(unlikely.mean()) > float(scores.fields["b"].mean()) + 2


@pytest.mark.parametrize("first", [[], ["x"], ["b", "x"]])
def test_completions_have_the_exact_conditional(first: list[str]) -> None:
    """p(a | x): where x comes first by plain drawing, else by importance resampling."""
    model = learned(SPACE, truth(20_000), first=first, candidates=64)
    rows = 4000
    zeros = torch.zeros(rows).long()
    given = {"a": zeros, "b": zeros, "x": torch.linspace(-0.3, 0.3, rows)}
    known = {name: torch.full((rows,), name == "x") for name in SPACE.names}
    drawn = model.complete(given, known, rng(2))
    assert torch.equal(drawn["x"], given["x"])
    assert (drawn["b"] == 1).float().mean() > 0.97  # x near 0 says b = 1
    weight = torch.tensor([0.5 * 0.25, 0.3 * 0.75])  # so a = 0 or 1
    assert abs(float((drawn["a"] == 0).float().mean() - weight[0] / weight.sum())) < 0.04


def test_temperature_zero_gives_the_mode(model: Trees) -> None:
    drawn = model.sample(50, None, rng(), temperature=0.0)
    assert drawn["a"].tolist() == [0] * 50


def test_conditions_are_followed() -> None:
    batch = truth(8000)
    space = Space({"x": Real()}, Space({"b": Categorical(size=4)}))
    model = learned(space, {"x": batch["x"], "b": batch["b"]})
    drawn = model.sample(400, {"b": torch.full((400,), 2)}, rng())
    assert abs(float(drawn["x"].mean()) - 1) < 0.1


def test_an_unknown_first_field_is_told() -> None:
    with pytest.raises(ConfigError, match=r"family.first names 'ab', which is no field"):
        Trees(SPACE, TreesConfig(first=["ab"]), TrunkConfig())


def test_many_classes_and_many_inputs_are_taken() -> None:
    draws = rng()
    code = torch.randint(300, (6000,), generator=draws)
    fields = {f"x{i}": Real() for i in range(9)}
    space = Space({**fields, "code": Categorical(size=300), "y": Real()})
    batch = {n: torch.randn(6000, generator=draws) for n in fields}
    batch |= {"code": code, "y": (code % 2).float() * 4}
    model = learned(space, batch, inputs=4)
    drawn = model.sample(3000, None, rng(1))
    even = drawn["y"][drawn["code"] % 2 == 0]
    assert float(even.mean()) < 0.8  # of all about 2


def restored(model: Trees, state: dict[str, torch.Tensor]) -> Trees:
    fresh = Trees(SPACE, TreesConfig(), TrunkConfig())
    fresh.make_room({name: tuple(value.shape) for name, value in state.items()})
    fresh.load_state_dict(state)
    return fresh


@pytest.mark.parametrize(
    ("part", "value"),
    [("left", 0), ("right", 10**9), ("start", -1), ("count", 10**9), ("feature", 7)],
)
def test_a_state_that_leads_nowhere_is_refused(model: Trees, part: str, value: int) -> None:
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state[f"trees.2.{part}"][:] = value
    with pytest.raises(ArtifactError, match="the stored trees are damaged"):
        restored(model, state).sample(5, None, rng())


def test_a_state_of_another_shape_is_refused(model: Trees) -> None:
    state = model.state_dict()
    with pytest.raises(ArtifactError, match="of no possible shape"):
        restored(model, {**state, "trees.1.left": state["trees.1.left"][:3]})
    with pytest.raises(ArtifactError, match="no tree's"):
        restored(model, {**state, "trees.17.left": torch.zeros(3)})


def test_trees_are_no_part_of_a_stack() -> None:
    with pytest.raises(ConfigError, match=r"model 'trees' learns by itself"):
        stack(VAE, Trees, "vae", "trees")


def test_a_value_that_a_class_settles_stays_with_that_class() -> None:
    """As codecs have it: 0, the middle of a number, where ``kind`` says that it is missing."""
    draws = rng(3)
    kind = (torch.rand(4000, generator=draws) < 0.07).long()
    y = torch.randn(4000, generator=draws)
    x = torch.where(kind == 1, 0.0, y + 0.3 * torch.randn(4000, generator=draws))
    space = Space({"y": Real(), "kind": Categorical(size=2), "x": Real()})
    drawn = learned(space, {"y": y, "kind": kind, "x": x}).sample(4000, None, rng())
    plain = drawn["kind"] == 0
    spike = (drawn["x"][plain & (drawn["y"].abs() > 1.2)].abs() < 0.01).float().mean()
    assert spike < 0.005
    assert float(drawn["x"][~plain].abs().max()) < 0.01
    assert abs(float(plain.float().mean()) - 0.93) < 0.02
