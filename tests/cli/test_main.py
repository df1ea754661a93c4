"""The top of the command line: help, unknown commands, plugins' commands, errors, exit codes."""

from __future__ import annotations

import json

import pytest

import gmkit as package
from gmkit.cli.commands import COMMANDS

COMMAND = """
@hookimpl
def gmkit_register_commands():
    return [CommandInfo(name={name!r}, summary="Does a thing", loader="things:thing")]
"""


@pytest.fixture
def thing(install, site):
    """``thing(body)`` installs a plugin whose command ``thing`` runs ``body``."""

    def make(body: str, name: str = "thing") -> None:
        install("gmkit-things", COMMAND.format(name=name), plugin="things")
        (site / "things.py").write_text(
            f"from gmkit.errors import *\ndef thing(json: bool = False):\n    {body}\n"
        )

    return make


def test_help_lists_every_command(gmkit):
    out = gmkit("--help").out
    for name, (_, summary) in COMMANDS.items():
        assert name in out
        assert summary in out
    assert "╭─ Commands" in out


def test_no_arguments_is_help_and_a_usage_error(gmkit):
    outcome = gmkit()
    assert outcome.code == 2
    assert "Usage: gmkit" in outcome.out
    assert outcome.err == ""


def test_version(gmkit):
    assert gmkit("--version")[:2] == (0, f"gmkit {package.__version__}\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "No such command 'trian'. Did you mean 'train'?"),
        (["plugins", "lss"], "No such command 'lss'"),
        (["--bogus"], "No such option: --bogus"),
        (["plugins", "ls", "--bogus"], "No such option: --bogus"),
        (["data", "get"], "Missing argument"),
    ],
)
def test_usage_errors(gmkit, words, message):
    outcome = gmkit(*words)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.out == ""
    assert "Usage error" in outcome.err
    error = gmkit(*words, "--json").json["error"]
    assert (error["type"], error["exit_code"]) == ("UsageError", 2)
    assert message in error["message"]


def test_command_of_a_plugin(gmkit, thing):
    thing("print('done')")
    assert "Commands from plugins" in gmkit("--help").out
    assert gmkit("thing")[:2] == (0, "done\n")
    assert "Did you mean 'thing'?" in gmkit("thign").err


def test_command_of_a_plugin_never_overrides_ours(gmkit, thing):
    thing("print('done')", name="doctor")
    assert gmkit("doctor", "--help").out.count("installation") == 1
    assert gmkit("things:doctor")[:2] == (0, "done\n")


def test_command_that_cannot_be_imported(gmkit, install):
    install("gmkit-things", COMMAND.format(name="thing"), plugin="things")
    outcome = gmkit("thing")
    assert outcome.code == 4
    assert "command 'thing' comes from gmkit-things 1.0, which failed to load" in outcome.err


@pytest.mark.parametrize(
    ("raised", "code", "title", "texts"),
    [
        ("ConfigError('bad [x]', hint='do y')", 2, "Configuration error", ["bad [x]", "do y"]),
        ("DataError('bad', file='a.csv', row=3, column='c')", 3, "Data error", ["a.csv, row 3"]),
        ("PluginError('gone')", 4, "Plugin error", ["gone"]),
        ("ArtifactError('torn')", 5, "Artifact error", ["torn"]),
        ("TrainingError('nan')", 1, "Training stopped", ["nan"]),
        ("Interrupted('saved', signal=2)", 130, "Interrupted", ["saved"]),
        ("Interrupted('saved', signal=15)", 143, "Interrupted", ["saved"]),
        ("OSError(28, 'No space left on device', '/x')", 3, "Data error", ["/x: No space left"]),
        ("KeyError('k')", 1, "This is a bug in gmkit", ["KeyError: 'k'", "gmkit doctor"]),
    ],
)
def test_errors_are_one_panel_and_an_exit_code(gmkit, thing, raised, code, title, texts):
    thing(f"raise {raised}")
    outcome = gmkit("thing")
    assert outcome.code == code
    assert f"╭─ {title}" in outcome.err
    assert outcome.err.count("╭") == 1
    for text in texts:
        assert text in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.out == ""


def test_traceback_on_demand_from_anywhere(gmkit, thing):
    thing("raise ConfigError('bad')")
    for words in (["thing", "--traceback"], ["--traceback", "thing"]):
        outcome = gmkit(*words)
        assert outcome.code == 2
        assert "Traceback (most recent call last)" in outcome.err
        assert "Configuration error" in outcome.err


def test_errors_as_json(gmkit, thing):
    thing("raise DataError('bad', file='a.csv', row=3, column='c', hint='mend it')")
    outcome = gmkit("thing", "--json")
    assert outcome.code == 3
    assert outcome.json == {
        "error": {
            "type": "DataError",
            "message": "a.csv, row 3, column 'c': bad",
            "hint": "mend it",
            "exit_code": 3,
            "file": "a.csv",
            "row": 3,
            "column": "c",
        }
    }
    assert "mend it" in outcome.err


def test_words_after_two_dashes_are_not_ours(gmkit, thing):
    thing("raise ConfigError('bad')")
    outcome = gmkit("thing", "--", "--json", "--traceback")
    assert outcome.out == ""
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("raised", ["KeyboardInterrupt", "__import__('typer').Abort"])
def test_interruption(gmkit, thing, raised):
    thing(f"raise {raised}")
    assert gmkit("thing") == (130, "", "")


def test_colour_only_where_wanted(gmkit, thing, monkeypatch):
    thing("raise ConfigError('bad')")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[31m" in gmkit("thing").err
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in gmkit("thing").err


def test_public_names():
    assert {"train", "load", "Run", "hookimpl", "DataError"} <= set(dir(package))
    assert package.DataError.exit_code == 3
    assert package.hookimpl.project_name == "gmkit"
    with pytest.raises(AttributeError, match="module 'gmkit' has no attribute 'trian'"):
        package.trian  # noqa: B018


def test_json_is_strict(capsys):
    from gmkit.cli.console import emit

    emit({"a": float("nan"), "b": [float("inf"), 1.5], "c": {"d"}}, json=True, render=str)
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 1.5], "c": ["d"]}


def test_the_overview_has_the_options_there_are():
    """The page is written down, not asked of Typer."""
    import typer

    from gmkit.cli.app import app
    from gmkit.cli.commands import OPTIONS

    command = typer.main.get_command(app)
    context = command.make_context("gmkit", ["doctor"], resilient_parsing=True)
    found = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            found[record[0]] = record[1]
    assert found == OPTIONS
