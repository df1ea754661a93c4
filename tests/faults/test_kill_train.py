"""Promises 2 and 3 for ``gmkit train``: a run that was killed, or asked to stop, at any moment is
taken up again and ends with the very weights of one that was not."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gmkit.artifact.files import is_temporary
from gmkit.artifact.manifest import verify
from gmkit.training.checkpoint import load_checkpoint

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills need POSIX processes")

STEPS = 12
POINTS = (
    "before-files",
    "after-model",
    "after-ema",
    "after-optimiser-model",
    "after-state",
    "after-manifest",
    "before-rename",
    "after-rename",
    "before-prune",
)
"""Moments of saving at which a process kills itself (GMKIT_FAULT)."""
SOME: list[int | str] = [2, "before-rename", "after-rename", 7]
EVERY: list[int | str] = [1, *POINTS, 4, 5, 6, 7, 8, 9, *POINTS, 10]
"""Where a run is killed again and again: at a checkpoint of this step, or within saving one."""


@pytest.fixture(scope="module")
def options(tiny: list[str]) -> list[str]:
    """``tiny``, with a checkpoint at each step, which the weights do not depend on."""
    return [*tiny, "--set", "training.save_steps=1"]


@pytest.fixture(scope="module")
def straight(trained: Any) -> Path:
    """The weights of a run that nothing disturbed."""
    return trained.run / "model.safetensors"


def newest(run: Path) -> Path | None:
    """The checkpoint of the highest step."""
    found = [path for path in (run / "checkpoints").glob("step-*") if path.is_dir()]
    return max(found, default=None)


def step_of(run: Path) -> int:
    """Of the newest checkpoint, −1 for none; it must load whole."""
    path = newest(run)
    if path is None:
        return -1
    checkpoint = load_checkpoint(path)
    assert checkpoint.warnings == []
    return checkpoint.step


def litter(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if is_temporary(path.name)]


def check_finished(run: Path, straight: Path) -> None:
    """Complete, whole, equal to the undisturbed run, and nothing lies about."""
    assert (run / "model.safetensors").read_bytes() == straight.read_bytes()
    assert verify(run).status == "complete"
    assert litter(run) == []
    assert len(list((run / "checkpoints").iterdir())) == 2


def reached(run: Path, step: int) -> Callable[[], bool]:
    return lambda: (path := newest(run)) is not None and int(path.name[5:13]) >= step


@pytest.mark.parametrize("targets", [SOME, pytest.param(EVERY, marks=pytest.mark.slow)])
def test_one_run_killed_over_and_over(
    command: Any, options: list[str], straight: Path, tmp_path: Path, targets: list[int | str]
) -> None:
    """In its steps, within saving, and while it is completed."""
    run, rng, seen = tmp_path / "run", random.Random(0), 0
    words: list[object] = [*options, "--out", run]
    for target in targets:
        fault = f"checkpoint:{target}" if isinstance(target, str) else ""
        running = command.start("train", *words, env={"GMKIT_FAULT": fault})
        if isinstance(target, int):
            running.until(reached(run, target))
            time.sleep(rng.uniform(0, 0.02))
            os.kill(running.pid, signal.SIGKILL)
        assert running.wait().code == -signal.SIGKILL
        assert step_of(run) >= seen
        seen = step_of(run)
        words = [run, "--resume"]
    assert seen in (targets[-1], targets[-1] + 1)
    running = command.start("train", *words)
    running.until((run / "samples.parquet").exists)
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait().code == -signal.SIGKILL
    assert not (run / "manifest.json").exists()
    outcome = command("train", run, "--resume")
    assert outcome.code == 0, outcome.err
    check_finished(run, straight)


@pytest.mark.parametrize(
    "moment", [pytest.param("preparing", marks=pytest.mark.slow), "configured"]
)
def test_killed_before_the_first_checkpoint(
    command: Any, options: list[str], straight: Path, tmp_path: Path, moment: str
) -> None:
    """The same command again, or ``--resume`` once there is a configuration."""
    run, cache = tmp_path / "run", tmp_path / "cache"
    start = ["train", *options, "--out", run]
    running = command.start(*start, env={"GMKIT_CACHE": str(cache)})
    if moment == "preparing":
        running.until(lambda: bool(litter(cache)))
    else:
        running.until((run / "config.toml").exists)
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait().code == -signal.SIGKILL
    assert newest(run) is None
    again = start if moment == "preparing" else ["train", "--resume", run]
    outcome = command(*again, env={"GMKIT_CACHE": str(cache)})
    assert outcome.code == 0, outcome.err
    check_finished(run, straight)
    assert litter(cache) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on(
    command: Any, options: list[str], straight: Path, tmp_path: Path, number: signal.Signals
) -> None:
    run = tmp_path / "run"
    running = command.start("train", *options, "--out", run)
    running.until(reached(run, 2))
    began = time.monotonic()
    os.killpg(running.pid, number)  # as a terminal does: to all processes of the command
    outcome = running.wait()
    assert time.monotonic() - began < 5
    assert outcome.code == 128 + number
    assert running.family() == []
    done = step_of(run)
    assert f"stopped after step {done}; saved {newest(run)}" in outcome.err
    assert f"Go on with: gmkit train --resume {run}" in outcome.err
    assert "Traceback" not in outcome.err
    assert 2 <= done < STEPS
    if number == signal.SIGINT:
        assert command("train", "--resume", run).code == 0
        check_finished(run, straight)


@pytest.mark.parametrize(
    ("number", "delay"),
    [
        (signal.SIGTERM, 0.0),  # within the last checkpoint
        (signal.SIGTERM, 0.4),  # in the evaluation
        pytest.param(signal.SIGINT, 0.0, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, 0.4, marks=pytest.mark.slow),
    ],
)
def test_a_signal_while_the_run_is_completed(
    command: Any, options: list[str], tmp_path: Path, number: signal.Signals, delay: float
) -> None:
    run = tmp_path / "run"
    running = command.start("train", *options, "--out", run, "--json")
    running.until(reached(run, STEPS))
    time.sleep(delay)
    os.kill(running.pid, number)
    outcome = running.wait()
    assert outcome.code == 128 + number
    assert outcome.json["error"]["exit_code"] == 128 + number
    assert outcome.json["error"]["hint"] == f"Go on with: gmkit train --resume {run}"
    assert "Traceback" not in outcome.err
    assert not (run / "manifest.json").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_training_leaves_nothing(
    command: Any, options: list[str], tmp_path: Path, number: signal.Signals
) -> None:
    run, cache = tmp_path / "run", tmp_path / "cache"
    running = command.start("train", *options, "--out", run, env={"GMKIT_CACHE": str(cache)})
    running.until(lambda: bool(litter(cache)))
    os.kill(running.pid, number)
    outcome = running.wait()
    assert outcome.code == 128 + number
    assert "Traceback" not in outcome.err
    assert not run.exists()
    assert litter(cache) == []


@pytest.mark.slow
def test_ctrl_c_while_workers_prepare(command: Any, tmp_path: Path) -> None:
    """The default data set is large enough for worker processes; none stays behind."""
    run, cache = tmp_path / "run", tmp_path / "cache"
    env = {"GMKIT_CACHE": str(cache), "GMKIT_WORKERS": "2"}
    running = command.start("train", "--domain", "molecules", "--out", run, env=env)
    running.until(lambda: len(running.family()) >= 3)
    time.sleep(0.5)
    os.killpg(running.pid, signal.SIGINT)
    outcome = running.wait()
    assert outcome.code == 130
    assert "Traceback" not in outcome.err
    running.until(lambda: running.family() == [], 5)  # those that watch over pipes end last
    assert not run.exists()
    assert litter(cache) == []


def real(command: Any, *words: object) -> subprocess.Popen[bytes]:
    """``python -m gmkit`` as a user's shell starts it."""
    return subprocess.Popen(
        [sys.executable, "-m", "gmkit", *map(str, words)],
        env=command.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.slow
def test_random_kills_of_whole_processes(
    command: Any, options: list[str], straight: Path, tmp_path: Path
) -> None:
    """24 of them, from the first import to the last step; every fourth is also resumed by one."""
    rng, reports = random.Random(1), []
    began = time.monotonic()
    whole = real(command, "train", *options, "--out", tmp_path / "timed")
    assert whole.wait() == 0
    length = time.monotonic() - began
    for trial in range(24):
        run = tmp_path / f"run-{trial}"
        process = real(command, "train", *options, "--out", run)
        if trial % 3 == 0:  # at any moment of the process
            time.sleep(rng.uniform(0.3, 0.9) * length)
        else:  # at any of its steps
            goal = rng.randrange(STEPS)
            while not reached(run, goal)() and process.poll() is None:
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 0.1))
        process.kill()
        killed = process.wait() == -signal.SIGKILL
        step = step_of(run)
        reports.append((killed, step))
        if (run / "manifest.json").exists():
            check_finished(run, straight)
            continue
        words = ["train", "--resume", run]
        if not (run / "config.toml").exists():
            words = ["train", *options, "--out", run]
        code = real(command, *words).wait() if trial % 4 == 0 else command(*words).code
        assert code == 0
        check_finished(run, straight)
    print("\nkilled, step of the newest checkpoint:", reports)
    assert sum(killed for killed, _ in reports) >= 20
