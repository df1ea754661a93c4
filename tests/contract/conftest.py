"""What contract tests share, and the table of pairs at the end of the tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

RESULTS = pytest.StashKey[list[tuple[str, ...]]]()


@pytest.fixture(scope="module")
def cache(command: Any) -> Iterator[None]:
    """This process prepares data in the cache of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GMKIT_CACHE", command.env["GMKIT_CACHE"])
        patch.setenv("GMKIT_WORKERS", "1")
        yield


@pytest.fixture
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The VAE's completion, element by element on sequences, is kept short: what is known is kept
    in every round alike."""
    monkeypatch.setattr("gmkit.families.vae.COMPLETION_ROUNDS", 2)


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[..., None]:
    """``report(domain, family, losses, capabilities)`` adds a row to the table of pairs."""
    return lambda *row: request.config.stash[RESULTS].append(row)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RESULTS] = []


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Domain, family, loss before and after 20 steps, what the family can do."""
    rows = config.stash.get(RESULTS, [])
    if not rows:
        return
    terminalreporter.section("domains × families")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in sorted(rows):
        terminalreporter.line("  ".join(map(str.ljust, row, widths)).rstrip())
