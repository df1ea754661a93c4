"""What the command line prints: results on stdout, progress and advice on stderr."""

from __future__ import annotations

import json as json_
import math
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

PIPE_WIDTH = 120
"""Columns of a table that does not go to a terminal, unless ``COLUMNS`` says otherwise."""


def console() -> Console:
    """For results. Rich leaves out colour for ``NO_COLOR`` and where stdout is no terminal."""
    return _console(stderr=False, quiet=False)


def err_console(*, quiet: bool = False) -> Console:
    """For progress, advice and errors; ``quiet`` discards what is printed."""
    return _console(stderr=True, quiet=quiet)


def _console(*, stderr: bool, quiet: bool) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    return Console(stderr=stderr, quiet=quiet, width=width, highlight=False)


def emit(
    result: Mapping[str, Any],
    *,
    json: bool,
    render: Callable[[Mapping[str, Any]], RenderableType],
) -> None:
    """Print a command's result: one JSON object, or what ``render`` makes of it for people.

    Text from ``render`` is printed as it is, neither folded nor read as markup.
    """
    if json:
        print(json_.dumps(jsonable(result), ensure_ascii=False), flush=True)
        return
    shown = render(result)
    if isinstance(shown, str):
        print(shown, flush=True)
    else:
        console().print(shown)


def jsonable(value: Any) -> Any:
    """``value`` as strict JSON can hold it: NaN and infinities as null, the unknown as text."""
    match value:
        case Mapping():
            return {str(key): jsonable(item) for key, item in value.items()}
        case list() | tuple():
            return [jsonable(item) for item in value]
        case set() | frozenset():
            return sorted(str(item) for item in value)
        case float():
            return value if math.isfinite(value) else None
        case None | bool() | int() | str():
            return value
        case _:
            return str(value)


def where_words(texts: Iterable[str]) -> str:
    """`` --where 'label=7'`` for a command line that is shown; nothing for empty texts."""
    return "".join(f" --where {shlex.quote(text)}" for text in texts if text)


def next_command(text: str, *, quiet: bool = False) -> None:
    """Name the command that comes naturally next, on stderr."""
    from rich.text import Text

    line = Text.assemble(("Next: ", "dim"), (text, "bold cyan"))
    err_console(quiet=quiet).print(line, soft_wrap=True)
