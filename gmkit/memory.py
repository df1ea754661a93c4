"""Memory that is free but still held by allocators, given back to the system.

Arrow's pool and glibc keep what was freed for the next request. After a phase that needed much,
such as learning, that is most of what a process holds while it streams.
"""

from __future__ import annotations

import ctypes
import sys

import pyarrow as pa


def give_back() -> None:
    """Costs a few milliseconds. Where the C library cannot, it is left to Arrow's pool alone."""
    pa.default_memory_pool().release_unused()
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; musl has none
        if trim is not None:
            trim(0)
