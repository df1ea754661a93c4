"""Options: merged, checked, written and read again."""

from __future__ import annotations

import tomllib
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gmkit.config import (
    DataConfig,
    RunConfig,
    TrainingConfig,
    merge,
    parse_settings,
    read_toml,
    validated,
    write_toml,
)
from gmkit.errors import ConfigError
from gmkit.families.vae import VAEConfig
from gmkit.trunks import TrunkConfig


@pytest.mark.parametrize(
    ("pairs", "settings"),
    [
        ([], {}),
        (["family.latent=32"], {"family": {"latent": 32}}),
        (["a.b.c=1.5", "a.b.d=true"], {"a": {"b": {"c": 1.5, "d": True}}}),
        (["trunk.size=tiny"], {"trunk": {"size": "tiny"}}),
        (['trunk.size="tiny"'], {"trunk": {"size": "tiny"}}),
        ([" a = 1 "], {"a": 1}),
        (["a=b=c"], {"a": "b=c"}),
        (["a="], {"a": ""}),
        (["a=[1, 2]"], {"a": [1, 2]}),
        (["a=1", "a=2"], {"a": 2}),
        (["a=1\nb = 2"], {"a": "1\nb = 2"}),  # no second option by the back door
        (["a=" + "9" * 5000], {"a": "9" * 5000}),
        (["a=" + "[" * 9000], {"a": "[" * 9000}),
    ],
)
def test_parse_settings(pairs, settings):
    assert parse_settings(pairs) == settings


@pytest.mark.parametrize(
    ("pairs", "text"),
    [
        (["latent"], "--set 'latent' is not key=value"),
        (["=3"], "is not key=value"),
        (["a..b=3"], "is not key=value"),
        (["a=1", "a.b=2"], "'a' was already given a value"),
        (["a.b=2", "a=1"], "options of 'a' were already given"),
    ],
)
def test_settings_that_make_no_sense(pairs, text):
    with pytest.raises(ConfigError, match=text):
        parse_settings(pairs)


@given(st.lists(st.text(), max_size=4))
def test_any_settings_parse_or_are_refused(pairs):
    with suppress(ConfigError):
        assert isinstance(parse_settings(pairs), dict)


def test_later_layers_win_table_by_table():
    first = {"training": {"steps": 5, "clip": 2.0}, "seed": 1}
    second = {"training": {"steps": 9}, "seed": None, "family": {"latent": 3}}
    assert merge(first, second) == {
        "training": {"steps": 9, "clip": 2.0},
        "seed": 1,
        "family": {"latent": 3},
    }
    assert first == {"training": {"steps": 5, "clip": 2.0}, "seed": 1}
    assert merge({"a": {"b": 2}}, {"a": 1}) == {"a": 1}
    with pytest.raises(ConfigError, match="a = 1: 'a' is a table of options"):
        merge({"a": 1}, {"a": {"b": 2}})
    assert merge() == {}


def test_merged_tables_are_copies():
    layer = {"family": {"latent": 3}}
    merge(layer)["family"]["latent"] = 4
    assert layer == {"family": {"latent": 3}}


# ------------------------------------------------------------ checking


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ({}, ["option 'domain' is missing"]),
        (
            {"domain": "m", "training": {"stepz": 5}},
            ["unknown option 'training.stepz'. Did you mean 'steps'?"],
        ),
        ({"domain": "m", "trainig": {}}, ["unknown option 'trainig'. Did you mean 'training'?"]),
        ({"domain": "m", "data": {"valid": 2}}, ["data.valid = 2: input should be less than 1"]),
        (
            {"domain": "m", "training": {"optimiser": "sgd"}},
            ["training.optimiser = 'sgd': input should be 'adamw' or 'muon'"],
        ),
        (
            {"domain": "m", "training": {"steps": "many", "clip": -1}},
            ["training.steps = 'many': ", "training.clip = -1: "],
        ),
        ({"domain": "m", "training": {"betas": [0.9, 1.5]}}, ["training.betas.1 = 1.5: "]),
        ({"domain": "m", "training": 5}, ["training = 5: "]),
        (
            {"domain": "m", "training": {"learning_rate": float("inf")}},
            ["training.learning_rate = inf: input should be a finite number"],
        ),
        (
            {"domain": "m", "training": {"learning_rate": float("nan")}},
            ["training.learning_rate = nan: "],
        ),
        (
            {"domain": "m", "data": {"valid": 0.5, "test": 0.6}},
            ["data: valid + test = 1.1 leaves nothing to train on"],
        ),
        (
            {"domain": "m", "training": {"steps": 0}},
            ["training: steps = 0 needs a time_budget, or training would never end"],
        ),
        (
            {"domain": "m", "training": {"steps": 0, "time_budget": float("inf")}},
            ["training.time_budget = inf: "],
        ),
        ({"domain": "m", "seed": -1}, ["seed = -1: "]),
        ({"domain": "m", "seed": 2**63}, ["seed = "]),
    ],
)
def test_wrong_options_are_all_named(values, texts):
    with pytest.raises(ConfigError) as error:
        validated(RunConfig, values)
    lines = error.value.message.splitlines()
    assert len(lines) == len(texts)
    for line, text in zip(lines, texts, strict=True):
        assert line.startswith(text)
    assert "gmkit train --dry-run" in error.value.hint


@pytest.mark.parametrize(
    ("model", "values", "prefix", "text"),
    [
        (
            VAEConfig,
            {"latnt": 3},
            "family",
            "unknown option 'family.latnt'. Did you mean 'latent'?",
        ),
        (VAEConfig, {"latent": 0}, "family", "family.latent = 0: "),
        (TrunkConfig, {"width": 12}, "trunk", "trunk.width = 12: input should be a multiple of 8"),
        (DataConfig, {"valid": 0.9, "test": 0.9}, "data", "data: valid \\+ test = 1.8"),
    ],
)
def test_the_prefix_is_part_of_the_name(model, values, prefix, text):
    with pytest.raises(ConfigError, match=text):
        validated(model, values, prefix)


def test_no_steps_need_a_budget():
    assert TrainingConfig(steps=0, time_budget=5).steps == 0


# ------------------------------------------------------------ TOML

texts = st.text(st.characters(codec="utf-8"), max_size=12)
floats = st.floats(0, 0.49)
tables = st.dictionaries(
    texts,
    st.one_of(
        st.integers(-(2**63), 2**63 - 1),
        st.booleans(),
        texts,
        st.floats(allow_nan=False),
        st.lists(st.integers(-9, 9), max_size=3),
    ),
    max_size=4,
)
runs = st.builds(
    RunConfig,
    domain=texts,
    model=texts,
    seed=st.integers(0, 2**63 - 1),
    data=st.builds(
        DataConfig,
        source=texts,
        column=texts,
        strict=st.booleans(),
        valid=floats,
        test=floats,
        limit=st.none() | st.integers(1),
    ),
    codec=tables,
    family=tables,
    training=st.builds(
        TrainingConfig,
        steps=st.integers(1, 10**9),
        betas=st.tuples(floats, floats),
        time_budget=st.none() | st.floats(1e-3, 1e9),
        tensorboard=st.booleans(),
        optimiser=st.sampled_from(["adamw", "muon"]),
    ),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(runs)
def test_a_configuration_comes_back_through_toml(run):
    assert validated(RunConfig, tomllib.loads(write_toml(run))) == run


def test_toml_file_is_read_with_or_without_a_mark(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('seed = 3\n[data]\nsource = "ä.smi"\n', encoding="utf-8-sig")
    assert read_toml(path) == {"seed": 3, "data": {"source": "ä.smi"}}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"a = \nb = 1", "is not TOML: .*line 1"),
        (b"a = 1\na = 2\n", "is not TOML: .*line 2"),
        (b"a = " + b"[" * 50_000, "is not TOML"),
        (b"a = " + b"{b=" * 50_000, "is not TOML"),
        (b"a" + b".a" * 5000 + b" = 1", "nested more than 32 deep"),
        (b"[" + b"a." * 5000 + b"a]\n", "nested more than 32 deep"),
        (b"a = " + b"9" * 5000, "is not TOML"),
        (b"a = 2020-13-45", "is not TOML"),
        (b"\xff\xfe\x00", "cannot read the configuration"),
        (b"a = '\x00'", "is not TOML"),
    ],
)
def test_hostile_toml(tmp_path, content, text):
    path = tmp_path / "run.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=text) as error:
        read_toml(path)
    assert str(path) in error.value.message


def test_a_file_that_is_not_there(tmp_path):
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ConfigError, match="cannot read the configuration"):
            read_toml(path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60))
def test_any_bytes_are_settings_or_a_config_error(tmp_path, content):
    path = tmp_path / "run.toml"
    path.write_bytes(content)
    with suppress(ConfigError):
        assert isinstance(read_toml(path), dict)
