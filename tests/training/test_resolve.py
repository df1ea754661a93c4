"""Which options win: presets, the domain's for a family or a stack's parts, the user's."""

from __future__ import annotations

from typing import Any

import pytest

from gmkit.errors import ConfigError
from gmkit.families.diffusion import Diffusion
from gmkit.plugins import registry
from gmkit.training.resolve import suited

ANSWERS: dict[str, dict[str, Any]] = {
    "vae": {"family": {"latent": 5}, "sampling": {"temperature": 0.6}},
    "diffusion": {"family": {"steps": 7, "sampler": "heun"}},
}
TRAINING = {"steps": 11}


class Known:
    """A domain that has ``answers`` for some families, and the same training for all."""

    def __init__(self, answers=ANSWERS):
        self.answers = answers
        self.asked = []

    def defaults(self, family, budget):
        self.asked.append((family, budget))
        return {"training": TRAINING, **self.answers.get(family, {})}


def found(name, **answers):
    return suited(Known({**ANSWERS, **answers}), registry().get("family", name), 60.0)


def test_a_plain_family_has_the_domains_own():
    domain = Known()
    assert suited(domain, registry().get("family", "vae"), 60.0) == {
        "training": TRAINING,
        **ANSWERS["vae"],
    }
    assert domain.asked == [("vae", 60.0)]


def test_a_preset_goes_over_its_familys_and_under_its_own():
    assert found("flow")["family"] == {
        "steps": 7,
        "sampler": "euler",
        "objective": "flow",
        "schedule": "flow",
    }
    own = found("flow", flow={"family": {"sampler": "heun"}})["family"]
    assert own == {"sampler": "heun", "objective": "flow", "schedule": "flow"}


def test_a_stack_has_its_parts_and_draws_as_the_first():
    settings = found("vae+flow")
    assert settings["training"] == TRAINING
    assert settings["sampling"] == {"temperature": 0.6}
    assert settings["family"]["vae"] == {"latent": 5}
    assert settings["family"]["flow"]["sampler"] == "euler"
    assert settings["family"]["flow"]["steps"] == 7


def test_what_the_domain_says_of_the_stack_itself_wins():
    stack = {"family": {"share": 0.7, "vae": {"beta": 0.1}}, "sampling": {"temperature": 1.0}}
    settings = found("vae+diffusion", **{"vae+diffusion": stack})
    assert settings["family"] == {
        "share": 0.7,
        "vae": {"beta": 0.1},
        "diffusion": {"steps": 7, "sampler": "heun"},
    }
    assert settings["sampling"] == {"temperature": 1.0}


def test_a_domain_without_wishes():
    assert suited(Known({}), registry().get("family", "vae+diffusion"), None) == {
        "training": TRAINING,
        "family": {"vae": {}, "diffusion": {}},
    }


# ------------------------------------------------------------ a whole configuration


@pytest.fixture
def resolve(monkeypatch):
    """``resolve`` for the domain above, with a codec that has no options."""
    from gmkit.training import resolve as module

    class Codec:
        class Config:
            pass

        @property
        def config(self):
            from gmkit.families.family import FamilyConfig

            return FamilyConfig()

    class Whole(Known):
        def codec(self, config):
            return Codec()

    monkeypatch.setattr(module, "check_names", lambda settings: None)
    monkeypatch.setattr(type(registry()), "domain", lambda self, name: Whole())
    return module.resolve


def test_the_users_options_win_and_a_stored_run_gets_nothing_added(resolve):
    given = {"domain": "d", "model": "flow", "family": {"sampler": "ddim"}}
    made = resolve(given)
    assert made.family is Diffusion
    assert (made.family_config.sampler, made.family_config.steps) == ("ddim", 7)
    assert made.family_config.objective == "flow"
    whole = made.config.model_dump(mode="json")
    assert whole["family"]["schedule"] == "flow"
    assert resolve(whole, stored=True).config == made.config
    assert resolve(given, stored=True).family_config.objective == "velocity"


def test_a_stack_stores_a_table_for_each_part(resolve):
    made = resolve({"domain": "d", "model": "vae+diffusion", "family": {"vae": {"latent": 3}}})
    whole = made.config.model_dump(mode="json")
    assert whole["model"] == "vae+diffusion"
    assert (whole["family"]["vae"]["latent"], whole["family"]["diffusion"]["steps"]) == (3, 7)
    assert resolve(whole, stored=True).config == made.config


def test_a_wrong_option_is_named_whole(resolve):
    with pytest.raises(ConfigError) as error:
        resolve({"domain": "d", "model": "vae+diffusion", "family": {"vae": {"latnt": 3}}})
    assert "unknown option 'family.vae.latnt'. Did you mean 'latent'?" in error.value.message
    with pytest.raises(ConfigError, match=r"family\.share = 2"):
        resolve({"domain": "d", "model": "vae+diffusion", "family": {"share": 2}})
