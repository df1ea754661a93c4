"""Start-up: how long the shell waits before gmkit answers, and what it imports for that.

    python benchmarks/startup.py --json benchmarks/results.jsonl

Each command runs ``--repeats`` times (15), in turns with the others; wall time of the whole
process. Goal: help within 200 ms, with nothing scientific imported.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

from measure import Report, alternate, parser, seconds, spread

HEAVY = ("torch", "numpy", "pyarrow", "rdkit", "sklearn", "scipy", "pandas", "selfies")
CALL = "from gmkit.cli.main import main; main({!r})"
COMMANDS = {
    "python -c pass": "pass",
    "import gmkit": "import gmkit",
    "gmkit --version": CALL.format(["--version"]),
    "gmkit --help": CALL.format(["--help"]),
    "gmkit plugins ls": CALL.format(["plugins", "ls"]),
    "gmkit train --help": CALL.format(["train", "--help"]),
}
LIGHT = 200.0
"""Milliseconds allowed for ``gmkit --help``."""


def run(code: str) -> str:
    """The output of a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        raise SystemExit(f"{code!r} failed:\n{done.stderr}")
    return done.stdout


def heavy_modules(code: str) -> list[str]:
    """Which of the heavy packages the command imported."""
    tell = "\nimport sys, json; print(); print(json.dumps(sorted(sys.modules)))"
    return sorted(set(HEAVY) & set(json.loads(run(code + tell).splitlines()[-1])))


def main() -> None:
    """Measure and report."""
    made = parser(__doc__)
    made.add_argument("--repeats", type=int, default=15)
    options = made.parse_args()
    with Report("startup", "Start-up", options) as report:
        contestants = {
            name: (lambda code=code: seconds(lambda: run(code))) for name, code in COMMANDS.items()
        }
        times = alternate(contestants, options.repeats)
        rows = []
        for name, code in COMMANDS.items():
            heavy = heavy_modules(code)
            rows.append([name, spread(times[name], 1000, 0), ", ".join(heavy) or "none"])
            if name.endswith("--help"):
                median = statistics.median(times[name]) * 1000
                bound = LIGHT if name == "gmkit --help" else None
                report.goal(f"{name}, median", median, "ms", at_most=bound)
                report.goal(f"{name}, minimum", min(times[name]) * 1000, "ms")
                report.goal(f"{name}, heavy modules", len(heavy), "", at_most=0)
        report.table(
            f"wall time of {options.repeats} runs",
            ["command", "min / median ms", "heavy modules imported"],
            rows,
        )


if __name__ == "__main__":
    main()
