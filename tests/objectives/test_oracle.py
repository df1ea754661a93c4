"""The user's own scoring: right answers in order, and every way to fail told."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest

from gmkit.errors import ConfigError, DataError
from gmkit.objectives.oracle import CommandOracle

RECORDS = pa.RecordBatch.from_pydict({"s": ["a", "bbb", "cc"], "other": [1, 2, 3]})


def oracle(tmp_path: Path, body: str, **options: float) -> CommandOracle:
    script = tmp_path / "score it.py"
    script.write_text(f"import sys\nlines = sys.stdin.read().splitlines()\n{body}\n")
    return CommandOracle(f'"{sys.executable}" "{script}"', "s", **options)


def test_scores_come_in_order(tmp_path: Path) -> None:
    scored = oracle(tmp_path, "for line in lines: print(len(line) - 0.5)")(RECORDS)
    assert scored.score.tolist() == [0.5, 2.5, 1.5]
    assert scored.parts == {}


def test_a_record_is_one_line(tmp_path: Path) -> None:
    records = pa.RecordBatch.from_pydict({"s": ["a\nb", "c\r\nd", "C/C=C\\\\C"]})
    scored = oracle(tmp_path, "for line in lines: print(len(line))")(records)
    assert scored.score.tolist() == [4.0, 6.0, 8.0]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("sys.exit('no licence')", "exit code 1: no licence"),
        ("sys.exit(3)", "exit code 3: it said nothing"),
        ("print(1.0)", "answered 1 numbers for 3 records"),
        ("print('1 2 3 4')", "answered 4 numbers"),
        ("print('1 nan 2')", "answered 'nan' for 'bbb'"),
        ("print('1 2 inf')", "answered 'inf' for 'cc'"),
        ("print('good 1 2')", "answered 'good' for 'a'"),
    ],
)
def test_bad_answers_are_refused(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        oracle(tmp_path, body)(RECORDS)
    assert error.value.hint


def test_one_that_hangs_is_ended(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    body = f"import os, time\nopen({str(mark)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"
    began = time.monotonic()
    with pytest.raises(DataError, match=r"no answer for 3 records within 2 s"):
        oracle(tmp_path, body, timeout=2)(RECORDS)
    assert time.monotonic() - began < 30
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


def test_what_a_hanging_one_started_is_ended_too(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    body = (
        "import subprocess, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(mark)!r}, 'w').write(str(child.pid))\ntime.sleep(60)"
    )
    with pytest.raises(DataError, match="no answer"):
        oracle(tmp_path, body, timeout=3)(RECORDS)
    status = Path(f"/proc/{mark.read_text()}/stat")
    for _ in range(100):  # whoever inherited it has to collect it
        if not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the child still runs")


def test_commands_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="cannot be started"):
        CommandOracle("no-such-command-here", "s")(RECORDS)
    with pytest.raises(ConfigError, match="reads text, and the column 'other' holds int64"):
        CommandOracle("cat", "other")(RECORDS)
    with pytest.raises(ConfigError, match="is empty"):
        CommandOracle("  ", "s")
    with pytest.raises(ConfigError, match="No closing quotation"):
        CommandOracle("python 'x", "s")
