"""The local engine: order, laziness, errors and processes that end."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gmkit.engines.local import SMALL_ROWS, default_workers, map_batches
from gmkit.errors import (
    ConfigError,
    DataError,
    GmkitError,
    Interrupted,
    PluginError,
)


def children(pid: int | None = None) -> set[int]:
    """Worker processes of a process (this one by default) that have not ended; loky's tracker of
    semaphores, which ends with it, is none, nor is the server of ``tests/conftest.py``."""
    others = ("resource_tracker", "command_server")
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it ended while we looked
            # After the name, which may hold anything: state and parent (man 5 proc_pid_stat).
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (folder / "cmdline").read_text()
            ours = int(parent) == (pid or os.getpid()) and state != "Z"
            if ours and not any(other in command for other in others):
                found.add(int(folder.name))
    return found


def work(number: int) -> tuple[int, int]:
    time.sleep(0.01 * (number % 3))
    return number * number, os.getpid()


def strict(number: int) -> int:
    if number == 3:
        raise DataError("does not parse", file="a.smi", row=3, column="smiles", hint="Mend it.")
    return number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_small_work_stays_in_this_process() -> None:
    for options in ({"workers": 1}, {"workers": 4, "rows_hint": SMALL_ROWS - 1}):
        results = list(map_batches(work, range(5), **options))
        assert [r for r, _ in results] == [0, 1, 4, 9, 16]
        assert {pid for _, pid in results} == {os.getpid()}


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_are_pulled_only_as_results_are_taken(workers: int) -> None:
    pulled = []

    def batches() -> Iterator[int]:
        for number in range(1_000):
            pulled.append(number)
            yield number

    results = map_batches(work, batches(), workers=workers)
    assert pulled == []
    assert [next(results)[0] for _ in range(3)] == [0, 1, 4]
    assert len(pulled) <= 3 + 2 * workers
    before = children()
    results.close()
    assert len(before) == (2 if workers == 2 else 0)
    assert children() == set()


def test_errors_of_workers_arrive_unchanged() -> None:
    taken = []
    with pytest.raises(DataError) as caught:
        taken.extend(map_batches(strict, range(50), workers=2))
    error = caught.value
    assert taken == [0, 1, 2]
    assert str(error) == "a.smi, row 3, column 'smiles': does not parse\nMend it."
    assert (error.file, error.row, error.column) == ("a.smi", 3, "smiles")
    assert children() == set()


def test_a_killed_worker_is_told() -> None:
    with pytest.raises(GmkitError, match=r"a worker process died[\s\S]*GMKIT_WORKERS=1"):
        list(map_batches(die, range(4), workers=2))
    assert children() == set()


@pytest.mark.parametrize(
    "error",
    [
        GmkitError("m", hint="h"),
        DataError("m", file="f", row=0, column="c", hint="h"),
        PluginError("m"),
        Interrupted("m", signal=2, hint="h"),
    ],
)
def test_errors_survive_pickling(error: GmkitError) -> None:
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)
    assert back.args == error.args


SCRIPT = """
import sys
from gmkit.engines.local import map_batches

def loaded(number):
    return sorted(m for m in ("torch", "pandas") if m in sys.modules)

def slow(number):
    import time
    time.sleep(0.2)

print(list(map_batches(loaded, range(3), workers=2)), flush=True)
if "wait" in sys.argv:
    list(map_batches(slow, iter(range(10_000)), workers=2))
"""


def test_scripts_need_no_guard_and_workers_import_little(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
    )
    assert done.stdout == "[[], [], []]\n"
    assert done.returncode == 0, done.stderr


def test_ctrl_c_leaves_no_process(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    running = subprocess.Popen(
        [sys.executable, str(tmp_path / "script.py"), "wait"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "[[], [], []]\n"
    workers = wait_for(
        lambda: len(found) == 2 and found if (found := children(running.pid)) else ()
    )
    os.killpg(running.pid, signal.SIGINT)  # as the terminal does
    _, errors = running.communicate(timeout=20)
    assert errors.count("KeyboardInterrupt") == 1
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def wait_for(condition) -> set[int]:
    for _ in range(400):
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("nothing came")


def test_the_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GMKIT_WORKERS", raising=False)
    assert 1 <= default_workers() <= len(os.sched_getaffinity(0))
    monkeypatch.setenv("GMKIT_WORKERS", "7")
    assert default_workers() == 7
    for wrong in ("0", "-1", "many"):
        monkeypatch.setenv("GMKIT_WORKERS", wrong)
        with pytest.raises(ConfigError, match=f"GMKIT_WORKERS='{wrong}'"):
            default_workers()
