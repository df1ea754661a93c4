"""The ``gmkit`` command: how a command line is run, and how it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

HELP: tuple[list[str], ...] = ([], ["--help"], ["-h"])
"""Lines that only ask what there is: answered without Typer, a third of the whole start."""


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
        arguments = [word for word in ours if word != "--traceback"] + rest
        result = _overview(arguments) if arguments in HELP else _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence_stdout()
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        kind = type(error).__name__  # of Typer, which may not have been imported
        if kind in ("Abort", "NoArgsIsHelpError"):  # of the latter the help is printed already
            return 130 if kind == "Abort" else 2
        from gmkit.cli.failure import report

        return report(error, json=json, trace=trace)
    return result if isinstance(result, int) else 0


def _overview(arguments: Sequence[str]) -> int:
    """Print what there is; a line without arguments is a usage error none the less."""
    from gmkit.cli.overview import print_overview

    print_overview()
    return 0 if arguments else 2


def _run(arguments: list[str]) -> Any:
    """The result of a command."""
    import typer

    from gmkit.cli.app import app

    with _terminable():
        command = typer.main.get_command(app)
        return command.main(arguments, prog_name="gmkit", standalone_mode=False)


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
