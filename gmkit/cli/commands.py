"""What ``gmkit`` can be told: its commands and global options, known without importing any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gmkit.api import CommandInfo

ABOUT = "Train, sample, augment and score with generative models, in every domain."
EPILOG = "Begin with: gmkit train --domain molecules --model vae"
COMMANDS = {
    "train": ("gmkit.cli.train:train", "Train a model on data, or on the domain's example"),
    "sample": ("gmkit.cli.sample:sample", "Draw new records from a trained model"),
    "evaluate": ("gmkit.cli.evaluate:evaluate", "Measure how good a model's samples are"),
    "design": ("gmkit.cli.design:design", "Search for records that an objective likes"),
    "reconstruct": ("gmkit.cli.reconstruct:reconstruct", "Send records through a model's latent"),
    "interpolate": ("gmkit.cli.interpolate:interpolate", "Show what lies between two records"),
    "data": ("gmkit.cli.data:app", "List and fetch data sets"),
    "plugins": ("gmkit.cli.plugins:app", "List and check plugins"),
    "doctor": ("gmkit.cli.doctor:doctor", "Check this installation and machine"),
}
"""Command → ("package.module:function or Typer app", one-line help). To add one, add its line here
and its module to gmkit.cli."""
VERSION, TRACEBACK = "Show the version.", "Show the traceback of an error; goes anywhere."
OPTIONS = {
    "--version": VERSION,
    "--traceback": TRACEBACK,
    "--install-completion": "Install completion for the current shell.",
    "--show-completion": "Show completion for the current shell, to copy it or customize the "
    "installation.",
    "-h, --help": "Show this message and exit.",
}
"""Global options as the help shows them; those after the second are Typer's own."""


def plugin_commands() -> Mapping[str, CommandInfo]:
    """Plugins' commands; one named like ours is reached as ``plugin:name`` only."""
    from gmkit.plugins import registry

    return {
        f"{registry().owner(info)}:{name}" if name in COMMANDS else name: info
        for name, info in registry().commands().items()
    }
