"""The live progress of a command on stderr: stages, a bar with loss terms, rate and time left."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bar

from gmkit.training.budget import format_duration
from gmkit.training.observer import Observer, Progress

PLAIN_SECONDS = 10.0
"""Between two lines where stderr is a file: a log wants a line now and then, not a bar."""


class TerminalObserver(Observer):
    """Draws a bar on a terminal; writes a line now and then elsewhere; nothing when quiet."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.live = console.is_terminal and not console.quiet
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._text = ""
        self._told = 0.0

    def stage(self, text: str) -> None:
        """Ends the bar of the stage before."""
        self.close()
        self._text, self._told = text, time.monotonic()
        if self.live:
            self._bar = Bar(
                SpinnerColumn(),
                TextColumn("[bold]{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[facts]}"),
                TimeElapsedColumn(),
                console=self.console,
                transient=text != "Training",
            )
            self._task = self._bar.add_task(text, total=None, facts="")
            self._bar.start()
        elif text == "Training":
            self.console.print(text, style="bold")

    def advance(self, done: int, total: int | None) -> None:
        """Moves the bar."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total)

    def progress(self, progress: Progress) -> None:
        """Loss terms, items a second, time left."""
        facts = " ".join(f"{name} {value:.4g}" for name, value in progress.terms.items())
        facts += f"  {progress.items_per_second:,.0f} items/s"
        if progress.seconds_left is not None:
            facts += f"  {format_duration(round(progress.seconds_left))} left"
        if self._bar is not None and self._task is not None:
            self._bar.update(
                self._task, completed=progress.step, total=progress.steps, facts=facts
            )
        elif time.monotonic() - self._told > PLAIN_SECONDS:
            self._told = time.monotonic()
            total = f"/{progress.steps}" if progress.steps else ""
            self.console.print(f"step {progress.step}{total}  {facts}")

    def note(self, text: str) -> None:
        """A line above the bar."""
        self.console.print(f"[yellow]note[/] {text}", highlight=False)

    def close(self) -> None:
        """Stop drawing."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
