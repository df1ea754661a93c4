"""The live progress of a command on stderr: stages, a bar with loss terms, rate and time left."""

from __future__ import annotations

import time
from dataclasses import replace

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from gmkit.observer import Observer, Progress
from gmkit.training.budget import format_duration

PLAIN_SECONDS = 10.0
"""Between two lines where stderr is a file: a log wants a line now and then, not a bar."""
BAR = 8
"""Columns that the bar keeps however much there is to tell."""
TRAINING = "Training"
"""The stage whose bar stays on the screen."""


class TerminalObserver(Observer):
    """Draws a bar on a terminal; writes a line now and then elsewhere; nothing when quiet."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.live = console.is_terminal and not console.quiet
        self._bar: Bar | None = None
        self._task = TaskID(0)
        self._text = ""
        self._began = self._told = 0.0
        self._latest: Progress | None = None

    def stage(self, text: str) -> None:
        """Ends the bar of the stage before."""
        self.close()
        self._text, self._latest = text, None
        self._began = self._told = time.monotonic()
        if self.live:
            self._bar = Bar(
                TextColumn("[bold]{task.description}"),
                BarColumn(bar_width=None),  # as wide as the facts leave it
                TextColumn("{task.fields[facts]}", markup=False),
                console=self.console,
                expand=True,
                transient=text != TRAINING,
            )
            self._task = self._bar.add_task(text, total=None, facts="")
            self._bar.start()
        elif text == TRAINING:
            self.console.print(text, style="bold")

    def advance(self, done: int, total: int | None) -> None:
        """Moves the bar. After reports of training this is its end, told with the time it took."""
        last = self._latest
        if last is not None:
            took = f"in {format_duration(round(time.monotonic() - self._began))}"
            facts = self._fitted(replace(last, step=done, steps=total), took)
        else:
            facts = f"{done:,}" + (f" of {total:,}" if total else "")
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total, facts=facts)
        elif last is not None or self._due():
            self._line(f"{self._text}: {facts}")

    def progress(self, progress: Progress) -> None:
        """Steps, loss terms, items a second, time left."""
        self._latest = progress
        left = progress.seconds_left
        facts = self._fitted(progress, f"{format_duration(round(left))} left" if left else "")
        if self._bar is None:
            if self._due():
                self._line(f"{self._text}: {facts}")
        elif progress.steps is None and left is not None:  # time alone ends it
            spent = time.monotonic() - self._began
            self._bar.update(self._task, completed=spent, total=spent + left, facts=facts)
        else:
            self._bar.update(self._task, completed=progress.step, total=progress.steps, facts=facts)

    def note(self, text: str) -> None:
        """A line above the bar."""
        self._line(text, "note ")

    def close(self) -> None:
        """Stop drawing."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _due(self) -> bool:
        """Whether a log has heard nothing for long."""
        if time.monotonic() - self._told < PLAIN_SECONDS:
            return False
        self._told = time.monotonic()
        return True

    def _line(self, text: str, label: str = "") -> None:
        # Text, not markup: paths hold brackets. Not folded: a log has no width.
        self.console.print(Text.assemble((label, "yellow"), text), soft_wrap=True)

    def _fitted(self, progress: Progress, time_: str) -> str:
        """The facts in one line; where the terminal is narrow the last loss terms are left out."""
        steps = f"{progress.step:,}" + (f"/{progress.steps:,}" if progress.steps else " steps")
        terms = [f"{name} {_short(value)}" for name, value in progress.terms.items()]
        rate = f"{_short(progress.items_per_second)} items/s"
        room = self.console.width - len(self._text) - BAR - 2
        while True:
            line = "  ".join(filter(None, [steps, " ".join(terms), rate, time_]))
            if len(line) <= room or len(terms) <= 1 or not self.live:
                return line
            terms.pop()


def _short(value: float) -> str:
    """Three significant digits, or all of a large number's whole ones."""
    return f"{value:,.0f}" if 99.95 <= abs(value) < 1e7 else f"{value:#.3g}"
