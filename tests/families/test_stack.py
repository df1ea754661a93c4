"""Stacks: who learns when, on what, and a bound that is exact where the second is."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.distributions import Normal

from gmkit.config import TrainingConfig
from gmkit.families import Family, Step
from gmkit.families.diffusion import Diffusion
from gmkit.families.family import FamilyConfig
from gmkit.families.gan import GAN
from gmkit.families.stack import stack
from gmkit.families.vae import VAE
from gmkit.fields import Categorical, FieldScores, Real, Space
from gmkit.training.checkpoint import latest_checkpoint
from gmkit.training.loop import Trainer
from gmkit.training.session import networks
from gmkit.trunks import TrunkConfig

TRUNK = TrunkConfig(width=16, depth=1)
SPACE = Space(
    {"x": Real(shape=(3,)), "latent": Categorical(size=3)}, Space({"c": Categorical(size=2)})
)
KINDS = ("gaussian", "fsq")


class Normals(Family):
    """p(z) = N(shift, 1) in the units it is given, exactly: a second part to count by."""

    Config: ClassVar[type[FamilyConfig]] = type(
        "NormalsConfig", (FamilyConfig,), {"__annotations__": {"tone": float}, "tone": 1.0}
    )
    capabilities: ClassVar[frozenset[str]] = frozenset({"log_prob"})
    players: ClassVar[tuple[str, ...]] = ("left", "right")
    adjustable: ClassVar[frozenset[str]] = frozenset({"tone"})

    def __init__(self, space, config, trunk):
        super().__init__(space, config, trunk)
        (self.name,) = space.names
        self.shift = nn.Parameter(torch.zeros(space.fields[self.name].shape))
        self.seen = []

    def losses(self, batch, step):
        self.space.check(batch)
        self.seen.append((step.player, step.progress, batch[self.name]))
        return {"loss": (batch[self.name] - self.shift).square().mean()}

    def sample(self, n, condition, rng, temperature=1.0):
        return {self.name: self.shift.detach() + torch.randn(n, *self.shift.shape, generator=rng)}

    def log_prob(self, batch, rng, samples=1):
        total = -Normal(self.shift.detach(), 1.0).log_prob(batch[self.name]).sum(1)
        return FieldScores({self.name: total}, total)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def records(n=64):
    return {
        "x": torch.randn(n, 3, generator=rng()),
        "latent": torch.randint(3, (n,), generator=rng(1)),
        "c": torch.randint(2, (n,), generator=rng(2)),
    }


def made(second=Normals, name="normals", space=SPACE, **options):
    kind = stack(VAE, second, "vae", name)
    torch.manual_seed(0)
    values = {**options, "vae": {"latent": 2, **options.get("vae", {})}}
    return kind(space, kind.Config.model_validate(values), TRUNK)


# ------------------------------------------------------------ the class


def test_one_class_for_the_same_families():
    assert stack(VAE, GAN, "vae", "gan") is stack(VAE, GAN, "vae", "gan")
    assert stack(VAE, GAN, "vae", "gan") is not stack(VAE, Diffusion, "vae", "diffusion")


def test_players_options_and_abilities_are_the_parts():
    kind = stack(VAE, Normals, "vae", "my-normals")
    assert kind.players == ("vae.model", "my_normals.left", "my_normals.right")
    assert kind.adjustable == {"my_normals.tone", "vae.top_p"}
    assert set(kind.Config().model_dump()) == {"share", "vae", "my_normals"}
    assert kind.capabilities == {"encode", "reconstruct", "complete", "log_prob"}


def test_there_is_no_bound_where_the_second_has_none():
    kind = stack(VAE, GAN, "vae", "gan")
    assert kind.capabilities == {"encode", "reconstruct", "complete"}
    assert kind.log_prob is Family.log_prob


def test_a_family_on_itself_has_two_tables():
    kind = stack(VAE, VAE, "vae", "vae")
    assert set(kind.Config.model_fields) == {"share", "vae", "vae2"}
    assert kind.players == ("vae.model", "vae2.model")


@pytest.mark.parametrize(
    "values", [{"share": 0}, {"share": 1}, {"vae": {"latent": 0}}, {"latent": 3}, {"gan": {}}]
)
def test_impossible_options_are_refused(values):
    with pytest.raises(ValueError, match="1 validation error"):
        stack(VAE, Normals, "vae", "normals").Config.model_validate(values)


def test_new_options_reach_the_parts():
    family = made(Diffusion, "diffusion")
    changed = family.config.model_copy(
        update={"diffusion": family.config.diffusion.model_copy(update={"steps": 3})}
    )
    family.config = changed
    assert family.config is changed and family.second.config.steps == 3
    assert family.first.config == changed.vae


# ------------------------------------------------------------ taking turns


def test_the_first_learns_for_its_share_then_the_second():
    family = made(share=0.25)
    assert family.turns(0.0) == [("vae.model", 0.0)]
    assert family.turns(0.2) == [("vae.model", pytest.approx(0.8))]
    assert family.turns(0.25) == [("normals.left", 0.0), ("normals.right", 0.0)]
    assert family.turns(0.625)[0] == ("normals.left", pytest.approx(0.5))
    assert family.turns(1.0)[1] == ("normals.right", pytest.approx(1.0))


def test_every_parameter_has_a_player_and_one_only():
    family = made(GAN, "gan")
    owned = [p for player in family.players for p in family.player_parameters(player)]
    assert len(owned) == len({id(p) for p in owned})
    assert {id(p) for p in owned} == {id(p) for p in family.parameters()}


def test_the_first_is_frozen_under_the_second():
    family = made()
    family.losses(records(), Step(0, 0.5, rng(), "normals.left"))["loss"].backward()
    assert all(p.grad is None for p in family.first.parameters())
    assert family.second.shift.grad is not None


def test_the_second_learns_standardised_draws_with_its_own_progress():
    family = made()
    family.standardiser.gather(torch.tensor([[1.0, 2.0], [3.0, 8.0]]))
    family.losses(records(), Step(3, 0.5, rng(), "normals.right"))
    ((player, progress, seen),) = family.second.seen
    assert (player, progress) == ("right", 0.5)
    z, _ = family.first.infer(records(), rng())
    assert torch.allclose(
        seen, (z - torch.tensor([2.0, 5.0])) / torch.tensor([1.0, 3.0]), atol=1e-4
    )
    assert not torch.allclose(z, family.first.encode(records()), atol=1e-2)  # draws, not means


def test_codes_go_to_the_second_as_they_are():
    family = made(Diffusion, "diffusion", vae={"latent_kind": "fsq", "levels": 5})
    assert family.standardiser is None
    assert family.second.space.fields["latent"] == Categorical(size=5, shape=(2,))
    family.second.space.check(family._within(family.first.encode(records()), records()))


def test_latents_are_measured_late_in_the_first_stage_and_only_while_training():
    family = made().train()

    def measured(progress, player="vae.model"):
        before = float(family.standardiser.weight)
        family.losses(records(), Step(0, progress, rng(), player))
        return float(family.standardiser.weight) > before

    assert not measured(0.5)
    assert measured(0.9)
    assert not measured(0.5, "normals.left")  # frozen now
    family.eval()
    assert not measured(1.0)


def test_a_training_too_short_to_measure_standardises_by_the_first_batch():
    family = made().train()
    family.losses(records(), Step(0, 0.0, rng(), "normals.left"))
    assert float(family.standardiser.weight) > 0
    assert torch.allclose(family.second.seen[0][2].mean(0), torch.zeros(2), atol=1e-3)
    family.eval()
    fresh = made().eval()
    fresh.losses(records(), Step(0, 0.0, rng(), "normals.left"))
    assert float(fresh.standardiser.weight) == 0


# ------------------------------------------------------------ drawing and the bound


def test_samples_are_the_seconds_latents_decoded():
    family = made()
    family.standardiser.gather(3 * torch.randn(500, 2, generator=rng()) + 4)
    condition = {"c": torch.tensor([0, 1, 1])}
    found = family.sample(3, condition, rng(5), temperature=0.0)
    family.space.check({**found, **condition})
    z = family.standardiser.inverse(torch.randn(3, 2, generator=rng(5)))
    expected = family.first.decode(z, condition, rng(), 0.0)
    assert torch.allclose(found["x"], expected["x"])


def test_with_the_vaes_own_prior_the_bound_is_the_vaes():
    """N(0, I) as the second: the same draws give the same bound, field by field."""
    family, batch = made(), records()
    found, expected = family.log_prob(batch, rng(3)), family.first.log_prob(batch, rng(3))
    assert set(found.fields) == {"x", "latent", "latent_"} == set(expected.fields)
    assert torch.allclose(found.total, expected.total, atol=1e-4)
    for name, value in found.fields.items():
        assert torch.allclose(value, expected.fields[name], atol=1e-4)


def test_the_bound_counts_the_units_of_the_latent():
    """Standardised by (m, s), the second's N(0, 1) is N(m, s) of the latents themselves."""
    family, batch = made(), records()
    family.standardiser.gather(3 * torch.randn(500, 2, generator=rng()) + 4)
    mean, scale = family.standardiser.moments()
    z, log_posterior = family.first.infer(batch, rng(3))
    nll = sum(family.first.nll_given(z, batch).values())
    exact = nll + log_posterior - Normal(mean, scale).log_prob(z).sum(1)
    assert torch.allclose(family.log_prob(batch, rng(3)).total, exact, atol=1e-4)


def test_more_samples_are_steadier_and_not_lower():
    family, batch = made(), records()
    totals = {
        k: torch.stack([family.log_prob(batch, rng(s), k).total for s in range(12)]) for k in (1, 8)
    }
    assert float(totals[8].std(0).mean()) < 0.6 * float(totals[1].std(0).mean())
    assert float(totals[8].mean()) == pytest.approx(float(totals[1].mean()), abs=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_reading_is_the_firsts(kind):
    family, batch = made(Diffusion, "diffusion", vae={"latent_kind": kind}), records()
    codes = family.encode(batch)
    assert torch.equal(codes, family.first.encode(batch))
    family.latent_field().check(codes)
    one = family.decode(codes, batch, rng(), 0.0)
    assert torch.equal(one["x"], family.reconstruct(batch, rng())["x"])
    known = {"x": torch.ones(64, 3) > 0}
    filled = family.complete(batch, known, rng())
    assert torch.equal(filled["x"], batch["x"])


def test_a_condition_may_be_called_latent():
    space = Space({"x": Real()}, Space({"latent": Real()}))
    family = made(Diffusion, "diffusion", space)
    batch = {"x": torch.randn(5), "latent": torch.randn(5)}
    assert family.second.space.names == ("latent_",)
    assert family.log_prob(batch, rng()).total.isfinite().all()


# ------------------------------------------------------------ in the trainer


def training(folder, kind, second, name, save_steps=0):
    family = made(second, name, vae={"latent_kind": kind})
    config = TrainingConfig(
        steps=20, batch_size=16, save_steps=save_steps, warmup=2, evaluate_every=5, ema=0.9
    )
    folder.mkdir(exist_ok=True)
    return Trainer(family, records(200), records(40), config, seed=3, folder=folder)


@pytest.mark.parametrize(
    ("kind", "second", "name", "places"),
    [
        ("gaussian", Diffusion, "diffusion", [(10, 9), (17, 16)]),  # while measuring, at the end
        ("fsq", Diffusion, "diffusion", [(13, 12)]),
        ("gaussian", GAN, "gan", [(11, 10)]),  # at the turn
    ],
    ids=["diffusion", "codes", "gan"],
)
def test_resumed_in_any_stage_equals_straight(tmp_path, kind, second, name, places):
    straight = training(tmp_path / "straight", kind, second, name)
    straight.run()
    expected = straight.family.state_dict()
    for stop, saved in places:
        broken = training(tmp_path / str(stop), kind, second, name, saved)
        step = broken.step

        def until(index, step=step, stop=stop):
            if index == stop:
                raise KeyboardInterrupt
            return step(index)

        broken.step = until
        with pytest.raises(KeyboardInterrupt):
            broken.run()
        again = training(tmp_path / str(stop), kind, second, name)
        assert latest_checkpoint(again.folder).name == f"step-{saved:08d}"
        again.run(resume=True)
        found = again.family.state_dict()
        assert all(torch.equal(found[key], value) for key, value in expected.items())


def test_each_stage_moves_its_own_part(tmp_path):
    trainer = training(tmp_path, "gaussian", Diffusion, "diffusion")
    parts = {"first": trainer.family.first, "second": trainer.family.second}
    step, moved = trainer.step, []

    def watched(index):
        before = {n: [p.clone() for p in part.parameters()] for n, part in parts.items()}
        shown = step(index)
        moved.append(
            {
                name
                for name, part in parts.items()
                if any(
                    not torch.equal(a, b)
                    for a, b in zip(before[name], part.parameters(), strict=True)
                )
            }
        )
        return shown

    trainer.step = watched
    trainer.run()
    assert moved == [{"first"}] * 10 + [{"second"}] * 10


def test_all_networks_of_both_parts_are_there_to_be_compiled():
    family = made(GAN, "gan")
    found = list(networks(family))
    expected = [*family.first.children(), *family.second.children(), family.standardiser]
    assert len(found) == len(expected) and set(found) == set(expected)
