"""Configuration of a run: pydantic models, TOML files, ``--set key=value``.

Precedence, later wins: defaults of the models, what the domain finds suitable, the ``--config``
file, ``--set``, the dedicated options. What a run used is written whole to its ``config.toml``.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gmkit.errors import ConfigError, did_you_mean

Settings = dict[str, Any]
"""Nested option values, as in a TOML file."""
Share = Annotated[float, Field(ge=0, lt=1)]
MAX_DEPTH = 32
"""Tables within tables that a configuration file may have; far more would end the stack."""


class Section(BaseModel):
    """A table of options; an unknown one is an error."""

    # A family's own options may hold inf, which TOML can say and JSON cannot: the dump keeps it.
    model_config = ConfigDict(
        extra="forbid",
        validate_default=True,
        allow_inf_nan=False,
        ser_json_inf_nan="constants",
    )


class DataConfig(Section):
    """``data.*``: what to learn from."""

    source: str = Field("", description="path or data set name; empty: the domain's default")
    column: str = Field("", description="column of the record; empty: found by name")
    strict: bool = Field(False, description="fail on the first unusable record")
    valid: float = Field(0.05, ge=0, lt=1, description="share held out to stop early")
    test: float = Field(0.10, ge=0, lt=1, description="share held out to evaluate")
    limit: int | None = Field(None, ge=1, description="use only the first records")
    variants: int = Field(
        1, ge=1, le=100, description="ways in which a training record is written, where it has some"
    )
    cache: bool = Field(True, description="keep prepared records, so that the next run has them")

    @model_validator(mode="after")
    def _leaves_some(self) -> DataConfig:
        if self.valid + self.test >= 1:
            raise ValueError(
                f"valid + test = {self.valid + self.test:g} leaves nothing to train on"
            )
        return self


class TrainingConfig(Section):
    """``training.*``: how to optimise."""

    steps: int = Field(2000, ge=0, description="optimiser steps; 0: until the time budget")
    passes: int = Field(
        0, ge=0, description="passes through the records at most, if that is fewer steps; 0: any"
    )
    batch_size: int = Field(128, ge=1, description="records a step")
    learning_rate: float = Field(1e-3, gt=0)
    min_learning_rate: float = Field(0.02, ge=0, le=1, description="share left at the end")
    warmup: int = Field(100, ge=0, description="steps of linear warm-up")
    optimiser: Literal["adamw", "muon"] = Field(
        "adamw", description="muon: orthogonalised updates for matrices, AdamW for the rest"
    )
    weight_decay: float = Field(0.01, ge=0)
    betas: tuple[Share, Share] | None = Field(
        None, description="decay of AdamW's two moments; by default what suits the model"
    )
    clip: float = Field(1.0, ge=0, description="largest gradient norm; 0: no clipping")
    ema: float = Field(0.999, ge=0, lt=1, description="decay of averaged weights; 0: none")
    evaluate_every: int = Field(500, ge=0, description="steps between validations; 0: none")
    patience: int = Field(0, ge=0, description="validations without gain until stop; 0: never")
    save_every: float = Field(60.0, gt=0, description="seconds between checkpoints")
    save_steps: int = Field(0, ge=0, description="steps between checkpoints; 0: by time only")
    skips: int = Field(10, ge=1, description="non-finite steps in a row before rolling back")
    time_budget: float | None = Field(None, gt=0, description="seconds; the schedule ends there")
    threads: int = Field(0, ge=0, le=1024, description="processor threads; 0: by model size")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps")
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: bool = Field(False, description="torch.compile the losses")
    tensorboard: bool = Field(False, description="also write TensorBoard events")
    dp_epsilon: float | None = Field(
        None, gt=0, le=1000, description="train with differential privacy of this epsilon"
    )
    dp_delta: float | None = Field(None, gt=0, lt=1, description="default: 1 / (10 records)")
    dp_clip: float = Field(1.0, gt=0, description="largest gradient of a record, with dp_epsilon")

    def settled(self, records: int) -> TrainingConfig:
        """With as many steps as ``passes`` through so many records leave."""
        if not self.passes or not self.steps:
            return self
        most = max(1, math.ceil(self.passes * records / self.batch_size))
        return self.model_copy(update={"steps": min(self.steps, most)})

    @model_validator(mode="after")
    def _ends(self) -> TrainingConfig:
        if not self.steps and not self.time_budget:
            raise ValueError("steps = 0 needs a time_budget, or training would never end")
        return self


class SamplingConfig(Section):
    """``sampling.*``: how records are drawn when the caller does not say."""

    temperature: float = Field(
        1.0, ge=0, allow_inf_nan=False, description="below 1: safer and less diverse"
    )


class RunConfig(Section):
    """All options of a run. ``codec`` and ``family`` are checked by their own models."""

    domain: str
    model: str = "vae"
    seed: int = Field(0, ge=0, lt=2**63)
    data: DataConfig = DataConfig()
    codec: Settings = Field(default_factory=dict)
    family: Settings = Field(default_factory=dict)
    trunk: Settings = Field(default_factory=dict)
    training: TrainingConfig = TrainingConfig()
    sampling: SamplingConfig = SamplingConfig()


def read_toml(path: Path) -> Settings:
    """Options of a TOML file. Raises ConfigError naming file and line."""
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        _limit_depth(settings)
        return settings
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read the configuration {path}: {error}",
            hint="Give --config the path of a TOML file, for example a run's config.toml.",
        ) from error
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits
        raise ConfigError(
            f"{path} is not TOML: {error}", hint="See https://toml.io for its rules."
        ) from error


def write_toml(config: RunConfig) -> str:
    """The configuration as TOML text; unset options are left out."""
    return tomlkit.dumps(config.model_dump(mode="json", exclude_none=True))


def parse_settings(pairs: Iterable[str]) -> Settings:
    """``["family.latent=32", "trunk.size=tiny"]`` → nested values.

    Values are TOML; what is not TOML is taken as a string. Raises ConfigError on a pair without
    ``=`` or a key that is set both as value and as table.
    """
    settings: Settings = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        path = key.strip().split(".")
        if not equals or not all(path):
            raise ConfigError(
                f"--set {pair!r} is not key=value", hint="Write for example --set family.latent=32"
            )
        table = settings
        for part in path[:-1]:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise ConfigError(f"--set {pair!r}: {part!r} was already given a value")
        if isinstance(table.get(path[-1]), dict):
            raise ConfigError(f"--set {pair!r}: options of {path[-1]!r} were already given")
        table[path[-1]] = _value(text.strip())
    return settings


def _value(text: str) -> Any:
    """A TOML value, or the text itself when it is none."""
    try:
        settings = tomllib.loads(f"value = {text}")
        _limit_depth(settings)
    except (ValueError, RecursionError):
        return text
    return settings["value"] if len(settings) == 1 else text


def _limit_depth(value: Any, depth: int = 0) -> None:
    """Raise ValueError for tables and arrays nested deeper than ``MAX_DEPTH``."""
    if depth > MAX_DEPTH:
        raise ValueError(f"values nested more than {MAX_DEPTH} deep")
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            _limit_depth(inner, depth + 1)


def merge(*layers: Mapping[str, Any]) -> Settings:
    """Nested tables overlaid; later layers win. Raises ConfigError for a value where a later
    layer has a table."""
    merged: Settings = {}
    for layer in layers:
        for key, value in layer.items():
            below = merged.get(key)
            if isinstance(value, Mapping):
                if below is not None and not isinstance(below, Mapping):
                    raise ConfigError(f"{key} = {below!r}: {key!r} is a table of options")
                merged[key] = merge(below or {}, value)
            elif value is not None:
                merged[key] = value
    return merged


def validated(model: type[BaseModel], values: Mapping[str, Any], prefix: str = "") -> Any:
    """``model`` filled with ``values``. Raises ConfigError naming every wrong option in dotted
    form, what was expected, and the closest known name."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError(explain(model, error, prefix), hint=SEE) from error


SEE = "Options and defaults: gmkit train --dry-run, or a run's config.toml."


def explain(model: type[BaseModel], error: ValidationError, prefix: str = "") -> str:
    """What is wrong with each option, a line each."""
    return "\n".join(_explain(model, problem, prefix) for problem in error.errors())


def _explain(model: type[BaseModel], problem: Any, prefix: str) -> str:
    """One line for one of pydantic's errors."""
    place = [str(part) for part in problem["loc"]]
    name = ".".join([*([prefix] if prefix else []), *place])
    if problem["type"] == "missing":
        return f"option {name!r} is missing"
    if problem["type"] == "value_error":  # of our own validators, about a whole table
        return f"{name}: {problem['ctx']['error']}" if name else str(problem["ctx"]["error"])
    if problem["type"] != "extra_forbidden":
        return f"{name} = {problem['input']!r}: {problem['msg'].lower()}"
    for part in place[:-1]:
        annotation = model.model_fields[part].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return f"unknown option {name!r}"
        model = annotation
    return f"unknown option {name!r}. {did_you_mean(place[-1], model.model_fields)}"
