"""The options that mean the same in every command (DESIGN.md §4).

All values default to None or False, so that a command can tell an option given from one left to
the configuration file or the domain's defaults.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from gmkit.errors import ConfigError
from gmkit.training.budget import parse_duration

_DEVICE = re.compile(r"auto|cpu|mps|(cuda|xpu)(:\d{1,3})?")
_SETTING = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*=.*", re.DOTALL)


def _device(text: str | None) -> str | None:
    if text is not None and not _DEVICE.fullmatch(text):
        raise ConfigError(
            f"--device {text!r} is no device", hint="Write auto, cpu, cuda, cuda:1, mps or xpu."
        )
    return text


def _settings(pairs: list[str] | None) -> list[str] | None:
    for pair in pairs or ():
        if not _SETTING.fullmatch(pair):
            raise ConfigError(
                f"--set {pair!r} is not KEY=VALUE", hint="For example: --set family.latent=32"
            )
    return pairs


Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="PATH", help="Where the result goes."),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, max=2**63 - 1, help="Same seed, same bytes."),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device", metavar="DEVICE", callback=_device, help="auto, cpu, cuda, cuda:1, mps or xpu."
    ),
]
Precision = Annotated[
    Literal["auto", "fp32", "bf16"] | None,
    typer.Option("--precision", help="auto takes bf16 where the hardware makes it pay."),
]
TimeBudget = Annotated[
    float | None,
    typer.Option(
        "--time-budget",
        metavar="DURATION",
        parser=parse_duration,
        help="Stop after this long: 90s, 5m, 1h30m.",
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on from the last checkpoint or finished part.")
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        callback=_settings,
        help="Set one option, for example family.latent=32. Repeatable.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", exists=True, dir_okay=False, help="Options from a TOML file."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="The result as one JSON object on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no advice on stderr.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done; do nothing.")]
Strict = Annotated[bool, typer.Option("--strict", help="Fail at the first unusable record.")]
