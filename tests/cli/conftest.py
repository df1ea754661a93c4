"""Fixtures for command-line tests: run a command line in this process, with a fresh registry."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from gmkit.cli.main import main
from gmkit.plugins import registry


class Outcome(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def fresh_registry() -> Iterator[None]:
    registry.cache_clear()
    yield
    registry.cache_clear()


@pytest.fixture
def gmkit(
    site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Outcome]:
    """``gmkit("plugins", "ls")`` → exit code, stdout, stderr."""
    monkeypatch.setenv("COLUMNS", "200")  # a worker of pytest has no terminal to measure

    def run(*words: str) -> Outcome:
        capsys.readouterr()
        code = main(words)
        return Outcome(code, *capsys.readouterr())

    return run
