"""What every benchmark needs: fair timing, facts of the machine, a table and a line of JSON.

Times on a shared machine mean little by themselves, so contestants take turns (A B A B …) within
one run and are compared by the median of the per-round ratios; the minimum stands beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
QUIET = 0.5
"""Load average above which figures are not to be trusted."""
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")
PACKAGES = ("gmkit", "gmkit-molecules", "torch", "rdkit", "selfies", "tokenizers", "pyarrow")


# ---------------------------------------------------------------- options


def parser(doc: str) -> argparse.ArgumentParser:
    """Options that every benchmark has; ``doc`` is the script's docstring."""
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--json", type=Path, metavar="FILE", help="append the result as a JSON line")
    return made


# ---------------------------------------------------------------- timing


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def alternate(
    contestants: Mapping[str, Callable[[], float | None]], rounds: int
) -> dict[str, list[float]]:
    """Each contestant once a round, in turns, the order reversed every other round.

    A contestant returns its own measurement; one that returns None is out from then on.
    """
    found: dict[str, list[float]] = {name: [] for name in contestants}
    active = list(contestants)
    for number in range(rounds):
        for name in active[:: -1 if number % 2 else 1]:
            value = contestants[name]()
            if value is None:
                active = [other for other in active if other != name]
            else:
                found[name].append(value)
    return found


def ratio(these: Sequence[float], those: Sequence[float]) -> float:
    """Median of the per-round ratios these/those: what drifts slowly cancels out."""
    return statistics.median(a / b for a, b in zip(these, those, strict=True))


def difference(these: Sequence[float], those: Sequence[float]) -> float:
    """Median of the per-round differences these − those."""
    return statistics.median(a - b for a, b in zip(these, those, strict=True))


def spread(values: Sequence[float], scale: float = 1.0, digits: int = 1) -> str:
    """``min / median`` for a table."""
    low, middle = min(values) * scale, statistics.median(values) * scale
    return f"{low:.{digits}f} / {middle:.{digits}f}"


# ---------------------------------------------------------------- the machine


def machine() -> dict[str, Any]:
    """Facts that decide how fast anything runs here."""
    flags, model = _processor()
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "absent"
    return {
        "cores": _cores(),
        "processor": model,
        "flags": [flag for flag in FLAGS if flag in flags],
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "packages": versions,
    }


def _cores() -> int:
    counted = getattr(os, "sched_getaffinity", None)
    return len(counted(0)) if counted else os.cpu_count() or 1


def _processor() -> tuple[set[str], str]:
    """Flags and model name as /proc/cpuinfo tells them; empty where there is none."""
    flags: set[str] = set()
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return flags, model
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip().lower() in ("flags", "features") and not flags:
            flags = set(value.split())
        elif key.strip() == "model name":
            model = value.strip()
    return flags, model


@dataclass(frozen=True)
class Clock:
    """Processor time of the machine and of this process tree, in seconds since some start."""

    wall: float
    busy: float
    stolen: float
    """Taken by other virtual machines on the same hardware."""
    own: float

    @classmethod
    def now(cls) -> Clock:
        """Zeros where /proc/stat is missing."""
        own = sum(
            usage.ru_utime + usage.ru_stime
            for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        )
        try:
            first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
        except OSError:
            return cls(time.monotonic(), 0.0, 0.0, own)
        user, nice, system, _, _, irq, soft, stolen, *_ = (
            int(value) / os.sysconf("SC_CLK_TCK") for value in first
        )
        busy = user + nice + system + irq + soft
        return cls(time.monotonic(), busy, stolen, own)


def disturbance(before: Clock, after: Clock) -> dict[str, float]:
    """Cores kept busy by others, and stolen by the hypervisor, between two moments."""
    wall = max(after.wall - before.wall, 1e-9)
    others = (after.busy - before.busy) - (after.own - before.own)
    return {
        "others_cores": round(max(0.0, others) / wall, 2),
        "stolen_cores": round((after.stolen - before.stolen) / wall, 2),
    }


# ---------------------------------------------------------------- the result


@dataclass(frozen=True)
class Goal:
    """A figure with the bound it is held against."""

    name: str
    value: float | None
    """None when it could not be measured."""
    unit: str
    bound: float | None = None
    """None: a figure without a goal."""
    at_most: bool = True

    @property
    def met(self) -> bool | None:
        """None where there is nothing to meet, or nothing was measured."""
        if self.bound is None or self.value is None:
            return None
        return self.value <= self.bound if self.at_most else self.value >= self.bound


@dataclass
class Report:
    """As a context manager: notes the machine before and after, then prints and appends."""

    name: str
    title: str
    options: argparse.Namespace
    tables: list[dict[str, Any]] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    command: str = ""
    """How to measure it again; by default as it was called."""

    def __enter__(self) -> Report:
        self._load = os.getloadavg()[0]
        if self._load > QUIET:
            print(
                f"warning: load average {self._load:.2f} > {QUIET}: the machine is not quiet, "
                "only ratios within this run mean something",
                file=sys.stderr,
            )
        self._clock = Clock.now()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._finish()

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table of the result, printed at the end."""
        cells = [[str(cell) for cell in row] for row in rows]
        self.tables.append({"title": title, "columns": list(columns), "rows": cells})

    def goal(
        self,
        name: str,
        value: float | None,
        unit: str,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> None:
        """A figure, held against a bound where one is given."""
        bound = at_most if at_least is None else at_least
        plain = None if value is None else float(value)  # numpy has numbers that JSON cannot hold
        self.goals.append(Goal(name, plain, unit, bound, at_most=at_least is None))

    def note(self, text: str) -> None:
        """A remark that belongs to the figures."""
        self.notes.append(text)

    def _finish(self) -> None:
        load = {"before": round(self._load, 2), "after": round(os.getloadavg()[0], 2)}
        load |= disturbance(self._clock, Clock.now())
        result = {
            "benchmark": self.name,
            "title": self.title,
            "date": time.strftime("%Y-%m-%d"),
            "command": self.command or command(),
            "machine": machine(),
            "load": load,
            "quiet": load["before"] <= QUIET and load["others_cores"] <= 0.1,
            "goals": [vars(goal) | {"met": goal.met} for goal in self.goals],
            "tables": self.tables,
            "notes": self.notes,
        }
        show(result)
        if self.options.json is not None:
            self.options.json.parent.mkdir(parents=True, exist_ok=True)
            with self.options.json.open("a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")


def command(**changed: str) -> str:
    """How to measure it again, without where the result went; with options that are ``changed``,
    or left out where they are blank."""
    given = [word for word in sys.argv[1:] if word != "--resume"]
    words = ["python", str(Path(sys.argv[0]).resolve().relative_to(ROOT)), *given]
    for name, value in {"json": "", **changed}.items():
        words = [word for word in words if not word.startswith(f"--{name}=")]
        if f"--{name}" in words:
            place = words.index(f"--{name}")
            del words[place : place + 2]
        words += [f"--{name}", value] if value else []
    return " ".join(words)


def measured(results: Path | None, told: str) -> bool:
    """Whether the file of results has those of this command, of a run that was cut short."""
    if results is None or not results.exists():
        return False
    lines = results.read_text(encoding="utf-8").splitlines()
    return any(json.loads(line)["command"] == told for line in lines if line.strip())


_START = """
import json, os, subprocess, sys, time
began = time.perf_counter()
child = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(child.pid, 0)
figures = {
    "s": time.perf_counter() - began,
    "CPU s": usage.ru_utime + usage.ru_stime,
    "MB": usage.ru_maxrss / 1024,
    "code": os.waitstatus_to_exitcode(status),
}
with open(sys.argv[1], "w") as file:
    json.dump(figures, file)
"""
"""What starts a program that is measured: on Linux a process begins with the peak memory of the one
that started it, so that must be a small one."""


def spent(words: Sequence[str | Path]) -> tuple[str, dict[str, float]]:
    """Run a program: what it printed, and seconds by the clock ``s``, ``CPU s`` and peak ``MB`` of
    it alone, with the processes that it waited for. Ends with its message where it fails."""
    with (
        tempfile.TemporaryFile("w+") as told,
        tempfile.TemporaryFile("w+") as failed,
        tempfile.NamedTemporaryFile("r") as found,
    ):
        start = [sys.executable, "-S", "-c", _START, found.name]
        subprocess.run([*start, *map(str, words)], stdout=told, stderr=failed, check=False)
        told.seek(0)
        failed.seek(0)
        figures: dict[str, float] = json.loads(found.read() or '{"code": 1}')
        if figures["code"]:
            message = f"{words[0]} … exited {figures['code']:.0f}:\n{failed.read()[-2000:]}"
            raise subprocess.SubprocessError(message)
        return told.read(), figures


def verdict(goal: Mapping[str, Any]) -> str:
    """``met``, ``missed``, ``not measured``, or nothing."""
    if goal["bound"] is None:
        return ""
    return {True: "met", False: "missed", None: "not measured"}[goal["met"]]


def bound_text(goal: Mapping[str, Any]) -> str:
    """``≤ 200 ms``, or nothing."""
    if goal["bound"] is None:
        return ""
    return f"{'≤' if goal['at_most'] else '≥'} {number(goal['bound'])} {goal['unit']}".strip()


def value_text(goal: Mapping[str, Any]) -> str:
    """``123 ms``."""
    if goal["value"] is None:
        return "–"
    return f"{number(goal['value'])} {goal['unit']}".strip()


def number(value: float) -> str:
    """Three significant digits, thousands whole."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def show(result: Mapping[str, Any]) -> None:
    """Tables, goals and the state of the machine, on stdout."""
    from rich.console import Console
    from rich.table import Table

    width = None if sys.stdout.isatty() else 150
    console = Console(width=width)
    for entry in result["tables"]:
        table = Table(*entry["columns"], title=entry["title"], title_justify="left")
        for row in entry["rows"]:
            table.add_row(*row)
        console.print(table)
    goals = Table("figure", "value", "goal", "", title=result["title"], title_justify="left")
    for goal in result["goals"]:
        goals.add_row(goal["name"], value_text(goal), bound_text(goal), verdict(goal))
    console.print(goals)
    for note in result["notes"]:
        console.print(note, style="dim", markup=False)
    console.print(machine_text(result), style="dim", markup=False)


def machine_text(result: Mapping[str, Any]) -> str:
    """One line about the machine and how quiet it was."""
    facts, load = result["machine"], result["load"]
    packages = ", ".join(f"{k} {v}" for k, v in facts["packages"].items() if v != "absent")
    state = "quiet" if result["quiet"] else "NOT QUIET: compare ratios only"
    return (
        f"{facts['cores']} cores, {facts['processor']} ({' '.join(facts['flags'])}), "
        f"{facts['memory_gib']} GiB, Python {facts['python']}, {packages}; load "
        f"{load['before']} before, {load['after']} after, others used {load['others_cores']} "
        f"cores, {load['stolen_cores']} stolen: {state}"
    )
