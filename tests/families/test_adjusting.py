"""Options of a model that are changed for one drawing."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from pydantic import BaseModel, Field

from gmkit.errors import ConfigError
from gmkit.families import Family
from gmkit.families.adjusting import adjusted, adjustment
from gmkit.families.family import FamilyConfig
from gmkit.fields import Real, Space
from gmkit.trunks import TrunkConfig


class Part(BaseModel, extra="forbid"):
    steps: int = Field(10, ge=1)
    width: int = 3


class Config(FamilyConfig):
    guidance: float | None = 1.0
    rate: float = 0.5
    first: Part = Part()
    second: Part = Part()


class Counter(Family):
    """Draws what its options are."""

    Config = Config
    adjustable: ClassVar[frozenset[str]] = frozenset({"guidance", "first.steps"})

    def losses(self, batch, step):
        return {"loss": torch.zeros(())}

    def sample(self, n, condition, rng, temperature=1.0):
        return {"x": torch.full((n,), float(self.config.first.steps))}


@pytest.fixture
def family():
    return Counter(Space({"x": Real()}), Config(guidance=None), TrunkConfig())


def test_the_options_hold_within(family):
    before = family.config
    with adjusted(family, adjustment(family, ["first.steps=20"])):
        assert family.sample(1, None, torch.Generator())["x"].item() == 20
    assert family.config is before
    with pytest.raises(ZeroDivisionError), adjusted(family, adjustment(family, ["steps=20"])):
        _ = 1 / 0
    assert family.config is before
    assert before.first.steps == 10


@pytest.mark.parametrize(
    "settings",
    [
        ["first.steps=20"],
        ["family.first.steps=20"],
        ["steps=20"],
        {"steps": 20},
        {"family": {"first": {"steps": 20}}},
    ],
)
def test_ways_to_name_an_option(family, settings):
    found = adjustment(family, settings)
    assert found == Config(guidance=None, first=Part(steps=20))


def test_nothing_changes_nothing(family):
    assert adjustment(family, ()) is family.config
    assert adjustment(family, {}) is family.config


@pytest.mark.parametrize(
    ("setting", "message", "hint"),
    [
        ("rate=1", "'rate' cannot be changed", "These can: first.steps, guidance."),
        ("second.steps=3", "cannot be changed", "Did you mean 'first.steps'? These can"),
        ("guidence=3", "cannot be changed", "Did you mean 'guidance'?"),
        ("training.steps=3", "'training.steps' cannot", "These can"),
        ("temperature=1", "cannot be changed", "--temperature 0.7"),
        ("steps=0", "family.first.steps = 0", "Options"),
        ("guidance=much", "family.guidance = 'much'", "Options"),
    ],
)
def test_others_are_refused(family, setting, message, hint):
    with pytest.raises(ConfigError) as told:
        adjustment(family, [setting])
    assert message in told.value.message
    assert hint in told.value.hint


def test_an_ambiguous_ending_is_refused(family):
    family.adjustable = frozenset({"first.steps", "second.steps"})
    with pytest.raises(ConfigError, match="'steps' cannot be changed"):
        adjustment(family, ["steps=3"])


def test_a_family_without_any_says_so(family):
    family.adjustable = frozenset()
    with pytest.raises(ConfigError) as told:
        adjustment(family, ["steps=3"])
    assert told.value.hint == "Of this model none can."
