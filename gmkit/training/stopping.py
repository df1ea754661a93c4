"""Ctrl-C and SIGTERM: the first asks training to stop after its step, the second ends at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class StopRequest:
    """As a context manager, notes the first SIGINT or SIGTERM instead of raising.

    Signals can only be caught in the main thread; elsewhere nothing is installed.
    """

    def __init__(self) -> None:
        self.signal = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        self._restore()  # a second signal acts as if we were not here

    def _restore(self) -> None:
        for number, handler in self._before.items():
            # None: a handler that Python did not install, and cannot put back
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before = {}
