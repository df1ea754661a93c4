"""Fixtures shared by tests of several areas."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any, NamedTuple

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
SMILES = ROOT / "plugins/molecules/tests/data/moses_train_250.smi"

# A shared machine makes any time limit of a single example a matter of luck.
settings.register_profile("gmkit", deadline=None)
settings.load_profile("gmkit")

# Whatever starts the tests in the background may have it ignored, and all they start inherits that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

Install = Callable[..., None]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder on ``sys.path`` (subprocesses' too) where fake distributions are laid."""
    folder = tmp_path / "site"
    folder.mkdir()
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(ROOT)]))
    for variable in ("GMKIT_PLUGINS", "GMKIT_DISABLE_PLUGINS", "GMKIT_STRICT_PLUGINS"):
        monkeypatch.delenv(variable, raising=False)
    yield folder
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def install(site: Path) -> Install:
    """``install(distribution, source, plugin=…, version=…, api=…)`` lays a plugin in ``site``."""

    def install(
        distribution: str,
        source: str,
        *,
        plugin: str = "",
        version: str = "1.0",
        api: str | None = "1.0",
    ) -> None:
        # Not the name a real plugin has, which other tests of this process may have imported.
        module = f"fake_{distribution.replace('-', '_')}"
        info = site / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        )
        (info / "entry_points.txt").write_text(
            f"[gmkit.plugins]\n{plugin or distribution} = {module}\n"
        )
        head = "from gmkit.api import *\n"
        if api is not None:
            head += f"__gmkit_api__ = {api!r}\n"
        (site / f"{module}.py").write_text(head + dedent(source))

    return install


class Outcome(NamedTuple):
    """How a command ended: exit code (negative: the signal that killed it), stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object that stdout holds."""
        return json.loads(self.out)


class Running:
    """A command at work in a process, and a session, of its own."""

    def __init__(self, server: CommandServer, pid: int) -> None:
        self.pid = pid
        self._server = server

    def wait(self) -> Outcome:
        """Its end; it is killed when it takes over two minutes."""
        watch = threading.Timer(120, os.kill, (self.pid, signal.SIGKILL))
        watch.start()
        code = self._server.answer()["code"]
        watch.cancel()
        out, err = (path.read_text() for path in self._server.streams)
        return Outcome(code, out, err)

    def until(self, done: Callable[[], bool], seconds: float = 60.0) -> None:
        """Wait for something it does; when it takes too long, end it and fail."""
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)
                outcome = self.wait()  # so that the server is ready for other tests
                raise AssertionError(f"the command did not get there in time: {outcome}")
            time.sleep(0.002)

    def family(self) -> list[int]:
        """Processes of its session that live."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
                if int(session) == self.pid and state != "Z":
                    found.append(int(stat.parent.name))
        return found


class CommandServer:
    """Runs ``gmkit`` command lines in real processes that need not import torch first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.streams = folder / "stdout", folder / "stderr"
        kept = {k: v for k, v in os.environ.items() if not k.startswith("GMKIT_")}
        self.env = {
            **kept,
            "GMKIT_CACHE": str(folder / "cache"),
            "GMKIT_WORKERS": "1",
            "OMP_NUM_THREADS": "1",
            "NO_COLOR": "1",
            "COLUMNS": "400",  # no message is folded
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "command_server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self.env,
        )

    def start(
        self,
        *words: object,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        file_bytes: int | None = None,
    ) -> Running:
        """``gmkit WORDS`` in ``cwd``, with more environment, writing no file over a size."""
        job = {
            "words": [str(word) for word in words],
            "cwd": str(cwd or self.folder),
            "env": {**self.env, **(env or {})},
            "stdout": str(self.streams[0]),
            "stderr": str(self.streams[1]),
            "file_bytes": file_bytes,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return Running(self, self.answer()["pid"])

    def __call__(self, *words: object, **options: Any) -> Outcome:
        """Run a command to its end."""
        return self.start(*words, **options).wait()

    def answer(self) -> Any:
        """The server's next line."""
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """End the server."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()


@pytest.fixture(scope="session")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandServer]:
    """``command("train", "--domain", "molecules", …)`` → ``Outcome``; a fork of one process."""
    if not hasattr(os, "fork"):
        pytest.skip("needs POSIX processes")
    server = CommandServer(tmp_path_factory.mktemp("command"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def tiny() -> list[str]:
    """Options of a training that takes a second: 250 molecules, the smallest network."""
    options = {
        "training.steps": 12,
        "training.save_steps": 3,
        "training.batch_size": 16,
        "training.threads": 1,
        "trunk.width": 16,
        "trunk.depth": 1,
        "family.latent": 4,
        "codec.tokens": 0,
        # what an untrained model writes in SMILES is of the greatest length, and slow to judge
        "codec.notation": "selfies",
    }
    sets = [word for key, value in options.items() for word in ("--set", f"{key}={value}")]
    return ["--domain", "molecules", "--data", str(SMILES), *sets]


class Trained(NamedTuple):
    """A finished run and how its training ended. Copy it before changing anything in it."""

    run: Path
    outcome: Outcome

    @property
    def sha256(self) -> str:
        """Of the weights."""
        return sha256(self.run / "model.safetensors")

    def copy(self, folder: Path) -> Path:
        """The run in another place."""
        return shutil.copytree(self.run, folder)


def sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="session")
def trained(command: CommandServer, tiny: list[str]) -> Trained:
    """The run of ``gmkit train --json`` with the ``tiny`` options."""
    run = command.folder / "trained"
    outcome = command("train", *tiny, "--out", run, "--json")
    assert outcome.code == 0, outcome.err
    return Trained(run, outcome)
