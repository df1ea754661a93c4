"""What ``--where`` takes: ``label=7,qed=0.9``.

Items are separated by commas. A name or a value that holds a comma or ``=``, or begins or ends in a
blank or a quote, is put in quotes, single or double, within which that quote is written twice. A
value may begin with ``<``, ``>``, ``<=`` or ``>=``: ``income=>50K`` asks for the income ``>50K``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from gmkit.errors import ConfigError

_QUOTED = r"\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'"
_ITEM = re.compile(
    rf"\s*(?P<name>{_QUOTED}|[^\s\"',=<>][^,=<>]*?)\s*(?P<operator>[<>!]=|[=<>])"
    rf"\s*(?P<value>{_QUOTED}|(?:[<>]=)?[^\s\"',=][^,=]*?|)\s*(?P<end>,|$)",
    re.DOTALL,
)
_PLAIN_NAME = re.compile(r"[^\s\"',=<>!]+(\s+[^\s\"',=<>!]+)*")
_PLAIN_VALUE = re.compile(r"[^\s\"',=][^\s,=]*(\s+[^\s,=]+)*")
_HINT = 'Write name=value, separated by commas: --where "label=7,qed=0.9".'


class Item(NamedTuple):
    """``name operator value``: one of =, <, >, <=, >= and !=."""

    name: str
    operator: str
    value: str
    text: str
    """As it was given."""


def parse_where(text: str) -> dict[str, str]:
    """Name → value as text. Raises ConfigError saying which part cannot be read."""
    found: dict[str, str] = {}
    for item in parse_items(text):
        if item.operator != "=":
            raise ConfigError(
                f"--where {item.text!r} compares, and only a value can be asked for",
                hint='Ask for one value of each condition: --where "qed=0.9"',
            )
        _put(found, item.name, item.value)
    return found


def parse_items(text: str, option: str = "--where") -> list[Item]:
    """Items in order, comparisons among them. Raises ConfigError saying which part of ``option``
    cannot be read."""
    found: list[Item] = []
    position = 0
    while position < len(text) or not found:
        item = _ITEM.match(text, position)
        if item is None:
            raise ConfigError(
                f"{option} {text[position:]!r} is not name=value",
                hint=f"{_HINT} What holds a comma, = or a quote goes in quotes: 'name=\"a,b\"'",
            )
        part = item[0].strip().rstrip(",")
        if not item["value"]:
            raise ConfigError(f"{option} {part!r} has no value", hint=_HINT)
        found.append(Item(_bare(item["name"]), item["operator"], _bare(item["value"]), part))
        position = item.end()
        if item["end"] and position == len(text):
            raise ConfigError(f"{option} {text!r} ends in a comma", hint=_HINT)
    return found


def wanted(where: Mapping[str, Any] | str | Iterable[str] | None) -> dict[str, Any]:
    """One table of a table, a text or several texts. Raises ConfigError."""
    if where is None or isinstance(where, Mapping):
        return dict(where or {})
    together: dict[str, Any] = {}
    for text in [where] if isinstance(where, str) else where:
        for name, value in parse_where(text).items():
            _put(together, name, value)
    return together


def written(where: Mapping[str, str]) -> str:
    """The text that ``parse_where`` reads as ``where``."""
    return ",".join(
        f"{_quoted(name, _PLAIN_NAME)}={_quoted(value, _PLAIN_VALUE)}"
        for name, value in where.items()
    )


def _put(table: dict[str, Any], name: str, value: Any) -> None:
    if name in table:
        raise ConfigError(f"--where gives {name!r} twice", hint="Ask for one value of each.")
    table[name] = value


def _quoted(text: str, plain: re.Pattern[str]) -> str:
    return text if plain.fullmatch(text) else '"' + text.replace('"', '""') + '"'


def _bare(text: str) -> str:
    quote = text[:1]
    return text[1:-1].replace(quote * 2, quote) if quote in ('"', "'") else text
