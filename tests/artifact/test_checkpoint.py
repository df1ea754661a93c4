"""Saving, pruning and loading checkpoints; deaths on the way are in tests/faults."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gmkit.artifact.manifest import seal
from gmkit.errors import ArtifactError, DataError, TrainingError
from gmkit.training.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint


def save(run: Path, step: int, keep: int = 2, mark: str = "") -> Path:
    tensors = {
        "model": {"w": torch.full((4, 3), float(step))},
        "ema": {"w": torch.full((4, 3), step / 2)},
        "optimiser": {"0.step": torch.tensor(step), "0.exp_avg": torch.zeros(4, 3)},
        "empty": {},
    }
    return save_checkpoint(run, step, tensors, {"best": 0.5, "mark": mark}, keep)


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def names(run: Path) -> list[str]:
    return listed(run / "checkpoints")


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) is None
    path = save(tmp_path, 1234)
    assert path == tmp_path / "checkpoints" / "step-00001234"
    assert listed(path) == [
        "ema.safetensors",
        "empty.safetensors",
        "manifest.json",
        "model.safetensors",
        "optimiser.safetensors",
        "state.json",
    ]
    assert latest_checkpoint(tmp_path) == path
    loaded = load_checkpoint(path)
    assert (loaded.step, loaded.facts, loaded.path) == (1234, {"best": 0.5, "mark": ""}, path)
    assert loaded.warnings == []
    assert set(loaded.tensors) == {"model", "ema", "optimiser", "empty"}
    assert loaded.tensors["optimiser"]["0.step"].dtype == torch.int64
    assert loaded.tensors["optimiser"]["0.step"].item() == 1234
    assert torch.equal(loaded.tensors["model"]["w"], torch.full((4, 3), 1234.0))


def test_the_newest_stay(tmp_path: Path) -> None:
    for step in (5, 10, 99_999_999, 100_000_000):
        save(tmp_path, step)
    assert names(tmp_path) == ["step-100000000", "step-99999999"]
    newest = save(tmp_path, 100_000_001, keep=0)
    assert names(tmp_path) == [newest.name] == ["step-100000001"]
    assert latest_checkpoint(tmp_path) == newest


def test_a_course_that_was_given_up_goes(tmp_path: Path) -> None:
    save(tmp_path, 10)
    save(tmp_path, 20)
    save(tmp_path, 15)  # rolled back to 10, trained on from there
    assert names(tmp_path) == ["step-00000010", "step-00000015"]


def test_the_same_step_again_replaces_it(tmp_path: Path) -> None:
    for mark in ("first", "second", "third"):
        newest = save(tmp_path, 10, mark=mark)
        assert latest_checkpoint(tmp_path) == newest
        assert load_checkpoint(newest).facts["mark"] == mark
    assert names(tmp_path) == ["step-00000010.1", "step-00000010.2"]


def test_other_things_in_the_folder_are_let_be(tmp_path: Path) -> None:
    save(tmp_path, 1)
    parent = tmp_path / "checkpoints"
    (parent / "step-00000009").touch()
    (parent / "step-00000008").symlink_to(parent / "step-00000001")
    (parent / "step-7").mkdir()
    (parent / "notes").mkdir()
    assert latest_checkpoint(tmp_path) == parent / "step-00000001"
    save(tmp_path, 2, keep=1)
    assert names(tmp_path) == [
        "notes",
        "step-00000002",
        "step-00000008",
        "step-00000009",
        "step-7",
    ]


def test_litter_of_the_dead_goes_at_the_next_start(tmp_path: Path) -> None:
    path = save(tmp_path, 1)
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    shutil.copytree(path, path.with_name(f".step-00000002.tmp-{process.pid}"))
    (tmp_path / f".model.safetensors.tmp-{process.pid}").touch()
    assert latest_checkpoint(tmp_path) == path
    assert names(tmp_path) == ["step-00000001"]
    assert listed(tmp_path) == ["checkpoints"]


@pytest.mark.parametrize(
    "name", ["model.safetensors", "optimiser.safetensors", "state.json", "manifest.json"]
)
def test_a_damaged_newest_falls_back(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    older, newest = save(tmp_path, 1), save(tmp_path, 2)
    damage(newest / name)
    with caplog.at_level(logging.WARNING):
        loaded = load_checkpoint(newest)
    assert (loaded.step, loaded.path) == (1, older)
    [warning] = loaded.warnings
    assert str(newest / name) in warning
    assert warning.endswith("; passed over")
    assert warning in caplog.text
    damage(older / name)
    with pytest.raises(ArtifactError) as caught:
        load_checkpoint(newest)
    assert caught.value.message.startswith(str(newest / name))
    assert caught.value.message.endswith("(2 checkpoint(s) tried, none loads)")
    assert "without --resume" in caught.value.hint


def test_a_newer_one_is_no_fallback(tmp_path: Path) -> None:
    older = save(tmp_path, 1)
    save(tmp_path, 2)
    damage(older / "model.safetensors")
    with pytest.raises(ArtifactError, match=r"1 checkpoint\(s\) tried"):
        load_checkpoint(older)


def test_other_folders_are_no_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no such folder"):
        load_checkpoint(tmp_path / "checkpoints" / "step-00000001")
    seal(tmp_path, {})
    with pytest.raises(ArtifactError, match="is not a checkpoint"):
        load_checkpoint(tmp_path)


def test_a_state_without_step_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, 1)
    (path / "state.json").write_text(json.dumps({"step": "1", "facts": {}}))
    (path / "manifest.json").unlink()
    seal(path, {"status": "checkpoint"})
    with pytest.raises(ArtifactError, match=r"state\.json: has no step and facts"):
        load_checkpoint(path)


def test_non_finite_weights_leave_no_trace(tmp_path: Path) -> None:
    path = save(tmp_path, 1)
    with pytest.raises(TrainingError, match="tensor 'w' holds NaN"):
        save_checkpoint(tmp_path, 2, {"model": {"w": torch.tensor(float("nan"))}}, {})
    assert names(tmp_path) == [path.name]
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_checkpoint(tmp_path, 2, {}, {"loss": float("inf")})
    assert names(tmp_path) == [path.name]


def test_misuse_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"group '\.\./model' is not a lower-case word"):
        save_checkpoint(tmp_path, 1, {"../model": {}}, {})
    with pytest.raises(ValueError, match="step -1 is negative"):
        save_checkpoint(tmp_path, -1, {}, {})
    assert listed(tmp_path) == []


def test_a_place_that_takes_no_folder(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(DataError, match="cannot write 48 bytes: Not a directory"):
        save_checkpoint(tmp_path / "run", 1, {"model": {"w": torch.zeros(12)}}, {})


def test_an_old_one_that_cannot_be_removed_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    old = save(tmp_path, 1)
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self == old:
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    newest = save(tmp_path, 2, keep=1)
    assert f"{old} cannot be removed: Permission denied" in caplog.text
    assert latest_checkpoint(tmp_path) == newest
