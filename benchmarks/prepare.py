"""From SMILES to tensors: the parts one by one, on one process and two, and from the cache.

    python benchmarks/prepare.py --json benchmarks/results.jsonl
    python benchmarks/prepare.py --data moses_train.parquet --rows 100000

Parts are timed on ``--sample`` molecules in turns, ``--rounds`` rounds; our SELFIES translation
stands beside the library's. Then all ``--rows`` records go through ``codec.prepare`` in this
process and in ``--workers`` others (start-up of the workers included and not), and through
``build_dataset`` twice: the second finds its result in the cache. Start values, one process on a
quiet machine (BENCHMARKS.md): parse + canonicalise 8,500/s, SELFIES 5,300/s, decode 7,200/s.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import pyarrow as pa
import pyarrow.parquet as pq
import selfies
from gmkit_molecules.codec import MoleculeCodec
from gmkit_molecules.notation import Selfies
from gmkit_molecules.valence import selfies_constraints
from measure import Report, alternate, parser, ratio, seconds
from rdkit import Chem, rdBase

from gmkit.codecs import Prepared
from gmkit.config import DataConfig
from gmkit.data.source import open_source
from gmkit.engines.local import map_batches
from gmkit.observer import Observer
from gmkit.plugins import registry
from gmkit.training.dataset import BATCH_ROWS, build_dataset


def records(data: str, rows: int) -> pa.Table:
    """Up to ``rows`` molecules of a data set or file, column ``smiles``."""
    known = registry()
    source = open_source(data, domain=known.domain("molecules"), registry=known)
    batches, found = [], 0
    for batch in source.batches():
        batches.append(batch.select(["smiles"]))
        found += len(batch)
        if found >= rows:
            break
    return pa.Table.from_batches(batches).slice(0, rows)


def parts(smiles: list[str], rounds: int) -> dict[str, list[float]]:
    """Seconds of each part by round, all on the same molecules."""
    ours, codec = Selfies(), MoleculeCodec({})
    raw = pa.RecordBatch.from_pydict({"smiles": pa.array(smiles, pa.string())})
    prepared = codec.prepare(raw).records
    codec.fit([prepared])
    ids = codec.encode(prepared)
    molecules = [Chem.MolFromSmiles(text) for text in smiles]
    canonical = prepared["smiles"].to_pylist()
    texts = prepared[prepared.schema.names[-1]].to_pylist()

    def each(function: Callable[..., object], items: list[object]) -> Callable[[], float]:
        return lambda: seconds(lambda: [function(item) for item in items])

    contestants = {
        "parse": each(Chem.MolFromSmiles, smiles),
        "canonicalise": each(Chem.MolToSmiles, [m for m in molecules if m is not None]),
        "SELFIES, library": each(selfies.encoder, canonical),
        "SELFIES, ours (checked where needed)": each(ours.from_smiles, canonical),
        "back, library": each(selfies.decoder, texts),
        "back, ours": each(ours.to_smiles, texts),
        "codec.prepare": lambda: seconds(lambda: codec.prepare(raw)),
        "codec.fit": lambda: seconds(lambda: MoleculeCodec({}).fit([prepared])),
        "codec.encode": lambda: seconds(lambda: codec.encode(prepared)),
        "codec.decode": lambda: seconds(lambda: codec.decode(ids)),
    }
    with rdBase.BlockLogs(), selfies_constraints():
        return alternate(contestants, rounds)


def prepare(codec: MoleculeCodec, records: pa.RecordBatch) -> Prepared:
    """In a worker process."""
    return codec.prepare(records)


def through(batches: list[pa.RecordBatch], workers: int) -> float:
    """Seconds for all batches, starting and ending the workers included."""
    work = partial(prepare, MoleculeCodec({}))
    return seconds(lambda: list(map_batches(work, batches, workers=workers)))


def cached(table: pa.Table) -> tuple[float, float]:
    """Seconds of ``build_dataset`` the first and the second time."""
    known = registry()
    domain = known.domain("molecules")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GMKIT_CACHE"] = str(Path(folder, "cache"))
        path = Path(folder, "molecules.parquet")
        pq.write_table(table, path)
        times = []
        for _ in range(2):
            began = time.perf_counter()
            source = open_source(path, domain=domain, registry=known)
            build_dataset(source, domain, domain.codec({}), DataConfig(), 0, Observer())
            times.append(time.perf_counter() - began)
    return times[0], times[1]


def report_parts(report: Report, smiles: list[str], rounds: int) -> None:
    """Table and figures of the parts."""
    found = parts(smiles, rounds)
    rate = {name: len(smiles) / statistics.median(values) for name, values in found.items()}
    best = {name: len(smiles) / min(values) for name, values in found.items()}
    report.table(
        f"{len(smiles):,} molecules, one process, {rounds} rounds",
        ["part", "molecules/s, best", "median"],
        [[name, f"{best[name]:,.0f}", f"{rate[name]:,.0f}"] for name in found],
    )
    both = [a + b for a, b in zip(found["parse"], found["canonicalise"], strict=True)]
    parse_rate = len(smiles) / statistics.median(both)
    report.goal("parse + canonicalise (RDKit)", parse_rate, "/s")
    ours = "SELFIES, ours (checked where needed)"
    report.goal("SELFIES encoding", rate[ours], "/s", at_least=5300)
    report.goal("codec.prepare, one process", rate["codec.prepare"], "/s")
    report.goal("codec.decode, one process", rate["codec.decode"], "/s", at_least=7200)
    library = found["SELFIES, library"]
    report.goal("SELFIES, library time / ours", ratio(library, found[ours]), "×", at_least=1)
    back = ratio(found["back, library"], found["back, ours"])
    report.goal("back to SMILES, library time / ours", back, "×", at_least=1)


def main() -> None:
    """Measure and report."""
    made = parser(__doc__)
    made.add_argument("--data", default="screening", help="a data set's name or a file")
    made.add_argument("--rows", type=int, default=10_000)
    made.add_argument("--sample", type=int, default=2000, help="molecules for the parts")
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--workers", type=int, default=2)
    options = made.parse_args()
    table = records(options.data, options.rows)
    batches = table.combine_chunks().to_batches(BATCH_ROWS)
    rows = table.num_rows
    with Report("prepare", "Preparing molecules", options) as report:
        report_parts(report, table["smiles"].to_pylist()[: options.sample], options.rounds)
        tiny = [batch.slice(0, 1) for batch in batches[:1]] * (2 * options.workers)
        several = f"{options.workers} processes"
        turns = {
            "one process": lambda: through(batches, 1),
            several: lambda: through(batches, options.workers),
            "start-up": lambda: through(tiny, options.workers),
        }
        times = alternate(turns, max(1, options.rounds // 2))
        bare = [a - b for a, b in zip(times[several], times["start-up"], strict=True)]
        times[f"{several}, without their start-up"] = bare
        report.table(
            f"codec.prepare of {rows:,} records",
            ["where", "s, min", "s, median", "records/s"],
            [
                [
                    name,
                    f"{min(values):.2f}",
                    f"{statistics.median(values):.2f}",
                    "" if name == "start-up" else f"{rows / statistics.median(values):,.0f}",
                ]
                for name, values in times.items()
            ],
        )
        report.goal(f"{several} over one, without start-up", ratio(times["one process"], bare), "×")
        report.goal(f"{several} over one", ratio(times["one process"], times[several]), "×")
        first, second = cached(table)
        report.goal("build_dataset, first time", first, "s")
        report.goal("build_dataset, from the cache", second, "s")
        report.goal("build_dataset, first time / cached", first / second, "×", at_least=5)


if __name__ == "__main__":
    main()
