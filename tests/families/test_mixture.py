"""The mixture against what is known: the joint, the exact density and conditional, the ELBO."""

from __future__ import annotations

import math

import pytest
import torch

from gmkit.codecs import Batch
from gmkit.errors import ArtifactError, ConfigError
from gmkit.families import Step
from gmkit.families.mixture import Mixture, MixtureConfig
from gmkit.families.stack import stack
from gmkit.families.vae import VAE
from gmkit.fields import GOES_ON, Categorical, Real, Space
from gmkit.trunks import TrunkConfig

SPACE = Space({"a": Categorical(size=3), "b": Categorical(size=4), "x": Real()})
SHARES = torch.tensor([0.5, 0.3, 0.2])


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def truth(rows: int, seed: int = 0) -> Batch:
    """a tells all: b is a, or one more in a quarter of the records, x is normal around a."""
    draws = rng(seed)
    a = torch.multinomial(SHARES, rows, True, generator=draws)
    b = a + (torch.rand(rows, generator=draws) < 0.25).long()
    return {"a": a, "b": b, "x": a - 1 + 0.3 * torch.randn(rows, generator=draws)}


def density(batch: Batch) -> torch.Tensor:
    step = torch.tensor([0.75, 0.25])[batch["b"] - batch["a"]]
    z = (batch["x"] - batch["a"] + 1) / 0.3
    return SHARES[batch["a"]].log() + step.log() - 0.5 * z**2 - math.log(0.3 * math.sqrt(math.tau))


def learned(space: Space, batch: Batch, **config: object) -> Mixture:
    model = Mixture(space, MixtureConfig.model_validate(config), TrunkConfig())
    while model.learned < 1:
        model.learn(batch, Step(0, model.learned, rng()))
    return model.eval()


@pytest.fixture(scope="module")
def model() -> Mixture:
    return learned(SPACE, truth(12_000), classes=16)


def test_draws_have_the_joint_distribution(model: Mixture) -> None:
    drawn = model.sample(20_000, None, rng(1))
    rows = len(drawn["a"])
    shares = drawn["a"].bincount(minlength=3) / rows
    torch.testing.assert_close(shares, SHARES, atol=0.02, rtol=0)
    step = drawn["b"] - drawn["a"]
    assert ((step == 0) | (step == 1)).float().mean() > 0.98
    assert abs(float((step == 1).float().mean()) - 0.25) < 0.02
    rest = drawn["x"] - drawn["a"] + 1
    assert abs(float(rest.mean())) < 0.02
    assert 0.28 < float(rest.std()) < 0.36


def test_log_prob_is_the_true_one_but_for_what_learning_costs(model: Mixture) -> None:
    batch = truth(5000, 9)
    scores = model.log_prob(batch, rng())
    gap = float((scores.total + density(batch)).mean())
    assert -0.02 < gap < 0.12  # the Kullback-Leibler divergence: never far below 0
    assert float(scores.fields["latent"].min()) > -1e-4


def test_the_density_sums_to_one(model: Mixture) -> None:
    line = torch.linspace(-12, 12, 24_001)
    total = 0.0
    for a in range(3):
        for b in range(4):
            batch = {"a": torch.full_like(line, a).long(), "b": torch.full_like(line, b).long()}
            total += float(torch.exp(-model.log_prob({**batch, "x": line}, rng()).total).sum())
    assert total * 24 / 24_001 == pytest.approx(1.0, abs=0.01)


def test_completions_have_the_exact_conditional(model: Mixture) -> None:
    """p(a | x) around x = −½, where a is 0 or 1."""
    real = truth(20_000, 6)
    near = (real["x"] + 0.5).abs() < 0.2
    given = {name: value[near] for name, value in real.items()}
    known = {name: torch.full_like(given[name], name == "x").bool() for name in SPACE.names}
    drawn = model.complete({**given, "a": torch.zeros_like(given["a"])}, known, rng(2))
    assert torch.equal(drawn["x"], given["x"])
    for a, b in ((0, 0), (0, 1), (1, 1)):
        wanted = ((given["a"] == a) & (given["b"] == b)).float().mean()
        found = ((drawn["a"] == a) & (drawn["b"] == b)).float().mean()
        assert abs(float(found - wanted)) < 0.05


def test_conditions_are_followed() -> None:
    batch = truth(8000)
    space = Space({"x": Real()}, Space({"a": Categorical(size=3)}))
    model = learned(space, {"x": batch["x"], "a": batch["a"]}, classes=16)
    drawn = model.sample(400, {"a": torch.full((400,), 2)}, rng())
    assert abs(float(drawn["x"].mean()) - 1) < 0.1


def test_a_value_that_a_class_settles_is_always_that() -> None:
    """As codecs have it: 0 where ``kind`` says that the number is missing."""
    draws = rng(3)
    kind = (torch.rand(6000, generator=draws) < 0.4).long()
    x = torch.where(kind == 1, 0.0, torch.randn(6000, generator=draws))
    space = Space({"kind": Categorical(size=2), "x": Real()})
    drawn = learned(space, {"kind": kind, "x": x}, classes=4).sample(4000, None, rng())
    assert (drawn["x"][drawn["kind"] == 1] == 0).all()
    assert (drawn["x"][drawn["kind"] == 0] != 0).float().mean() > 0.99


def test_sequences_end_and_go_on_where_they_are_known_to() -> None:
    field = Categorical(size=4, shape=(6,), layout="sequence", end=0)
    text = field.close(torch.randint(4, (2000, 6), generator=rng()))
    model = learned(Space({"text": field}), {"text": text}, classes=4)
    given = torch.full((300, 6), 2)
    known = torch.zeros(300, 6, dtype=torch.bool)
    known[:, 3] = True
    drawn = model.complete({"text": given}, {"text": known}, rng())["text"]
    assert (drawn[:, 3] == 2).all()
    assert (drawn[:, :3] != 0).all()
    given[:, 5] = GOES_ON
    open_ = model.complete({"text": given}, {"text": known}, rng())["text"]
    assert (open_[:, 5] != 0).any()


def test_the_latent_tells_the_class(model: Mixture) -> None:
    batch = truth(500, 4)
    latent = model.encode(batch)
    torch.testing.assert_close(latent.norm(dim=1), torch.ones(500))
    back = model.decode(latent, None, rng(), 0.0)
    assert (back["a"] == batch["a"]).float().mean() > 0.98
    shares = model.nll_given(latent, batch)
    scores = model.log_prob(batch, rng())
    torch.testing.assert_close(shares["b"], scores.fields["b"], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("rows", [1, 2, 9])
def test_few_records_are_enough(rows: int) -> None:
    drawn = learned(SPACE, truth(rows)).sample(50, None, rng())
    SPACE.check(drawn)


def test_it_grows_with_the_data() -> None:
    alike = {"a": torch.zeros(3000).long(), "b": torch.zeros(3000).long(), "x": torch.zeros(3000)}
    assert len(learned(SPACE, alike).weights) <= 2
    assert len(learned(SPACE, truth(3000)).weights) >= 3


def test_a_state_that_is_none_is_refused() -> None:
    model = Mixture(SPACE, MixtureConfig(), TrunkConfig())
    with pytest.raises(ArtifactError, match="the stored model is no Mixture"):
        model.make_room({"values": (3, 3)})


def test_it_is_no_part_of_a_stack() -> None:
    with pytest.raises(ConfigError, match=r"model 'mixture' learns by itself"):
        stack(VAE, Mixture, "vae", "mixture")
