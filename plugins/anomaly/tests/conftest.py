"""What tests of the detector share: the command line, with little learning."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gmkit.cli.main import main


class Outcome(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """``run("detect-anomalies", path)`` → exit code, stdout, stderr; in an empty folder."""
    monkeypatch.setenv("GMKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GMKIT_WORKERS", "1")
    monkeypatch.setenv("GMKIT_OFFLINE", "1")
    monkeypatch.setattr("gmkit_anomaly.members.network.STEPS", 60)
    monkeypatch.setattr("gmkit_anomaly.members.forest.TREES", 30)
    monkeypatch.setattr("gmkit_anomaly.members.conditional.TREES", 3)
    monkeypatch.setattr("gmkit_anomaly.members.conditional.MOST_TREES", 120)
    monkeypatch.chdir(tmp_path)

    def command(*words: Any) -> Outcome:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return Outcome(code, *capsys.readouterr())

    return command
