"""A test-only hook: die at a named point, as a crash or a power cut would have it."""

from __future__ import annotations

import os
import signal

VARIABLE = "GMKIT_FAULT"


def fault(point: str) -> None:
    """Kill this process at once if the environment names ``point``; nothing otherwise.

    SIGKILL runs no handler, no ``finally`` and no flush, which is what the promise of
    artifacts that survive a crash is tested against (tests/faults).
    """
    if os.environ.get(VARIABLE) == point:
        os.kill(os.getpid(), signal.SIGKILL)
