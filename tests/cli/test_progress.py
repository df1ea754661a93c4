"""What a person sees while a command works, and how its figures are laid out."""

from __future__ import annotations

import io
import math
import os
import re
import subprocess
import sys

import pytest
from rich.console import Console

from gmkit.cli import progress as module
from gmkit.cli.figures import figures_table
from gmkit.cli.progress import TerminalObserver
from gmkit.metrics.evaluation import Evaluation, Figure
from gmkit.observer import Progress

TERMS = {"loss": 1234.5, "nll": 63.4912, "kl": 0.98, "critic": 0.000123, "penalty": 10.0}
MOMENT = Progress(1_150, 12_000, TERMS, 15_432.1, 84.4)


def terminal(width: int) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)


def lines(console: Console) -> list[str]:
    """What was drawn, frame after frame, without control codes."""
    assert isinstance(console.file, io.StringIO)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())
    return [line for line in re.split(r"[\r\n]+", text) if line.strip()]


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_the_bar_fits_its_line(width: int) -> None:
    console = terminal(width)
    observer = TerminalObserver(console)
    observer.stage("Training")
    observer.progress(MOMENT)
    observer.close()
    last = lines(console)[-1]
    assert len(last) <= width
    for text in ("1,150/12,000", "loss 1,23", "15,432 items/s", "1m24s left"):
        assert text in last
    assert ("penalty 10.0" in last) == (width >= 120)
    assert "…" not in last


def test_the_bar_ends_full_with_the_time_it_took() -> None:
    console = terminal(100)
    observer = TerminalObserver(console)
    observer.stage("Training")
    observer.progress(MOMENT)
    observer.advance(12_000, 12_000)
    observer.stage("Measuring")
    observer.close()
    last = next(line for line in reversed(lines(console)) if line.startswith("Training"))
    assert "12,000/12,000" in last
    assert "in 0s" in last
    assert "left" not in last


def test_a_time_budget_without_steps_moves_the_bar_too() -> None:
    console = terminal(80)
    observer = TerminalObserver(console)
    observer.stage("Training")
    observer._began -= 30
    observer.progress(Progress(500, None, {"loss": 2.0}, 90.0, 30.0))
    assert observer._bar is not None
    assert observer._bar.tasks[0].percentage == pytest.approx(50, abs=1)
    observer.close()
    assert "500 steps  loss 2.00  90.0 items/s  30s left" in lines(console)[-1]


def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), width=40)
    observer = TerminalObserver(console)
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    observer.stage("Preparing [big].csv")
    for done in range(40):
        now[0] += 1
        observer.advance(done, 40)
    observer.stage("Training")
    for step in range(1, 26):
        now[0] += 1
        observer.progress(Progress(step, 26, {"loss": 1.0}, 5.0, 26.0 - step))
    observer.advance(26, 26)
    observer.note("12 records set aside in runs/[x]/rejects.csv, a name longer than the line")
    assert lines(console) == [
        "Preparing [big].csv: 9 of 40",
        "Preparing [big].csv: 19 of 40",
        "Preparing [big].csv: 29 of 40",
        "Preparing [big].csv: 39 of 40",
        "Training",
        "Training: 10/26  loss 1.00  5.00 items/s  16s left",
        "Training: 20/26  loss 1.00  5.00 items/s  6s left",
        "Training: 26/26  loss 1.00  5.00 items/s  in 25s",
        "note 12 records set aside in runs/[x]/rejects.csv, a name longer than the line",
    ]


def test_quiet_prints_nothing() -> None:
    console = Console(file=io.StringIO(), quiet=True, force_terminal=True)
    observer = TerminalObserver(console)
    observer.stage("Training")
    observer.progress(MOMENT)
    observer.note("something")
    observer.close()
    assert lines(console) == []


def test_figures_are_told_in_words() -> None:
    console = Console(file=io.StringIO(), width=80)
    figures = [
        Figure("validity", 0.98251, 1.0, "higher"),
        Figure("median_weight_ratio", 0.5, 1.018, "match"),
        Figure("fcd/test", 29.28, math.nan, "lower"),
        Figure("uniqueness@10k", math.nan, math.nan, "higher"),
    ]
    evaluation = Evaluation({f.name: f for f in figures}, {"gone": "no module [x]"}, 1000)
    console.print(figures_table(evaluation, "runs/[a]"))
    shown = [" ".join(line.split()) for line in lines(console)]
    assert shown[0] == "runs/[a]: how good 1,000 raw samples are"
    assert shown[1] == "Measure Samples Training data Better"
    assert shown[3:] == [
        "Validity 0.9825 1 higher",
        "Median weight ratio 0.5 1.018 near the data's",
        "Fcd/test 29.28 – lower",
        "Gone: no module [x]",
    ]


def test_a_slip_is_told_before_torch_is_loaded() -> None:
    script = """
import os, sys
from gmkit.cli.main import main
slips = [], ["--domain", "molecule"], ["--domain", "molecules", "--model", "vea"]
codes = [main(["train", *words]) for words in slips]
assert "torch" not in sys.modules
assert os.environ["GOMP_SPINCOUNT"] == "0"
print(*codes)
"""
    environment = {k: v for k, v in os.environ.items() if k != "GOMP_SPINCOUNT"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=60
    )
    assert done.stdout.split() == ["2", "4", "4"], done.stderr
