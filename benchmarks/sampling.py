"""Sampling: molecules a second, from noise to SMILES strings.

    python benchmarks/sampling.py --json benchmarks/results.jsonl
    python benchmarks/sampling.py --run runs/molecules-vae

Without ``--run`` a default model is trained for ``--steps`` steps first: lengths of samples, and
with them the speed, need some training to be realistic. Chunk sizes and threads take turns on the
same seed; time is split into the network and ``codec.decode``. The decoder's cache of keys and
values is compared with computing the whole sequence anew for each token, as a ratio. Goal:
≥ 2,000 molecules/s on 2 cores (a byte-pair GRU of the peers: 1,940 on one thread).
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "0")

import torch
from measure import Report, alternate, parser, ratio, seconds

import gmkit
from gmkit.drawing import CHUNK
from gmkit.families import Family
from gmkit.run import Run

GOAL = 2000


def draw(run: Run, n: int, chunk: int, threads: int) -> tuple[float, float, int]:
    """Seconds in the network, seconds in the codec, and tokens drawn."""
    torch.set_num_threads(threads)
    network = decoding = 0.0
    tokens = 0
    for number, start in enumerate(range(0, n, chunk)):
        rng = torch.Generator().manual_seed(number)
        began = time.perf_counter()
        drawn = run.family.sample(min(chunk, n - start), None, rng)
        middle = time.perf_counter()
        run.codec.decode(drawn)
        network += middle - began
        decoding += time.perf_counter() - middle
        tokens += int((drawn["tokens"] != 0).sum())
    return network, decoding, tokens


@torch.no_grad()
def recomputed(family: Family, n: int) -> torch.Tensor:
    """Samples (n, L) without a cache: every step runs the decoder over all tokens so far.
    Finished records are dropped, as the cached way does."""
    decoder = family.decoder
    rng = torch.Generator().manual_seed(0)
    latent = torch.randn(n, family.config.latent, generator=rng)
    field = family.space.fields["tokens"]
    tokens = torch.zeros(n, field.shape[0], dtype=torch.int64)
    rows = torch.arange(n)
    for step in range(field.shape[0]):
        params = decoder(latent[rows], {"tokens": tokens[rows, : step + 1]})["tokens"]
        drawn = field.sample(params[:, -1:], rng)[:, 0]
        tokens[rows, step] = drawn
        rows = rows[drawn != field.end]
        if not len(rows):
            break
    return tokens


def report_speed(report: Report, run: Run, n: int, chunks: list[int], rounds: int) -> None:
    """Table over chunk sizes and threads; the best of the default chunk as the figure."""
    cores = report_cores()
    splits: dict[str, list[tuple[float, float, int]]] = {}

    def contestant(name: str, chunk: int, threads: int) -> float:
        split = draw(run, n, chunk, threads)
        splits.setdefault(name, []).append(split)
        return split[0] + split[1]

    settings = {
        f"chunk {chunk}, {threads} thread(s)": (chunk, threads)
        for threads in sorted({1, cores})
        for chunk in chunks
    }
    turns = {
        name: (lambda name=name, setting=setting: contestant(name, *setting))
        for name, setting in settings.items()
    }
    times = alternate(turns, rounds)
    rows = []
    for name, values in times.items():
        network = statistics.median(split[0] for split in splits[name])
        decoding = statistics.median(split[1] for split in splits[name])
        share = decoding / (network + decoding)
        rows.append(
            [
                name,
                f"{n / min(values):,.0f}",
                f"{n / statistics.median(values):,.0f}",
                f"{splits[name][0][2] / network:,.0f}",
                f"{n / decoding:,.0f}",
                f"{share:.0%}",
            ]
        )
    title = f"{n:,} molecules, {rounds} rounds"
    columns = ["", "molecules/s, best", "median", "tokens/s", "decoded/s", "share of decoding"]
    report.table(title, columns, rows)


def report_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def report_run(report: Report, run: Run, n: int, rounds: int) -> None:
    """``Run.sample`` as a user calls it, with torch's own number of threads."""
    torch.set_num_threads(report_cores())
    run.sample(CHUNK)
    times = [seconds(lambda: run.sample(n)) for _ in range(rounds)]
    rate = n / statistics.median(times)
    report.goal("Run.sample, median", rate, "molecules/s", at_least=GOAL)
    report.goal("Run.sample, best", n / min(times), "molecules/s")
    strings = run.sample(n)["smiles"].to_pylist()
    report.note(f"distinct strings among {n:,}: {len(set(strings)) / n:.3f}")


def report_cache(report: Report, run: Run, n: int, rounds: int) -> None:
    """The key-value cache against recomputation, one thread."""
    torch.set_num_threads(1)
    turns = {
        "cached": lambda: seconds(
            lambda: run.family.sample(n, None, torch.Generator().manual_seed(0))
        ),
        "recomputed": lambda: seconds(lambda: recomputed(run.family, n)),
    }
    times = alternate(turns, rounds)
    gain = ratio(times["recomputed"], times["cached"])
    report.goal("recomputing / key-value cache, network time", gain, "×", at_least=1)


def main() -> None:
    """Measure and report."""
    made = parser(__doc__)
    made.add_argument("--run", type=Path, help="folder of a finished run")
    made.add_argument("--steps", type=int, default=200, help="without --run: steps of training")
    made.add_argument("--n", type=int, default=4000)
    made.add_argument("--chunks", type=int, nargs="+", default=[500, 1000, 2000, 4000])
    made.add_argument("--rounds", type=int, default=3)
    options = made.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.run is not None:
            run = gmkit.load(options.run)
        else:
            print(f"training a default model for {options.steps} steps", flush=True)
            place = Path(folder, "run")
            settings = [f"training.steps={options.steps}"]
            run = gmkit.train(domain="molecules", model="vae", out=place, settings=settings)
        with Report("sampling", "Sampling molecules", options) as report:
            weights = sum(p.numel() for p in run.family.parameters()) / 1e6
            report.note(f"model: {weights:.2f} M weights, {run.config.trunk}")
            report_run(report, run, options.n, options.rounds)
            report_speed(report, run, options.n, options.chunks, options.rounds)
            report_cache(report, run, min(options.n, 500), options.rounds)


if __name__ == "__main__":
    main()
