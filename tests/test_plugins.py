"""The plugin door: what loads, what is set aside and why, and what a user is then told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gmkit.api import FamilyInfo
from gmkit.errors import PluginError
from gmkit.plugins import PluginState, Registry, registry

GOOD = """
@hookimpl
def gmkit_register_domains():
    return [DomainInfo(name="{name}", loader="{name}_domain:It")]
"""
DOMAIN = """
from gmkit.domain import Domain
class It(Domain):
    def codec(self, config): return None
    def validate(self, records): return None
"""


def states(known: Registry) -> dict[str, PluginState]:
    return {plugin.name: plugin for plugin in known.plugins()}


def test_the_core_comes_through_the_door(site):
    core = states(Registry())["core"]
    assert (core.state, core.api, core.distribution) == ("ok", "1.0", "gmkit")
    assert core.provides["family"][0] == "vae"
    assert Registry().families()["vae"].capabilities >= {"log_prob", "encode"}
    assert set(Registry().fields()) >= {"real", "categorical"}
    assert set(Registry().trunks()) >= {"flat", "sequence"}


def test_six_faulty_plugins_harm_only_themselves(install):
    install("good-one", GOOD.format(name="one"))
    install("no-import", "import a_module_that_is_not_there")
    install("raises", "raise RuntimeError('boom\\nsecond line')")
    install("no-api", GOOD.format(name="none"), api=None)
    install("from-future", GOOD.format(name="future"), api="2.0", version="2.4")
    install("misspelt", "@hookimpl\ndef gmkit_register_domain(): return []")
    install("hook-raises", "@hookimpl\ndef gmkit_register_domains(): raise ValueError('no')")
    install("good-two", GOOD.format(name="two"))
    known = Registry()
    assert {"one", "two"} <= set(known.domains())
    assert not {"none", "future"} & set(known.domains())
    found = states(known)
    reasons = {name: (found[name].state, found[name].reason) for name in found}
    assert reasons["no-import"] == (
        "failed",
        "No module named 'a_module_that_is_not_there' – pip install --upgrade no-import",
    )
    assert reasons["raises"] == ("failed", "RuntimeError: boom")
    assert reasons["no-api"] == (
        "disabled",
        'states no __gmkit_api__; expected __gmkit_api__ = "1.0" in fake_no_api',
    )
    assert reasons["from-future"] == (
        "disabled",
        "written for plugin API 2.0; this gmkit speaks 1.0; "
        "upgrade gmkit or install from-future<2.4",
    )
    assert reasons["misspelt"] == (
        "failed",
        "there is no hook 'gmkit_register_domain'. Did you mean 'gmkit_register_domains'?",
    )
    assert reasons["hook-raises"] == (
        "failed",
        "gmkit_register_domains() raised ValueError: no",
    )
    assert found["good-one"].state == found["good-two"].state == "ok"
    assert found["good-two"].provides == {"domain": ("two",)}


@pytest.mark.parametrize(
    ("api", "reason"),
    [
        ("1.1", "written for plugin API 1.1; this gmkit speaks 1.0; upgrade gmkit or install"),
        ("0.9", "written for plugin API 0.9; this gmkit speaks 1.0; upgrade old-one"),
        ("one", "__gmkit_api__ is 'one'; expected text such as \"1.0\""),
    ],
)
def test_api_gate(install, api, reason):
    install("old-one", GOOD.format(name="one"), api=api)
    plugin = states(Registry())["old-one"]
    assert plugin.state == "disabled"
    assert plugin.reason.startswith(reason)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return 5", "gmkit_register_domains() raised TypeError: 'int' object is not iterable"),
        ("return ['one']", "gmkit_register_domains() returned str, expected DomainInfo"),
        ("raise SystemExit(3)", "gmkit_register_domains() raised SystemExit: 3"),
        (
            "return [DomainInfo(name='Bad Name', loader='a:B')]",
            "gmkit_register_domains() raised ValueError: name 'Bad Name' is not lower-case",
        ),
        (
            "return [DomainInfo(name='a', loader='a:B')] * 2",
            "gmkit_register_domains() names 'a' twice",
        ),
    ],
)
def test_malformed_answers(install, body, reason):
    install("bad", f"@hookimpl\ndef gmkit_register_domains():\n    {body}\n")
    plugin = states(Registry())["bad"]
    assert plugin.state == "failed"
    assert plugin.reason.startswith(reason)
    assert plugin.provides == {}


def test_a_hook_that_fails_loses_only_its_own_answer(install):
    install(
        "half",
        GOOD.format(name="half")
        + "@hookimpl\ndef gmkit_register_metrics(): raise KeyError('lost')\n",
    )
    known = Registry()
    assert states(known)["half"].state == "failed"
    assert "half" in known.domains()


def test_hooks_run_once_and_only_when_needed(install, site):
    install(
        "counting",
        """
        CALLS = []
        @hookimpl
        def gmkit_register_domains():
            CALLS.append("domains")
            return []
        @hookimpl
        def gmkit_register_commands():
            CALLS.append("commands")
            return []
        """,
    )
    known = Registry()
    calls = sys.modules["fake_counting"].CALLS
    assert calls == []
    known.commands(), known.commands()
    assert calls == ["commands"]


def test_damaged_metadata_is_no_concern_of_others(install, site: Path):
    install("good-one", GOOD.format(name="one"))
    damaged = site / "damaged-1.0.dist-info"
    damaged.mkdir()
    (damaged / "entry_points.txt").write_bytes(b"[gmkit.plugins]\nno equals sign \xff\n")
    assert "one" in Registry().domains()


def test_clash_names_both_and_both_are_reachable(install):
    install(
        "their-vae",
        """
        @hookimpl
        def gmkit_register_families():
            return [FamilyInfo(name="vae", loader="their:VAE")]
        """,
    )
    known = Registry()
    with pytest.raises(PluginError) as error:
        known.get("family", "vae")
    assert "'core:vae' and 'their-vae:vae'" in error.value.message
    assert {"core:vae", "their-vae:vae"} <= set(known.families())
    assert "vae" not in known.families()
    assert known.get("family", "core:vae").loader == "gmkit.families.vae:VAE"
    assert known.get("family", "their-vae:vae").loader == "their:VAE"
    assert known.owner(known.get("family", "their-vae:vae")) == "their-vae"


def test_full_name_works_without_a_clash(site):
    assert Registry().get("family", "core:vae") is not None


def test_first_party_plugin_name_cannot_be_taken(install):
    install("aaa-impostor", GOOD.format(name="bogus"), plugin="molecules")
    install("gmkit-molecules", GOOD.format(name="molecules"), plugin="molecules", version="9.0")
    found = Registry().plugins()
    impostor = next(p for p in found if p.distribution == "aaa-impostor")
    assert impostor.reason == "gmkit-molecules 9.0 has a plugin called 'molecules' already"
    assert next(p for p in found if p.distribution == "gmkit-molecules").state == "ok"


def test_environment_chooses(install, monkeypatch):
    install("good-one", GOOD.format(name="one"), plugin="one")
    install("good-two", GOOD.format(name="two"), plugin="two")
    monkeypatch.setenv("GMKIT_PLUGINS", "one")
    found = states(Registry())
    assert (found["core"].state, found["one"].state) == ("ok", "ok")
    assert (found["two"].state, found["two"].reason) == (
        "disabled",
        "GMKIT_PLUGINS does not name it",
    )
    monkeypatch.setenv("GMKIT_PLUGINS", "")
    assert {n for n, p in states(Registry()).items() if p.state == "ok"} == {"core"}
    monkeypatch.delenv("GMKIT_PLUGINS")
    monkeypatch.setenv("GMKIT_DISABLE_PLUGINS", "core, good-one")
    found = states(Registry())
    assert (found["core"].state, found["two"].state) == ("ok", "ok")
    assert found["one"].reason == "GMKIT_DISABLE_PLUGINS names it"
    with pytest.raises(PluginError, match=r"comes from good-one 1.0, which is disabled: GMKIT_DIS"):
        Registry().get("domain", "one")


def test_strict_mode_raises_with_the_cause(install, monkeypatch):
    install("raises", "raise RuntimeError('boom')")
    monkeypatch.setenv("GMKIT_STRICT_PLUGINS", "1")
    with pytest.raises(
        PluginError, match=r"plugin 'raises' .* failed: RuntimeError: boom"
    ) as error:
        Registry()
    assert isinstance(error.value.__cause__, RuntimeError)


def test_strict_mode_raises_for_a_hook(install, monkeypatch):
    install("bad", "@hookimpl\ndef gmkit_register_domains(): return ['x']")
    monkeypatch.setenv("GMKIT_STRICT_PLUGINS", "1")
    with pytest.raises(PluginError, match="returned str, expected DomainInfo"):
        Registry().domains()


def test_absent_domain_repeats_why(install):
    install("gmkit-molecules", "import rdkit_is_away", plugin="molecules", version="9.3.0")
    with pytest.raises(PluginError) as error:
        Registry().get("domain", "molecules")
    assert error.value.message == (
        "domain 'molecules' comes from gmkit-molecules 9.3.0, which failed to load: "
        "No module named 'rdkit_is_away' – pip install gmkit[molecules]"
    )


def test_unknown_names(install, monkeypatch):
    install("good-one", GOOD.format(name="proteins"))
    monkeypatch.setenv("GMKIT_PLUGINS", "good-one")
    known = Registry()

    def hint(kind: str, name: str) -> str:
        with pytest.raises(PluginError, match=f"unknown {kind} '{name}'") as error:
            known.get(kind, name)
        return error.value.hint.splitlines()[0]

    assert hint("domain", "protein") == "Did you mean 'proteins'?"
    assert hint("domain", "audio") == "pip install gmkit[audio]"
    assert hint("domain", "imagse") == (
        "Did you mean 'images'? It comes with: pip install gmkit[images]"
    )
    assert hint("domain", "zzz") == "Known: proteins."
    assert hint("family", "vea") == "Did you mean 'vae'?"


def test_domain_instance_knows_its_info(install, site):
    install("good-one", GOOD.format(name="one"))
    (site / "one_domain.py").write_text(DOMAIN)
    known = Registry()
    domain = known.domain("one")
    assert domain.info is known.domains()["one"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "import away_too",
            "domain 'one' comes from good-one 1.0, which failed to load: "
            "No module named 'away_too' – pip install --upgrade good-one",
        ),
        ("It = 3", "domain 'one': one_domain:It is not a gmkit.domain.Domain"),
        ("", "failed to load: AttributeError: module 'one_domain' has no attribute 'It'"),
        (
            DOMAIN + "    def __init__(self): import away_late",
            "failed to load: No module named 'away_late' – pip install --upgrade good-one",
        ),
    ],
)
def test_domain_that_cannot_be_made(install, site, source, message):
    install("good-one", GOOD.format(name="one"))
    (site / "one_domain.py").write_text(source)
    with pytest.raises(PluginError) as error:
        Registry().domain("one")
    assert message in error.value.message


def test_missing_extra_of_a_metric_is_named(install):
    install(
        "gmkit-molecules",
        plugin="molecules",
        version="9.0",
        source="""
        @hookimpl
        def gmkit_register_metrics():
            return [MetricInfo(name="fcd", loader="fcd_away:fcd", extra="fcd")]
        """,
    )
    known = Registry()
    with pytest.raises(PluginError, match=r"pip install gmkit-molecules\[fcd\]"):
        known.load(known.get("metric", "molecules:fcd"))


def test_record_without_loader_is_not_imported(site):
    with pytest.raises(PluginError, match="failed to load: No module named 'nowhere'"):
        Registry().load(FamilyInfo(name="mine", loader="nowhere:X"))


def test_registry_is_made_once(site):
    registry.cache_clear()
    try:
        assert registry() is registry()
    finally:
        registry.cache_clear()
