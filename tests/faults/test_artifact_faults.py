"""Promises 1, 5, 7 and 9 of the artifact layer: kills, flipped bits, planted pickles, full disks.

One driver process imports torch and forks a child for each death, so that forty deaths take
seconds. A dead child is waited for before we look: its number must be seen to be free.
"""

from __future__ import annotations

import json
import os
import pickle
import random
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from gmkit.artifact.files import clear_litter, is_temporary
from gmkit.artifact.manifest import LOADED, seal, update, verify
from gmkit.artifact.tensors import load_tensors, save_tensors
from gmkit.errors import ArtifactError
from gmkit.training.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills need POSIX processes")

DRIVER = textwrap.dedent("""
    import json, os, resource, signal, sys, time
    from pathlib import Path
    import torch
    from gmkit.artifact.files import write_bytes_atomic
    from gmkit.artifact.manifest import seal
    from gmkit.artifact.tensors import save_tensors
    from gmkit.errors import DataError
    from gmkit.training.checkpoint import save_checkpoint

    def save(folder, step):
        big = torch.full((100_000,), float(step))
        groups = {"model": {"w": big}, "ema": {"w": big}, "optimiser": {"step": torch.tensor(step)}}
        save_checkpoint(folder, step, groups, {"step": step})

    def fill_disk(folder):
        big = {"w": torch.ones(5000)}
        jobs = {
            "report.html": lambda path: write_bytes_atomic(path, b"x" * 5000),
            "model.safetensors": lambda path: save_tensors(path, big),
            "checkpoints": lambda path: save_checkpoint(folder, 10, {"model": big}, {}),
            "manifest.json": lambda path: seal(folder, {"note": "x" * 5000}),
        }
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        refusals = {}
        for name, job in jobs.items():
            try:
                job(folder / name)
            except DataError as error:
                refusals[name] = [error.exit_code, error.message, error.hint]
        (folder.parent / "refusals.json").write_text(json.dumps(refusals))

    def child(job, pipe):
        folder, step = Path(job["folder"]), job["start"]
        if job["work"] == "full":
            fill_disk(folder)
            return
        if job["work"] == "seal":
            os.environ["GMKIT_FAULT"] = job["fault"]
            seal(folder, {"seed": 1})
            return
        while True:
            if job["work"] == "file":
                write_bytes_atomic(folder / "report.html", str(step).encode() * 50_000)
            else:
                save(folder, step)
            os.write(pipe, b"%d\\n" % step)
            if job["fault"] and step >= job["start"] + 1:
                os.environ["GMKIT_FAULT"] = job["fault"]
            step += 1

    for line in sys.stdin:
        job = json.loads(line)
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            child(job, writer)
            os._exit(0)
        os.close(writer)
        said = b""
        if not job["fault"] and job["work"] != "full":
            if job["start"] == 1:
                said = os.read(reader, 100)  # it has saved once
            time.sleep(job["delay"])
            os.kill(pid, signal.SIGKILL)
        while more := os.read(reader, 4096):
            said += more
        os.close(reader)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        done = [int(step) for step in said.split()]
        print(json.dumps({"status": status, "done": done[-1] if done else None}), flush=True)
""")


class Driver:
    """Runs children and kills them, unless they do so themselves at a named fault."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", DRIVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def kill(
        self,
        folder: Path,
        *,
        work: str = "checkpoint",
        start: int = 1,
        fault: str = "",
        delay: float = 0.0,
    ) -> dict[str, Any]:
        """Exit ``status`` of the child (−9: killed) and the last step it had ``done``, or None."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        job = {"folder": str(folder), "work": work, "start": start, "fault": fault, "delay": delay}
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    driver = Driver()
    yield driver
    driver.close()


def listed(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def check_survival(run: Path, done: int) -> int:
    """The last acknowledged checkpoint or the one after it loads whole; nothing else lies about."""
    latest = latest_checkpoint(run)
    assert latest is not None
    loaded = load_checkpoint(latest)
    assert loaded.warnings == []
    assert loaded.step in (done, done + 1)
    assert loaded.facts == {"step": loaded.step}
    for group in ("model", "ema"):
        assert torch.equal(loaded.tensors[group]["w"], torch.full((100_000,), float(loaded.step)))
    assert loaded.tensors["optimiser"]["step"].item() == loaded.step
    assert not any(is_temporary(name) for name in listed(run / "checkpoints"))
    return loaded.step


@pytest.mark.parametrize("trials", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_kills_at_random_moments_of_saving(driver: Driver, tmp_path: Path, trials: int) -> None:
    rng = random.Random(trials)
    step, litter, left = 0, 0, 0
    for _ in range(trials):
        outcome = driver.kill(tmp_path, start=step + 1, delay=rng.uniform(0, 0.12))
        assert outcome["status"] == -9
        litter += any(is_temporary(name) for name in listed(tmp_path / "checkpoints"))
        step = check_survival(tmp_path, outcome["done"] or step)
        # Two are kept; a death before pruning leaves one more, which the next whole save removes.
        most = left + 1 if outcome["done"] is None else 3
        left = len(listed(tmp_path / "checkpoints"))
        assert left <= most
    assert litter > 0  # else the kills met no saving, and this test shows nothing


AFTER_RENAME = {"after-rename", "before-prune"}
POINTS = [
    "before-files",
    "after-model",
    "after-ema",
    "after-optimiser",
    "after-state",
    "after-manifest",
    "before-rename",
    *sorted(AFTER_RENAME),
]


@pytest.mark.parametrize("point", POINTS)
def test_a_death_at_every_point_of_saving(driver: Driver, tmp_path: Path, point: str) -> None:
    outcome = driver.kill(tmp_path, fault=f"checkpoint:{point}")
    assert outcome == {"status": -9, "done": 2}
    litter = [name for name in listed(tmp_path / "checkpoints") if is_temporary(name)]
    assert len(litter) == (0 if point in AFTER_RENAME else 1)
    step = check_survival(tmp_path, 2)
    assert len(listed(tmp_path / "checkpoints")) == (3 if point in AFTER_RENAME else 2)
    assert step == (3 if point in AFTER_RENAME else 2)
    save_checkpoint(tmp_path, 4, {}, {})
    assert len(listed(tmp_path / "checkpoints")) == 2


def test_random_kills_while_one_file_is_rewritten(driver: Driver, tmp_path: Path) -> None:
    rng = random.Random(1)
    for _ in range(10):
        outcome = driver.kill(tmp_path, work="file", delay=rng.uniform(0, 0.02))
        assert outcome["status"] == -9
        content = (tmp_path / "report.html").read_text()
        assert content in [str(outcome["done"] + more) * 50_000 for more in (0, 1)]
        clear_litter(tmp_path)
        assert listed(tmp_path) == ["report.html"]


def test_a_death_before_and_after_the_manifest(driver: Driver, tmp_path: Path) -> None:
    save_tensors(tmp_path / "model.safetensors", {"w": torch.zeros(3)})
    save_checkpoint(tmp_path, 1, {}, {})
    assert driver.kill(tmp_path, work="seal", fault="seal:before-manifest")["status"] == -9
    with pytest.raises(ArtifactError, match="unfinished run") as caught:
        verify(tmp_path)
    assert "gmkit train --resume" in caught.value.hint
    assert driver.kill(tmp_path, work="seal", fault="seal:after-manifest")["status"] == -9
    assert verify(tmp_path).seed == 1


def test_a_death_before_an_update_leaves_a_model_that_loads(driver: Driver, tmp_path: Path) -> None:
    save_tensors(tmp_path / "model.safetensors", {"w": torch.zeros(3)})
    (tmp_path / "report.html").write_text("old")
    old = seal(tmp_path, {})
    (tmp_path / "report.html").write_text("new")
    assert driver.kill(tmp_path, work="seal", fault="seal:before-manifest")["status"] == -9
    assert verify(tmp_path, files=LOADED & old.files.keys()) == old
    update(tmp_path)
    verify(tmp_path)


def make_run(folder: Path) -> list[Path]:
    """A small run with a checkpoint; returns every file of it."""
    generator = torch.Generator().manual_seed(0)
    weights = {"w": torch.randn(40, 5, generator=generator), "b": torch.zeros(5)}
    save_tensors(folder / "model.safetensors", weights)
    save_tensors(folder / "codec.safetensors", {"mean": torch.zeros(3)})
    (folder / "codec.json").write_text('{"vocabulary": ["C", "N", "O"]}')
    (folder / "config.toml").write_text("seed = 7\n[family]\nlatent = 32\n")
    (folder / "metrics.jsonl").write_text('{"step": 1, "loss": 2.5}\n')
    (folder / "README.md").write_text("# Model\n")
    save_checkpoint(folder, 9, {"model": weights}, {"best": 1.5})
    seal(folder, {"domain": "molecules", "metrics": {"validity": 1.0}})
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("trials", [200, pytest.param(500, marks=pytest.mark.slow)])
def test_flipped_bits_are_refused_by_file(tmp_path: Path, trials: int) -> None:
    files = make_run(tmp_path)
    assert len(files) == 10
    rng = random.Random(trials)
    for trial in range(trials):
        path = files[trial % len(files)]
        whole = path.read_bytes()
        changed = bytearray(whole)
        bit = rng.randrange(8 * len(whole))
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises(ArtifactError, match=re.escape(f"{path}: ")):
            if "checkpoints" in path.parts:
                load_checkpoint(path.parent)
            else:
                verify(tmp_path)
        path.write_bytes(whole)
    verify(tmp_path)
    assert load_checkpoint(tmp_path / "checkpoints" / "step-00000009").warnings == []


def test_every_truncation_is_refused_by_file(tmp_path: Path) -> None:
    rng = random.Random(2)
    for path in make_run(tmp_path):
        whole = path.read_bytes()
        for length in {0, len(whole) - 1, rng.randrange(len(whole))}:
            path.write_bytes(whole[:length])
            with pytest.raises(ArtifactError, match=re.escape(f"{path}: ")):
                if "checkpoints" in path.parts:
                    load_checkpoint(path.parent)
                else:
                    verify(tmp_path)
        path.write_bytes(whole)


class _Bomb:
    """Unpickling it would plant a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("resealed", [False, True])
def test_a_pickle_for_the_weights_is_refused_and_not_run(tmp_path: Path, resealed: bool) -> None:
    run, marker = tmp_path / "run", tmp_path / "executed"
    run.mkdir()
    make_run(run)
    (run / "model.safetensors").write_bytes(pickle.dumps(_Bomb(marker)))
    if resealed:  # by someone who knows how
        seal(run, {})
    with pytest.raises(ArtifactError, match=r"model\.safetensors: "):
        verify(run)
        load_tensors(run / "model.safetensors")
    assert not marker.exists()


def test_a_full_disk_leaves_everything_as_it_was(driver: Driver, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "report.html").write_text("old")
    make_run(run)

    def snapshot() -> dict[str, bytes]:
        return {str(path): path.read_bytes() if path.is_file() else b"" for path in run.rglob("*")}

    before = snapshot()
    assert driver.kill(run, work="full")["status"] == 0
    refusals = json.loads((tmp_path / "refusals.json").read_text())
    assert set(refusals) == {"report.html", "model.safetensors", "checkpoints", "manifest.json"}
    for name, (code, message, hint) in refusals.items():
        assert code == 3
        assert message.startswith(f"{run / name}")
        assert re.search(
            r": cannot write \d+,\d+ bytes: File too large, [\d,]+ bytes free", message
        )
        assert "Free some space" in hint
    assert snapshot() == before
    verify(run)
