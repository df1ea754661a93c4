"""Every family over every kind of Space, without domain or data: what each promises anywhere."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch

from gmkit.codecs import Batch
from gmkit.families import Family, Step
from gmkit.fields import Categorical, Field, Real, Space
from gmkit.plugins import registry
from gmkit.trunks import TrunkConfig

CONDITION = Space({"label": Categorical(size=3), "level": Real(shape=(2,))})
FIELDS: dict[str, dict[str, Field]] = {
    "vector": {"x": Real(shape=(5,))},
    "tokens": {"text": Categorical(size=6, shape=(6,), layout="sequence", end=0)},
    "columns": {"age": Real(), "job": Categorical(size=4), "job.present": Categorical(size=2)},
    "grid1d": {"sound": Real(shape=(1, 16), layout="grid1d")},
    "grid2d": {
        "image": Real(
            shape=(2, 8, 8), layout="grid2d", likelihood="logistic", bounds=(-1, 1), bins=16
        )
    },
}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "vae": ("vae", {"latent": 3}),
    "gan": ("gan", {}),
    "diffusion": ("diffusion", {"steps": 3}),
    "flow": ("flow", {"steps": 3}),
    "vae+diffusion": ("vae+diffusion", {"vae": {"latent": 3}, "diffusion": {"steps": 3}}),
    "fsq+diffusion": (
        "vae+diffusion",
        {"vae": {"latent": 3, "latent_kind": "fsq", "levels": 4}, "diffusion": {"steps": 3}},
    ),
    "vae+gan": ("vae+gan", {"vae": {"latent": 3}}),
    "detector": ("detector", {"splits": 1}),
}
"""Name of the test → (model, options)."""
MODELS |= {name: (name, {}) for name in sorted(set(registry().families()) - set(MODELS))}
ROWS = 12


class Case(NamedTuple):
    """A family three steps old, and records of its space."""

    family: Family
    batch: Batch
    losses: list[float]

    @property
    def space(self) -> Space:
        return self.family.space

    def can(self, capability: str) -> None:
        if capability not in self.family.capabilities:
            pytest.skip(f"{type(self.family).__name__} has no {capability}")


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def records(space: Space, rows: int = ROWS) -> Batch:
    """Random well-formed records and conditions."""
    draws, batch = rng(7), {}
    every = {**space.fields, **(space.condition.fields if space.condition else {})}
    for name, f in every.items():
        if isinstance(f, Categorical):
            batch[name] = f.close(torch.randint(f.size, (rows, *f.shape), generator=draws))
        else:
            assert isinstance(f, Real)
            value = torch.randn(rows, *f.shape, generator=draws)
            batch[name] = on_grid(value, f) if f.bins and f.bounds else value
    space.check(batch)
    return batch


def on_grid(value: torch.Tensor, f: Real) -> torch.Tensor:
    assert f.bounds is not None and f.bins is not None
    low, high = f.bounds
    share = torch.sigmoid(value)
    return low + (high - low) * torch.round(share * (f.bins - 1)) / (f.bins - 1)


def made(model: str, space: Space) -> Family:
    name, options = MODELS[model]
    known = registry()
    info = known.get("family", name)
    kind = known.load(info)
    preset = getattr(info, "preset", {})
    torch.manual_seed(0)
    config = kind.Config.model_validate({**preset, **options})
    family: Family = kind(space, config, TrunkConfig(width=16, depth=1, head_width=8))
    return family


@pytest.fixture(scope="module", params=[f"{f}{c}" for f in FIELDS for c in ("", " | condition")])
def space(request: pytest.FixtureRequest) -> Space:
    fields, given, _ = request.param.partition(" | ")
    return Space(FIELDS[fields], CONDITION if given else None)


@pytest.fixture(scope="module", params=list(MODELS))
def case(request: pytest.FixtureRequest, space: Space) -> Case:
    """Trained for three steps of each player, once for all tests."""
    family, batch, losses = made(request.param, space), records(space), []
    family.train()
    while family.learned is not None and family.learned < 1:  # without gradients
        losses.append(float(family.learn(batch, Step(len(losses), family.learned, rng()))["loss"]))
    if family.learned is not None:
        return Case(family.eval(), batch, losses)
    optimisers = {
        player: torch.optim.AdamW(family.player_parameters(player), 1e-3)
        for player in family.players
    }
    for index in range(6):
        for player, share in family.turns(index / 6):
            step = Step(index, share, rng(index), player)
            loss = family.losses(space.trim(batch), step)["loss"]
            family.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimisers[player].step()
            losses.append(float(loss.detach()))
    return Case(family.eval(), batch, losses)


def test_losses_are_finite_and_draw_from_the_steps_generator_alone(case: Case) -> None:
    assert torch.tensor(case.losses).isfinite().all()
    state = torch.get_rng_state()
    for player in case.family.players:
        with torch.no_grad():
            values = [
                float(case.family.losses(case.batch, Step(0, 1.0, rng(4), player))["loss"])
                for _ in range(2)
            ]
        assert values[0] == values[1]
    assert torch.equal(torch.get_rng_state(), state)


def test_samples_are_of_the_space_and_the_seeds(case: Case) -> None:
    wanted = case.space.condition.names if case.space.condition else ()
    condition = {name: case.batch[name][:7] for name in wanted} or None
    drawn, again, other = (case.family.sample(7, condition, rng(s)) for s in (1, 1, 2))
    case.space.check({**drawn, **(condition or {})})
    assert list(drawn) == list(case.space.names)
    assert all(len(value) == 7 for value in drawn.values())
    assert all(torch.equal(value, again[name]) for name, value in drawn.items())
    assert any(not torch.equal(value, other[name]) for name, value in drawn.items())


def test_the_state_is_all_there_is(case: Case, request: pytest.FixtureRequest) -> None:
    """A fresh family with the same state draws the same."""
    model = request.node.callspec.params["case"]
    fresh = made(model, case.space)
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.mul_(0.5)
    state = case.family.state_dict()
    fresh.make_room({name: tuple(value.shape) for name, value in state.items()})
    fresh.load_state_dict(state)
    condition = case.batch if case.space.condition else None
    one, two = (f.eval().sample(ROWS, condition, rng(3)) for f in (case.family, fresh))
    assert all(torch.equal(value, two[name]) for name, value in one.items())


def test_scores_are_finite_and_sum_to_the_total(case: Case) -> None:
    case.can("log_prob")
    scores = case.family.log_prob(case.space.trim(case.batch), rng(), 2)
    assert scores.total.shape == (ROWS,)
    assert scores.total.isfinite().all()
    assert set(case.space.names) <= set(scores.fields)
    parts = torch.stack(list(scores.fields.values())).sum(0)
    torch.testing.assert_close(parts, scores.total, rtol=1e-4, atol=1e-3)


@pytest.mark.usefixtures("few_rounds")
def test_completions_keep_what_is_known(case: Case) -> None:
    """Nothing of the first record, all of the last, a part of those between."""
    case.can("complete")
    share = torch.linspace(0, 1, ROWS)
    known = {}
    for name in case.space.names:
        chance = torch.rand(case.batch[name].shape, generator=rng(5))
        known[name] = chance < share.reshape(-1, *[1] * (chance.dim() - 1))
    given = {name: value.clone() for name, value in case.batch.items()}
    filled = case.family.complete(case.batch, known, rng())
    case.space.check({**given, **filled})
    for name, mask in known.items():
        assert torch.equal(filled[name][mask], given[name][mask])
        assert torch.equal(case.batch[name], given[name])  # what was given is left as it was


def test_latents_pass_through_encode_and_decode(case: Case) -> None:
    case.can("encode")
    codes = case.family.encode(case.batch)
    assert codes.dim() == 2
    case.family.latent_field().check(codes)
    condition = case.batch if case.space.condition else None
    decoded = case.family.decode(codes, condition, rng(), 0.0)
    case.space.check({**case.batch, **decoded})
    drawn, log_posterior = case.family.infer(case.batch, rng())
    case.family.latent_field().check(drawn)
    assert log_posterior.shape == (ROWS,)


def test_reconstructions_are_of_the_space(case: Case) -> None:
    case.can("reconstruct")
    found = case.family.reconstruct(case.batch, rng())
    case.space.check({**case.batch, **found})
