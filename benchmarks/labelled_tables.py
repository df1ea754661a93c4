"""Detectors on labelled tables, one result at a time: what was measured is not measured again.

Each result is a line of JSON: detector, table, protocol, seed, area under the ROC curve, average
precision, and processor seconds (of PyOD's
detectors fit and scores, of gmkit the whole command).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.preprocessing import StandardScaler

LABEL = "label"
GMKIT = "gmkit"
DETERMINISTIC = ("ECOD", "COPOD", "KNN", "LOF")
"""Peers for which one seed on the same rows is enough."""
Command = Callable[[Path, Path, int, Path], float]
"""(rows to judge, rows to learn from, seed, where scores go) → processor seconds."""


def matrix(path: Path) -> np.ndarray:
    """(N, D) float64."""
    return np.column_stack([column.to_numpy() for column in pq.read_table(path).columns])


def judged(labels: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """AUROC and average precision."""
    return (
        float(roc_auc_score(labels, scores)),
        float(average_precision_score(labels, scores)),
    )


def split(path: Path, protocol: str, seed: int, place: Path) -> tuple[Path, Path, np.ndarray]:
    """Files to learn from and to judge, and the labels of the latter."""
    table = pq.read_table(path)
    labels = table[LABEL].to_numpy()
    rows = table.drop_columns([LABEL])
    learned = kept = np.arange(len(labels))
    if protocol == "semi":
        normal = np.random.default_rng(1000 + seed).permutation(np.flatnonzero(labels == 0))
        half = len(normal) // 2
        learned = normal[:half]
        kept = np.sort(np.concatenate([normal[half:], np.flatnonzero(labels == 1)]))
    train, test = place / "train.parquet", place / "test.parquet"
    pq.write_table(rows.take(pa.array(learned)), train)
    pq.write_table(rows.take(pa.array(kept)), test)
    # the same file is what the command takes for contaminated
    return (test if protocol == "unsup" else train), test, labels[kept]


def peers(seed: int) -> dict[str, Callable[[], Any]]:
    """PyOD's detectors, by default of its own settings; none where it is not installed."""
    try:
        from pyod.models.copod import COPOD
        from pyod.models.ecod import ECOD
        from pyod.models.iforest import IForest
        from pyod.models.knn import KNN
        from pyod.models.lof import LOF
    except ImportError:
        return {}
    return {
        "IForest": lambda: IForest(random_state=seed),
        "ECOD": ECOD,
        "COPOD": COPOD,
        "KNN": KNN,
        "LOF": LOF,
    }


def peer_scores(made: Any, train: Path, test: Path) -> tuple[np.ndarray, float]:
    """Scores (N,) and processor seconds. On its own training rows a peer is judged by the scores it
    keeps of them, in which neighbours leave the row itself out."""
    scaler = StandardScaler().fit(matrix(train))
    known, new = scaler.transform(matrix(train)), scaler.transform(matrix(test))
    began = time.process_time()
    made.fit(known)
    scores = made.decision_scores_ if train == test else made.decision_function(new)
    return np.asarray(scores, np.float64), time.process_time() - began


def measured(
    tables: list[Path], protocol: str, seeds: int, place: Path, command: Command, results: Path
) -> list[dict[str, Any]]:
    """Results of all detectors, tables and seeds; each is written to ``results`` as it comes, and
    what is there already is not measured again."""
    known = {_key(line): line for line in stored(results)}
    for path in tables:
        for seed in range(seeds):
            for name in [GMKIT, *peers(0)]:
                key = (name, path.stem, protocol, seed)
                if key in known:
                    continue
                again = (name, path.stem, protocol, 0)
                if protocol == "unsup" and name in DETERMINISTIC and again in known:
                    known[key] = {**known[again], "seed": seed}
                else:
                    known[key] = _one(key, path, place, command)
                with results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(known[key]) + "\n")
                print(known[key], flush=True)
    wanted = {path.stem for path in tables}
    return [r for k, r in known.items() if k[2] == protocol and k[1] in wanted and k[3] < seeds]


def _one(
    key: tuple[str, str, str, int], path: Path, place: Path, command: Command
) -> dict[str, Any]:
    name, table, protocol, seed = key
    train, test, labels = split(path, protocol, seed, place)
    if name == GMKIT:
        out = place / "scores.parquet"
        took = command(test, train, seed, out)
        scores = pq.read_table(out)["score"].to_numpy()
    else:
        scores, took = peer_scores(peers(seed)[name](), train, test)
    area, precision = judged(labels, scores)
    return {
        "detector": name,
        "table": table,
        "protocol": protocol,
        "seed": seed,
        "auroc": round(area, 5),
        "ap": round(precision, 5),
        "seconds": round(took, 2),
    }


def stored(results: Path) -> Iterator[dict[str, Any]]:
    """Whole lines of a file of results."""
    if not results.exists():
        return
    for line in results.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except ValueError:  # cut off as it was written
            continue


def _key(line: dict[str, Any]) -> tuple[str, str, str, int]:
    return line["detector"], line["table"], line["protocol"], line["seed"]


def rows_of(found: list[dict[str, Any]], tables: list[str]) -> list[list[str]]:
    """For each detector: name, mean AUROC / AP × 100, mean rank by AUROC, mean processor
    seconds, and
    AUROC / AP of each table."""
    names = list(dict.fromkeys(line["detector"] for line in found))
    figures = np.array([[_mean(found, name, table) for table in tables] for name in names])
    places = (-figures[:, :, 0]).argsort(axis=0, kind="stable").argsort(axis=0) + 1.0
    rows = []
    for name, each, rank in zip(names, figures, places.mean(axis=1), strict=True):
        seconds = float(np.mean([line["seconds"] for line in found if line["detector"] == name]))
        cells = [f"{100 * a:.1f} / {100 * p:.1f}" for a, p in [each.mean(axis=0), *each]]
        rows.append([name, cells[0], f"{rank:.2f}", f"{seconds:.1f}", *cells[1:]])
    return rows


def _mean(found: list[dict[str, Any]], name: str, table: str) -> tuple[float, float]:
    mine = [r for r in found if r["detector"] == name and r["table"] == table]
    return float(np.mean([r["auroc"] for r in mine])), float(np.mean([r["ap"] for r in mine]))
