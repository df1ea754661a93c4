"""The shared options, as a command that takes them all sees them."""

from __future__ import annotations

import pytest
import typer

from gmkit.cli import options
from gmkit.errors import ConfigError

SEEN: dict[str, object] = {}


def command(
    out: options.Out = None,
    seed: options.Seed = None,
    device: options.Device = None,
    precision: options.Precision = None,
    time_budget: options.TimeBudget = None,
    resume: options.Resume = False,
    settings: options.Set = None,
    config: options.Config = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    dry_run: options.DryRun = False,
    strict: options.Strict = False,
) -> None:
    SEEN.update(locals())


def parse(*words: str) -> dict[str, object]:
    app = typer.Typer()
    app.command()(command)
    SEEN.clear()
    typer.main.get_command(app).main(list(words), standalone_mode=False)
    return dict(SEEN)


def test_nothing_given_is_none_or_false():
    assert set(parse().values()) == {None, False}


def test_all_given(tmp_path):
    file = tmp_path / "run.toml"
    file.touch()
    line = (
        f"--out a/b --seed 7 --device cuda:1 --precision bf16 --time-budget 1h30m --resume "
        f"--set family.latent=32 --set a=b=c --config {file} --json -q --dry-run --strict"
    )
    seen = parse(*line.split())
    assert str(seen.pop("out")) == "a/b"
    assert seen == {
        "seed": 7,
        "device": "cuda:1",
        "precision": "bf16",
        "time_budget": 5400.0,
        "resume": True,
        "settings": ["family.latent=32", "a=b=c"],
        "config": file,
        "json": True,
        "quiet": True,
        "dry_run": True,
        "strict": True,
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--device", "gpu"], "--device 'gpu' is no device"),
        (["--set", "latent"], "--set 'latent' is not KEY=VALUE"),
        (["--set", "=3"], "--set '=3' is not KEY=VALUE"),
        (["--time-budget", "5"], "'5' is not a duration"),
    ],
)
def test_nonsense_is_a_config_error(words, message):
    with pytest.raises(ConfigError) as error:
        parse(*words)
    assert error.value.message.startswith(message)
    assert error.value.hint


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seed", "-1"], "greater than or equal to 0"),
        (["--precision", "fp8"], "'fp8' is not one of"),
        (["--config", "absent.toml"], "does not exist"),
    ],
)
def test_nonsense_is_a_usage_error(words, message):
    with pytest.raises(typer.TyperException) as error:
        parse(*words)
    assert message in error.value.format_message()
