"""Turn a file of results into docs/benchmarks.md.

    python benchmarks/report.py benchmarks/results.jsonl --out docs/benchmarks.md

Of each benchmark and set of options the last line counts. Figures taken on a machine that was not
quiet are marked; a goal that was missed says so.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from measure import ROOT, bound_text, machine_text, value_text, verdict

ORDER = (
    "startup",
    "loop",
    "prepare",
    "sampling",
    "backbones",
    "threads",
    "gan_penalty",
    "molecules",
    "design",
    "text",
    "text_tricks",
    "images",
    "augmentation",
    "uplift",
    "anomaly",
)
HEAD = """# Benchmarks

Written by `benchmarks/report.py`; every figure can be measured again by the command above it (see
[benchmarks/README.md](../benchmarks/README.md)). Compare ratios rather than times: machines differ.
"""


def latest(lines: Iterable[str]) -> list[dict[str, Any]]:
    """The last result of each command, benchmarks in their order."""
    found: dict[str, dict[str, Any]] = {}
    for line in lines:
        if line.strip():
            result = json.loads(line)
            found.pop(result["command"], None)
            found[result["command"]] = result
    known = {name: place for place, name in enumerate(ORDER)}
    return sorted(found.values(), key=lambda r: known.get(r["benchmark"], len(known)))


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    head = list(columns)
    lines = [_line(head), _line(["---"] * len(head)), *map(_line, rows)]
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def section(result: Mapping[str, Any]) -> str:
    """One benchmark: command, goals, tables, notes, machine."""
    missed = [goal for goal in result["goals"] if verdict(goal) == "missed"]
    parts = [f"## {result['title']}", f"`{result['command']}`, {result['date']}"]
    if not result["quiet"]:
        parts.append("**The machine was not quiet: only ratios mean something.**")
    if missed:
        names = ", ".join(goal["name"] for goal in missed)
        parts.append(f"Missed {len(missed)} of {_bounded(result)} goals: {names}.")
    elif _bounded(result):
        parts.append(f"All {_bounded(result)} goals that were measured are met.")
    goals = [
        [goal["name"], value_text(goal), bound_text(goal), _mark(goal)] for goal in result["goals"]
    ]
    parts.append(table(["figure", "value", "goal", ""], goals))
    for entry in result["tables"]:
        parts += [f"*{entry['title']}*", table(entry["columns"], entry["rows"])]
    parts += [f"- {note}" for note in result["notes"]]
    parts.append(f"Machine: {machine_text(result)}.")
    return "\n\n".join(parts)


def _bounded(result: Mapping[str, Any]) -> int:
    return sum(goal["met"] is not None for goal in result["goals"])


def _mark(goal: Mapping[str, Any]) -> str:
    """The verdict, a miss in bold."""
    text = verdict(goal)
    return f"**{text}**" if text == "missed" else text


def page(results: Iterable[Mapping[str, Any]]) -> str:
    """The whole page."""
    return "\n\n".join([HEAD.strip(), *map(section, results)]) + "\n"


def main() -> None:
    """Read results, write the page."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("results", type=Path)
    made.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks.md")
    options = made.parse_args()
    results = latest(options.results.read_text(encoding="utf-8").splitlines())
    options.out.write_text(page(results), encoding="utf-8")
    print(f"{options.out}: {len(results)} benchmarks")


if __name__ == "__main__":
    main()
