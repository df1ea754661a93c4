"""For all tests: one thread a process. They run in several processes, whose threads would wait for
each other; set before anything imports torch, which reads it once."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "0")
