"""The user's own scoring: a command that reads records on stdin and writes a number for each.

One record a line goes in, one number a line comes out, in the same order; the command is started
anew for each batch, so it may be any script:

    import sys
    for line in sys.stdin:
        print(my_score(line.strip()))

A line break within a record is written as a backslash and the letter n.
"""

from __future__ import annotations

import contextlib
import math
import os
import shlex
import signal
import subprocess

import numpy as np
import pyarrow as pa

from gmkit.errors import ConfigError, DataError
from gmkit.objectives.objective import Scored

__all__ = ["CommandOracle"]

_TOLD = 400
"""Characters of the command's own messages that an error repeats."""


class CommandOracle:
    """Scores by a command; higher is better, on whatever scale it likes."""

    def __init__(self, command: str, column: str, *, timeout: float = 60.0) -> None:
        """``column``: of the records, text, what the command reads. ``timeout``: seconds for a
        batch. Raises ConfigError for an empty command or one that is not found when it is run."""
        try:
            self.words = shlex.split(command)
        except ValueError as error:
            raise ConfigError(
                f"the oracle {command!r}: {error}", hint="Close the quote."
            ) from error
        if not self.words:
            raise ConfigError("the oracle is empty", hint='For example: --oracle "python score.py"')
        self.command, self.column, self.timeout = command, column, timeout

    def __call__(self, records: pa.RecordBatch) -> Scored:
        """Raises ConfigError where the records are no text or the command cannot be started;
        DataError where it fails, takes too long, or does not answer with one finite number for
        each record."""
        column = records.column(self.column)
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            raise ConfigError(
                f"an oracle reads text, and the column {self.column!r} holds {column.type}",
                hint="Design with measures of the domain: --maximise MEASURE.",
            )
        texts = column.to_pylist()
        try:
            code, answer, told = self._run("".join(map(_line, texts)))
        except subprocess.TimeoutExpired:
            raise self._fault(
                f"gave no answer for {len(texts)} records within {self.timeout:g} s",
                "Allow it more: --oracle-timeout SECONDS; or ask for fewer at once: --batch N.",
            ) from None
        except OSError as error:
            raise ConfigError(
                f"the oracle {self.command!r} cannot be started: {error.strerror or error}",
                hint="Give a command as you would type it in this folder.",
            ) from error
        if code != 0:
            told = told.strip()[-_TOLD:] or "it said nothing"
            raise self._fault(
                f"ended with exit code {code}: {told}",
                "Try it by hand: it reads a record a line, and must end with exit code 0.",
            )
        lines = answer.split()
        if len(lines) != len(texts):
            raise self._fault(
                f"answered {len(lines)} numbers for {len(texts)} records",
                "It must print one number a line for each line it reads, and nothing else.",
            )
        return Scored(
            np.array([self._number(*pair) for pair in zip(lines, texts, strict=True)]), {}
        )

    def _run(self, text: str) -> tuple[int, str, str]:
        """Exit code, and what it wrote to stdout and stderr; out of time, all that it started is
        ended with it."""
        pipe = subprocess.PIPE
        with subprocess.Popen(
            self.words, stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True
        ) as running:
            try:
                answer, told = running.communicate(text, timeout=self.timeout)
            except BaseException:  # also Ctrl-C, which a session of its own does not hear
                _end(running)
                raise
            return running.returncode, answer, told

    def _number(self, answer: str, text: str) -> float:
        try:
            value = float(answer)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self._fault(
                f"answered {answer!r} for {text!r}", "It must answer finite numbers only."
            )
        return value

    def _fault(self, what: str, hint: str) -> DataError:
        return DataError(f"the oracle {self.command!r} {what}", hint=hint)


def _line(text: str) -> str:
    """A record as one line."""
    return text.replace("\r", "\\r").replace("\n", "\\n") + "\n"


def _end(running: subprocess.Popen[str]) -> None:
    """End a command and whatever it started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(running.pid, signal.SIGKILL)
    running.kill()
