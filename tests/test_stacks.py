"""``a+b``: what the registry makes of two families' names."""

from __future__ import annotations

import pytest

from gmkit.api import FamilyInfo
from gmkit.errors import ConfigError, PluginError
from gmkit.families.diffusion import Diffusion
from gmkit.families.stack import stack
from gmkit.families.vae import VAE
from gmkit.plugins import Registry
from gmkit.stacks import HOW, StackInfo, part_names, parts_of, stack_capabilities

THEIRS = """
@hookimpl
def gmkit_register_families():
    return [
        FamilyInfo(
            name="vae", loader="gmkit.families.vae:VAE", capabilities=frozenset({"encode"})
        ),
        FamilyInfo(name="their-best", loader="away:Away", preset={"steps": 3}),
    ]
"""


def test_two_names_are_one_family():
    known = Registry()
    info = known.get("family", "vae+diffusion")
    assert isinstance(info, StackInfo)
    assert info.name == "vae+diffusion"
    assert {name: part.name for name, part in info.parts.items()} == {
        "vae": "vae",
        "diffusion": "diffusion",
    }
    assert known.load(info) is stack(VAE, Diffusion, "vae", "diffusion")
    assert info.capabilities == known.load(info).capabilities
    assert parts_of(info) == info.parts and parts_of(info.first) == {}


def test_a_stack_is_no_entry_of_its_own():
    known = Registry()
    known.get("family", "vae+diffusion")
    assert not any("+" in name for name in known.families())


def test_an_unknown_part_is_told_with_the_nearest_name():
    for name, unknown in (("vea+diffusion", "vea"), ("vae+difusion", "difusion")):
        with pytest.raises(PluginError, match=f"unknown family '{unknown}'") as error:
            Registry().get("family", name)
        assert error.value.hint.startswith("Did you mean")
    with pytest.raises(PluginError) as error:
        Registry().get("family", "zzz")
    assert HOW in error.value.hint


def test_a_first_part_without_a_latent_is_told_who_has_one():
    with pytest.raises(ConfigError, match="diffusion has no latent for vae to learn") as error:
        Registry().get("family", "diffusion+vae")
    assert error.value.hint == "Families that can come first: vae, mixture."


@pytest.mark.parametrize("name", ["vae+", "+vae", "+", "vae+vae+vae"])
def test_what_does_not_join_two_is_refused(name):
    with pytest.raises(ConfigError, match="is not two families joined by") as error:
        Registry().get("family", name)
    assert error.value.hint == "For example: vae+diffusion"


def test_parts_of_plugins(install, monkeypatch):
    """Parts may be named in full, and what breaks is told of the part."""
    install("their-families", THEIRS)
    monkeypatch.setenv("GMKIT_PLUGINS", "their-families")
    known = Registry()
    with pytest.raises(PluginError, match="'vae' is ambiguous"):
        known.get("family", "vae+diffusion")
    info = known.get("family", "their-families:vae+their-best")
    assert list(info.parts) == ["vae", "their_best"]
    assert info.capabilities == {"encode"}
    with pytest.raises(PluginError, match="family 'their-best' comes from their-families"):
        known.load(info)


def test_names_and_abilities():
    assert part_names("vae", "vae") == ("vae", "vae2")
    assert part_names("my-vae", "gan") == ("my_vae", "gan")
    whole = {"encode", "reconstruct", "complete", "log_prob"}
    assert stack_capabilities(whole, {"critic"}) == whole - {"log_prob"}
    assert stack_capabilities({"encode", "critic"}, {"log_prob"}) == {"encode"}


def test_a_preset_is_a_record_of_the_same_family():
    known = Registry()
    flow = known.get("family", "flow")
    assert isinstance(flow, FamilyInfo)
    assert known.load(flow) is Diffusion
    assert Diffusion.Config.model_validate(dict(flow.preset)).objective == "flow"
    assert hash(flow) == hash(known.get("family", "flow"))
