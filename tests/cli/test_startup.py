"""Start-up is light: the test is on the set of modules, since times depend on the machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"torch", "numpy", "pyarrow", "rdkit", "sklearn", "scipy", "pandas", "selfies"}


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "100"}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, timeout=60
    )


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import gmkit", {"typer", "rich", "pluggy", "gmkit.errors", "importlib.metadata"}),
        ("import gmkit; gmkit.DataError; gmkit.hookimpl", {"typer", "rich", "gmkit.plugins"}),
        # rich.markdown is a third of the start-up that Typer's own help page would need.
        ("from gmkit.cli.main import main; main(['--help'])", {"rich.markdown", "typer"}),
        ("from gmkit.cli.main import main; main(['plugins', 'ls'])", {"rich.markdown"}),
        ("from gmkit.cli.main import main; main(['--version'])", {"gmkit.plugins", "rich"}),
    ],
)
def test_nothing_heavy_is_imported(code, absent):
    run = python("-c", f"{code}\nimport sys, json; print(); print(json.dumps(list(sys.modules)))")
    assert run.returncode == 0, run.stderr
    assert not (HEAVY | absent) & set(json.loads(run.stdout.splitlines()[-1]))


def test_help_imports_no_command_module():
    run = python(
        "-c",
        "import sys; from gmkit.cli.main import main; main(['--help'])\n"
        "from gmkit.cli.commands import COMMANDS\n"
        "print(sorted(m for m in sys.modules if m in {t[0].partition(':')[0]"
        " for t in COMMANDS.values()}))",
    )
    assert run.stdout.splitlines()[-1] == "[]"


def test_python_dash_m_and_its_exit_code():
    run = python("-m", "gmkit", "plgins")
    assert run.returncode == 2
    assert "Did you mean 'plugins'?" in run.stderr
    assert run.stdout == ""


def test_reader_that_goes_away_is_no_error():
    code = "import sys; from gmkit.cli.main import main; sys.exit(main(['--help']))"
    read, write = os.pipe()
    os.close(read)
    run = subprocess.run(
        [sys.executable, "-c", code],
        stdout=write,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    os.close(write)
    assert run.stderr == b""
    assert run.returncode == 1
