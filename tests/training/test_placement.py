"""Device, number format and threads."""

from __future__ import annotations

import pytest
import torch

from gmkit.config import TrainingConfig
from gmkit.errors import ConfigError
from gmkit.training import placement
from gmkit.training.placement import (
    BF16_WIDTH,
    THREADS_WORK,
    choose_device,
    choose_precision,
    choose_threads,
    has_matrix_bf16,
    threads,
)

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def flags(monkeypatch, *names):
    monkeypatch.setattr(placement, "processor_flags", lambda: frozenset(names))


@pytest.mark.parametrize("width", [64, BF16_WIDTH, 4096])
def test_auto_never_picks_bf16_without_hardware(monkeypatch, width):
    flags(monkeypatch, "avx2", "avx512f")
    assert choose_precision("auto", CPU, width) == torch.float32
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert choose_precision("auto", CUDA, width) == torch.float32
    assert choose_precision("auto", torch.device("mps"), width) == torch.float32


@pytest.mark.parametrize("flag", ["amx_bf16", "avx512_bf16", "bf16"])
def test_auto_picks_bf16_with_hardware_and_enough_width(monkeypatch, flag):
    flags(monkeypatch, "avx2", flag)
    assert choose_precision("auto", CPU, BF16_WIDTH) == torch.bfloat16
    assert choose_precision("auto", CPU, BF16_WIDTH - 8) == torch.float32
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert choose_precision("auto", CUDA, 64) == torch.bfloat16


def test_what_is_asked_for_is_done(monkeypatch):
    flags(monkeypatch)
    assert choose_precision("bf16", CPU, 8) == torch.bfloat16
    flags(monkeypatch, "amx_bf16")
    assert choose_precision("fp32", CPU, 4096) == torch.float32
    assert has_matrix_bf16(CPU)


def test_processor_flags_are_words():
    found = placement.processor_flags()
    assert all(isinstance(flag, str) and flag == flag.strip() for flag in found)


@pytest.mark.parametrize("name", ["nonsense", "cuda:4096", "meta", "", "cpu:x"])
def test_a_device_that_is_not_there(name):
    with pytest.raises(ConfigError, match=r"device '.*' cannot be used") as error:
        choose_device(name)
    assert "--device auto" in error.value.hint


def test_devices_that_are_there(monkeypatch):
    assert choose_device("cpu") == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == CPU


def test_threads_by_work_unless_given():
    assert choose_threads(TrainingConfig(threads=3), 1e12) == 3
    assert choose_threads(TrainingConfig(), THREADS_WORK / 2) == 1
    assert choose_threads(TrainingConfig(), THREADS_WORK * 2) >= 1


def test_threads_come_back():
    before = torch.get_num_threads()
    with pytest.raises(KeyError), threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise KeyError
    assert torch.get_num_threads() == before
