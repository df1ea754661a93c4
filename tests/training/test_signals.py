"""Signals while training: the step is finished, the work saved, the caller told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gmkit.errors import Interrupted
from gmkit.training.checkpoint import latest_checkpoint, load_checkpoint


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_finishes_the_step_and_saves(trainer, point, sha, tmp_path, number, code):
    family = point({7: lambda f: os.kill(os.getpid(), number)})
    with pytest.raises(Interrupted, match="stopped after step 8; saved") as error:
        trainer(family, folder=tmp_path / "a").run()
    assert error.value.exit_code == code
    assert f"gmkit train --resume {tmp_path / 'a'}" in error.value.hint
    assert load_checkpoint(latest_checkpoint(tmp_path / "a")).step == 8
    resumed, straight = point(), point()
    trainer(resumed, folder=tmp_path / "a").run(resume=True)
    trainer(straight, folder=tmp_path / "b").run()
    assert resumed.visits[0] == 8 and sha(resumed) == sha(straight)


def test_a_second_signal_ends_at_once(trainer, point):
    def twice(family):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        trainer(point({7: twice})).run()


def test_training_works_outside_the_main_thread(trainer, point):
    states = []
    thread = threading.Thread(target=lambda: states.append(trainer(point()).run()))
    thread.start()
    thread.join(60)
    assert states[0].step == 40


SCRIPT = """
import sys, time
from pathlib import Path
import torch
sys.path.insert(0, sys.argv[1])
from conftest import Point
from gmkit.config import TrainingConfig
from gmkit.errors import GmkitError
from gmkit.training.loop import Trainer

def slow(family):
    print("going", flush=True)
    time.sleep(0.01)

family = Point({k: slow for k in range(10, 100000)})
data = {"x": torch.linspace(0, 2, 64)}
config = TrainingConfig(steps=100000, batch_size=8, evaluate_every=0)
try:
    Trainer(family, data, {}, config, seed=3, folder=Path(sys.argv[2])).run()
except GmkitError as error:
    sys.exit(error.exit_code)
"""


def test_control_c_from_outside_ends_with_130(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(tmp_path)],
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout.readline() == b"going\n"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    found = load_checkpoint(latest_checkpoint(tmp_path))
    assert found.step > 10 and found.tensors["model"]["w"].isfinite().all()
