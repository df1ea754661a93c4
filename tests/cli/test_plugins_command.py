"""``gmkit plugins ls|check``."""

from __future__ import annotations

import os

import pytest

PLUGIN = """
{top}
@hookimpl
def gmkit_register_metrics():
    return [
        MetricInfo(name="shown", loader="measures:shown"),
        MetricInfo(name="optional", loader="measures_extra:it", extra="more"),
    ]
"""


@pytest.fixture
def only_theirs(install, site, monkeypatch):
    """One sound plugin; every other (the core too, which is heavy to check) found but empty."""
    import gmkit.builtin

    for hook in ("families", "fields", "trunks", "scorers"):
        monkeypatch.delattr(gmkit.builtin, f"gmkit_register_{hook}")
    monkeypatch.setenv("GMKIT_PLUGINS", "gmkit-theirs")
    (site / "measures.py").write_text("def shown(): pass\n")
    return lambda top="": install("gmkit-theirs", PLUGIN.format(top=top), plugin="theirs")


def test_ls_shows_state_and_reason(gmkit, install):
    install("no-import", "import a_module_away")
    install("from-future", "", api="2.0")
    outcome = gmkit("plugins", "ls")
    assert outcome.code == 0
    lines = {line.split()[0]: line for line in outcome.out.splitlines() if line[:1].isalpha()}
    assert lines["core"].split()[-1] == "ok"
    assert "failed: No module named 'a_module_away'" in lines["no-import"]
    assert "disabled: written for plugin API 2.0" in lines["from-future"]
    assert "trunk: flat, columns, sequence" in outcome.out
    assert "Families stack with '+'" in outcome.out


def test_ls_as_json(gmkit, install):
    install("no-import", "import a_module_away", version="0.3")
    plugins = {p["name"]: p for p in gmkit("plugins", "ls", "--json").json["plugins"]}
    assert plugins["core"]["provides"]["trunk"] == [
        "flat",
        "columns",
        "sequence",
        "grid1d",
        "grid2d",
    ]
    assert plugins["no-import"] == {
        "name": "no-import",
        "distribution": "no-import",
        "version": "0.3",
        "api": "",
        "state": "failed",
        "reason": "No module named 'a_module_away' – pip install --upgrade no-import",
        "provides": {},
    }


def test_check_passes_a_sound_plugin(gmkit, only_theirs):
    only_theirs()
    outcome = gmkit("plugins", "check")
    assert outcome.code == 0, outcome.out
    assert "All well" in outcome.out
    assert "things provided: 2)" in outcome.out


def test_check_names_each_fault_and_exits_4(gmkit, only_theirs, install, site, monkeypatch):
    only_theirs(top="import scipy")
    (site / "scipy.py").touch()  # stands for the real one, which takes a second to import
    install("no-import", "import a_module_away")
    install(
        "lost-domain",
        "@hookimpl\ndef gmkit_register_domains():\n"
        "    return [DomainInfo(name='lost', loader='lost_away:It')]",
    )
    monkeypatch.setenv("GMKIT_PLUGINS", "theirs,no-import,lost-domain")
    outcome = gmkit("plugins", "check")
    assert outcome.code == 4
    assert sorted(outcome.out.splitlines()) == [
        "lost-domain: domain lost: domain 'lost' comes from lost-domain 1.0, which failed to "
        "load: No module named 'lost_away' – pip install --upgrade lost-domain",
        "no-import: failed: No module named 'a_module_away' – pip install --upgrade no-import",
        "theirs: import: describing it imports scipy, which slows every command",
    ]
    result = gmkit("plugins", "check", "--json").json
    assert result["ok"] is False
    assert {fault["plugin"] for fault in result["faults"]} == {
        "lost-domain",
        "no-import",
        "theirs",
    }


def test_check_survives_a_plugin_that_ends_the_process(gmkit, only_theirs):
    only_theirs(top=f"import os\nif os.getpid() != {os.getpid()}: os._exit(7)")
    outcome = gmkit("plugins", "check")
    assert outcome.code == 4
    assert outcome.out == "theirs: import: fails in a process of its own: exit code 7\n"
