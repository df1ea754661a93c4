"""What ``gmkit doctor`` looks at. Each check says what it found and, if need be, what to do."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from gmkit.discovery import pip_command

LOW_SPACE = 2 * 1024**3
"""Bytes of free space below which a folder is worth a warning."""


@dataclass(frozen=True)
class Check:
    """One line of the report."""

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    advice: str = ""


def all_checks() -> Iterator[Check]:
    """Every check in turn; slow ones (importing torch) among them."""
    yield _python()
    yield _gmkit()
    torch = _torch()
    yield torch
    yield from _plugins()
    yield _torchaudio()
    yield from _processor()
    if torch.status != "fail":
        yield _gpu()
        yield _threads()
        yield _matmul()
    yield from _rdkit()
    yield from _folders()


def _python() -> Check:
    found = f"{platform.python_version()} ({sys.executable})"
    if not (3, 11) <= sys.version_info[:2] <= (3, 14):
        return Check("python", "warn", found, "gmkit is tested on Python 3.11 to 3.14.")
    return Check("python", "ok", found)


def _gmkit() -> Check:
    from gmkit import __version__

    return Check("gmkit", "ok", __version__)


def _torch() -> Check:
    try:
        import torch
    except Exception as error:  # a damaged installation raises anything
        reason = f"{type(error).__name__}: {error}"
        return Check("torch", "fail", reason, "pip install --force-reinstall torch")
    return Check("torch", "ok", torch.__version__)


def _plugins() -> Iterator[Check]:
    """Each plugin's state, then the libraries its domains require."""
    from gmkit.plugins import registry

    for plugin in registry().plugins():
        name = f"plugin {plugin.name}"
        if plugin.state == "ok":
            yield Check(name, "ok", f"{plugin.distribution} {plugin.version}".strip())
        else:
            status: Literal["warn", "fail"] = "fail" if plugin.state == "failed" else "warn"
            yield Check(name, status, f"{plugin.state}: {plugin.reason}", "See: gmkit plugins ls")
    for domain in registry().domains().values():
        owner = next(p for p in registry().plugins() if p.name == registry().owner(domain))
        for module in domain.requires:
            yield _library(module, pip_command(owner.distribution))


def _library(module: str, command: str) -> Check:
    try:
        imported = import_module(module)
    except Exception as error:
        return Check(module, "fail", f"{type(error).__name__}: {error}", command)
    return Check(module, "ok", _version(module) or str(getattr(imported, "__version__", "")))


def _version(module: str) -> str:
    """Version of the distribution that brings a module; empty when none says so."""
    for distribution in packages_distributions().get(module, ()):
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return ""


def _torchaudio() -> Check:
    if find_spec("torchaudio") is None:
        return Check("torchaudio", "ok", "not installed, not needed")
    return Check("torchaudio", "ok", f"{_version('torchaudio')} installed, not used")


def _processor() -> Iterator[Check]:
    usable, present = usable_cores(), os.cpu_count() or 1
    found = f"{usable} of {present} cores usable"
    yield Check("cores", "ok", found)
    from gmkit.training.placement import processor_flags

    flags = processor_flags()
    if flags:
        vector = [flag for flag in ("avx2", "avx512f", "asimd", "sve") if flag in flags]
        half = " ".join(flag for flag in ("avx512_bf16", "amx_bf16", "bf16") if flag in flags)
        yield Check("processor", "ok", " ".join([*vector, half or "(no bf16 units)"]))


def usable_cores() -> int:
    """Cores this process may run on (affinity, taskset, cpusets)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _gpu() -> Check:
    import torch

    if torch.cuda.is_available():
        cards = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        shown = ", ".join(f"{c.name} ({c.total_memory / 1024**3:.0f} GiB)" for c in cards)
        return Check("gpu", "ok", shown)
    if torch.backends.mps.is_available():
        return Check("gpu", "ok", "Apple Metal (mps)")
    if Path("/proc/driver/nvidia").exists():
        advice = "Install a CUDA build of torch: https://pytorch.org/get-started"
        return Check("gpu", "warn", "an NVIDIA driver, but torch cannot use it", advice)
    return Check("gpu", "ok", "none; training runs on the processor")


def _threads() -> Check:
    import torch

    threads, cores = torch.get_num_threads(), usable_cores()
    found = f"{threads} for {cores} usable cores"
    if threads > cores:
        return Check("torch threads", "warn", found, f"Set OMP_NUM_THREADS={cores}.")
    return Check("torch threads", "ok", found)


def _matmul() -> Check:
    """A product with a known result: the identity times a matrix is that matrix."""
    import torch

    matrix = torch.arange(64 * 64, dtype=torch.float32).reshape(64, 64)
    if torch.equal(torch.eye(64) @ matrix, matrix):
        return Check("self-test: torch", "ok", "matrix product right")
    return Check(
        "self-test: torch", "fail", "matrix product wrong", "pip install --force-reinstall torch"
    )


def _rdkit() -> Iterator[Check]:
    if find_spec("rdkit") is None:
        return
    try:
        chem: Any = import_module("rdkit.Chem")
        found = chem.MolToSmiles(chem.MolFromSmiles("C1=CC=CC=C1O"))
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
    if found == "Oc1ccccc1":
        yield Check("self-test: rdkit", "ok", "phenol parsed")
    else:
        advice = "pip install --force-reinstall rdkit"
        yield Check("self-test: rdkit", "fail", f"phenol parsed as {found}", advice)


def _folders() -> Iterator[Check]:
    from gmkit.data.cache import cache_folder, datasets_folder

    advice = "Set {} to a folder with room that you may write to."
    yield folder_check("cache folder", cache_folder(), advice.format("GMKIT_CACHE"))
    yield folder_check("data folder", datasets_folder(), advice.format("GMKIT_DATA"))
    yield folder_check("working folder", Path.cwd(), "Runs go elsewhere with --out.")


def folder_check(name: str, folder: Path, advice: str) -> Check:
    """Whether a file can be written in a folder (made if missing), and its free space."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"gmkit")
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Check(name, "fail", f"{folder}: {error.strerror}", advice)
    found = f"{folder} ({free / 1024**3:.1f} GiB free)"
    if free < LOW_SPACE:
        return Check(name, "warn", found, advice)
    return Check(name, "ok", found)
