"""The ``gmkit`` command: its table of commands, its global options, and how it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Annotated, ClassVar

import typer

from gmkit.cli.lazy import LazyGroup


class Commands(LazyGroup):
    """All first-party commands. To add one, add its line here and its module to gmkit.cli."""

    table: ClassVar = {
        "train": ("gmkit.cli.train:train", "Train a model on data, or on the domain's example"),
        "sample": ("gmkit.cli.sample:sample", "Draw new records from a trained model"),
        "evaluate": ("gmkit.cli.evaluate:evaluate", "Measure how good a model's samples are"),
        "data": ("gmkit.cli.data:app", "List and fetch data sets"),
        "plugins": ("gmkit.cli.plugins:app", "List and check plugins"),
        "doctor": ("gmkit.cli.doctor:doctor", "Check this installation and machine"),
    }


app = typer.Typer(
    name="gmkit",
    cls=Commands,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train, sample, augment and score with generative models, in every domain.",
    epilog="Begin with: gmkit train --domain molecules --model vae",
)


def _version(wanted: bool) -> None:
    if wanted:
        from gmkit import __version__

        print(f"gmkit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
    traceback: Annotated[
        bool,
        typer.Option("--traceback", help="Show the traceback of an error; goes anywhere."),
    ] = False,
) -> None:
    """``traceback`` is here for the help only: ``main`` takes it from anywhere in the line."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (``sys.argv`` by default) and return its exit code.

    0, 2 usage or configuration, 3 data, 4 plugin, 5 artifact, 130 interrupted, 143 terminated,
    1 otherwise.
    """
    # Torch's threads wait for each other by spinning, which on a machine that has other work
    # takes the core from the thread waited for: 3 steps a second instead of 26 were measured
    # with two threads. It is read when torch is loaded, and a user's own value stays.
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    words = list(sys.argv[1:] if argv is None else argv)
    ours = words[: words.index("--")] if "--" in words else words
    trace, json = "--traceback" in ours, "--json" in ours
    rest = words[len(ours) :]
    try:
        command = typer.main.get_command(app)
        arguments = [word for word in ours if word != "--traceback"] + rest
        with _terminable():
            result = command.main(arguments, prog_name="gmkit", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence_stdout()
        return 1
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # the help is printed already
            return 2
        from gmkit.cli.failure import report

        return report(error, json=json, trace=trace)
    return result if isinstance(result, int) else 0


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Within, SIGTERM clears up and ends the command as Ctrl-C does, with its own exit code."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only there can signals be caught
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(number: int, frame: FrameType | None) -> None:
    from gmkit.errors import Interrupted

    raise Interrupted("terminated", signal=number)


def _silence_stdout() -> None:
    """Whoever read our output is gone: what is still buffered must not raise at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
