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
from importlib import import_module
from typing import Any

import pyarrow

from gmkit.cli.main import main

COMMON = (
    "torch._dynamo",  # torch's optimisers import it
    "pyarrow.csv",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "joblib.externals.loky",
    "rich.progress",
    "gmkit.learn",
    "gmkit.run",
    "gmkit.families.vae",
    "gmkit.trunks.transformer",
    "gmkit.cli.figures",
    "gmkit.cli.progress",
    "gmkit.cli.evaluate",
    "gmkit.cli.sample",
    "gmkit.cli.train",
    "gmkit_molecules.domain",
    "gmkit_molecules.drawing",
    "gmkit_molecules.properties",
    "gmkit_molecules.metrics.features",
)
"""What nearly every command would import."""
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """A test run that is killed leaves nothing behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def become(job: dict[str, Any]) -> None:
    """Take the command's own session, folder, environment, limits and files."""
    die_with_parent()
    os.setsid()
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["env"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, job["stdout"]), (2, job["stderr"])):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    if job["file_bytes"] is not None:  # Python ignores SIGXFSZ, so that a write raises EFBIG
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["file_bytes"],) * 2)


def child(job: dict[str, Any]) -> int:
    """Run the command to its end; its exit code."""
    try:
        become(job)
        return main(job["words"])
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        traceback.print_exc()
        return 70
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def serve() -> None:
    """Until stdin ends."""
    die_with_parent()
    for name in COMMON:
        import_module(name)
    pyarrow.array([""])  # imports pandas, if that is installed
    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os._exit(child(job))
        print(json.dumps({"pid": pid}), flush=True)
        status = os.waitpid(pid, 0)[1]
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    serve()
