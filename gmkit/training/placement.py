"""Where and how exactly a model computes: device, number format, threads.

The choices depend on the machine and the model's size alone, never on a timing, so that the same
command on the same machine gives the same bytes. ``benchmarks/backbones.py`` measures what they
rest on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from gmkit.config import TrainingConfig
from gmkit.errors import ConfigError

BF16_WIDTH = 512
"""bf16 gained nothing at width 128 and five times at 1024 on a processor with matrix units; on
one without them it is up to 60 times slower, and never chosen."""
THREADS_WORK = 3e8
"""Multiply-adds a step from which a second thread pays; below, waking it costs more."""


def choose_device(name: str) -> torch.device:
    """``auto``: CUDA, then Apple's, then the processor. Raises ConfigError if not there."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # not only known but able to compute
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(
            f"device {name!r} cannot be used: {str(error).splitlines()[0]}",
            hint="Use --device auto or cpu; gmkit doctor shows what is there.",
        ) from error
    return device


def has_matrix_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bf16 matrices in hardware."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        flags = processor_flags()
        return "amx_bf16" in flags or "avx512_bf16" in flags or "bf16" in flags
    return False


def processor_flags() -> frozenset[str]:
    """What /proc/cpuinfo says the processor can do; empty where there is none."""
    try:
        with Path("/proc/cpuinfo").open(encoding="ascii", errors="replace") as lines:
            for line in lines:
                if line.lower().startswith(("flags", "features")):
                    return frozenset(line.partition(":")[2].split())
    except OSError:
        pass
    return frozenset()


def choose_precision(name: str, device: torch.device, width: int) -> torch.dtype:
    """float32, or bfloat16 where it is asked for or known to pay."""
    if name == "bf16":
        return torch.bfloat16
    wide_enough = device.type == "cuda" or width >= BF16_WIDTH
    if name == "auto" and wide_enough and has_matrix_bf16(device):
        return torch.bfloat16
    return torch.float32


def choose_threads(config: TrainingConfig, work: float) -> int:
    """Threads for steps of ``work`` multiply-adds."""
    if config.threads:
        return config.threads
    if work < THREADS_WORK:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Within, torch computes on ``count`` threads; the caller's number comes back after."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
