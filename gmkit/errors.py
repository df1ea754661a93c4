"""The errors a user can meet. Each says what was found, what was expected, what to do next.

The command line prints the message as one panel and ends with the class's ``exit_code``.
"""

from __future__ import annotations

import copyreg
import difflib
from collections.abc import Iterable
from typing import Any


class GmkitError(Exception):
    """Base of every error that gmkit raises on purpose."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        """``message``: what was found and expected; ``hint``: what to do next."""
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        # Remade without __init__, whose keywords pickle does not know, so that a worker's error
        # arrives whole.
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__.copy()  # type: ignore[attr-defined]

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class ConfigError(GmkitError):
    """An option, a configuration file or a combination of them that makes no sense."""

    exit_code = 2


class DataError(GmkitError):
    """Records that cannot be read, encoded or written; names file, row and column if known."""

    exit_code = 3

    def __init__(
        self,
        message: str,
        *,
        file: str = "",
        row: int | None = None,
        column: str = "",
        hint: str = "",
    ) -> None:
        """``row`` counts from 0 in the data; it is shown as given."""
        place = [file] if file else []
        if row is not None:
            place.append(f"row {row}")
        if column:
            place.append(f"column {column!r}")
        super().__init__(f"{', '.join(place)}: {message}" if place else message, hint=hint)
        self.reason = message
        self.file = file
        self.row = row
        self.column = column


class PluginError(GmkitError):
    """A plugin, or something only a plugin could give, that is not there or does not work."""

    exit_code = 4


class ArtifactError(GmkitError):
    """A run folder that is damaged, incomplete, hostile or of another format."""

    exit_code = 5


class TrainingError(GmkitError):
    """Training that cannot go on, for example because the loss is no longer finite."""

    exit_code = 1


class Interrupted(GmkitError):  # noqa: N818 - no error: the user wanted it
    """The user asked to stop; the work so far was saved. Exit code 128 + signal number."""

    def __init__(self, message: str, *, signal: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.exit_code = 128 + signal


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence naming the closest of ``known``, or listing them when none is close."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6) or [
        k for k in known if k.lower() == name.lower()
    ]
    if close:
        return f"Did you mean {close[0]!r}?"
    if not known:
        return ""
    shown = ", ".join(known[:12])
    return f"Known: {shown}" + (f" and {len(known) - 12} more." if len(known) > 12 else ".")
