"""A process that has torch imported and forks a child for each ``gmkit`` command line it is told.

Starting torch takes seconds, a fork milliseconds, and the child is a process like any other: it
can be killed, limited and waited for. Torch and Arrow start no thread before the fork. One JSON
object a line: a job on stdin, {"pid"} and then {"code"} on stdout. Run by ``tests/conftest.py``.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
import traceback
from typing import Any

import gmkit_molecules.domain
import gmkit_molecules.drawing
import gmkit_molecules.metrics.features
import gmkit_molecules.properties
import rich.progress
import rich.table  # noqa: F401
import joblib.externals.loky  # noqa: F401
import pyarrow.csv
import pyarrow.parquet  # noqa: F401

import gmkit.cli.evaluate
import gmkit.cli.figures
import gmkit.cli.progress
import gmkit.cli.sample
import gmkit.cli.train
import gmkit.run  # noqa: F401
from gmkit.cli.main import main

PR_SET_PDEATHSIG = 1


def child(job: dict[str, Any]) -> int:
    """Become the command: its folder, environment, limits and files, then run it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["env"])
    for number, name in ((1, job["stdout"]), (2, job["stderr"])):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if job["file_bytes"] is not None:
        # As the interpreter does at start; without it the signal would kill the child.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["file_bytes"],) * 2)
    return main(job["words"])


def serve() -> None:
    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                code = child(job)
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else 1
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        print(json.dumps({"pid": pid}), flush=True)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(json.dumps({"code": status}), flush=True)


if __name__ == "__main__":
    serve()
