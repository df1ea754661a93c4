"""Damage to data and to the disk under it: equal data or one clear error, nothing half-written."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gmkit.data.formats import CORE_FORMATS
from gmkit.data.sink import Sink
from gmkit.errors import DataError

TABLE = pa.table(
    {
        "smiles": [f"C{'CO' * (i % 9)}N{i % 7}" for i in range(900)],
        "kind": pa.array([f"k{i % 5}" for i in range(900)]).dictionary_encode(),
        "weight": [i * 0.37 for i in range(900)],
        "atoms": pa.array([None if i % 4 == 0 else i for i in range(900)], pa.int16()),
        "rings": [[i, i + 1] if i % 3 else None for i in range(900)],
    }
)
PARQUET = CORE_FORMATS[".parquet"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A parquet file of three row groups as the Sink writes it, and its bytes."""
    path = tmp_path_factory.mktemp("damage") / "t.parquet"
    with pq.ParquetWriter(path, TABLE.schema, compression="zstd", write_page_checksum=True) as out:
        out.write_table(TABLE, row_group_size=300)
    return path, path.read_bytes()


def read(path: Path) -> pa.Table:
    schema = PARQUET.schema(path)
    return pa.Table.from_batches(PARQUET.read(path, None, 128), schema)


def outcome(path: Path, content: bytes) -> str:
    """``equal``, ``refused``, or ``other`` data; any exception but DataError fails the test."""
    path.write_bytes(content)
    try:
        table = read(path)
    except DataError as error:
        assert str(path) in str(error)
        return "refused"
    # The same values under a plainer type (string for dictionary) are not other data.
    try:
        return "equal" if table.cast(TABLE.schema).equals(TABLE) else "other"
    except (pa.ArrowException, ValueError):
        return "other"


def test_single_bit_flips_of_parquet(whole: tuple[Path, bytes]) -> None:
    path, content = whole
    rng = random.Random(0)
    pages = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    seen = {"equal": 0, "refused": 0, "other": 0}
    for trial in range(300):
        damaged = bytearray(content)
        # Half of them in the footer, which no checksum guards.
        place = rng.randrange(pages) if trial % 2 else rng.randrange(pages, len(content))
        damaged[place] ^= 1 << rng.randrange(8)
        seen[outcome(path, bytes(damaged))] += 1
    assert seen["other"] == 0
    assert seen["refused"] > 150


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_mutations_of_parquet(whole: tuple[Path, bytes], data: st.DataObject) -> None:
    """Bytes overwritten, cut out, doubled or cut off."""
    path, content = whole
    start = data.draw(st.integers(0, len(content) - 1))
    length = data.draw(st.integers(1, 64))
    kind = data.draw(st.sampled_from(["overwrite", "remove", "double", "truncate"]))
    piece = content[start : start + length]
    if kind == "overwrite":
        piece = data.draw(st.binary(min_size=len(piece), max_size=len(piece)))
    elif kind == "double":
        piece += piece
    tail = b"" if kind == "truncate" else content[start + length :]
    new = piece if kind in ("overwrite", "double") else b""
    assert outcome(path, content[:start] + new + tail) in ("equal", "refused")


@pytest.mark.parametrize("end", [".csv", ".jsonl", ".arrow", ".csv.gz", ".jsonl.gz"])
def test_mutations_of_the_other_formats_raise_nothing_else(tmp_path: Path, end: str) -> None:
    """They carry no checksum, so that other data may result; but never a foreign exception."""
    path = tmp_path / f"t{end}"
    plain = TABLE.drop_columns(["kind", "rings"])
    with Sink(path, plain.schema, CORE_FORMATS) as sink:
        sink.write(plain.to_batches()[0])
    content, rng, refused = path.read_bytes(), random.Random(1), 0
    for _ in range(60):
        damaged = bytearray(content)
        for _ in range(rng.choice([1, 1, 8])):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged[: rng.choice([len(damaged), rng.randrange(len(damaged))])])
        try:
            for batch in CORE_FORMATS[end].read(path, None, 128):
                batch.to_pylist()
        except DataError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 5


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_disk_full(tmp_path: Path) -> None:
    """A limit on the size of files stands for the quota."""
    paths = [tmp_path / f"t{end}" for end in CORE_FORMATS]
    for path in paths:
        path.write_text("before")
    done = run(
        """
        import random, resource, sys
        from pathlib import Path
        import pyarrow as pa
        from gmkit.data.formats import CORE_FORMATS
        from gmkit.data.sink import Sink
        from gmkit.errors import DataError

        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        rng = random.Random(0)
        batch = pa.record_batch({"a": [rng.random() for _ in range(70_000)]})
        for name in sys.argv[1:]:
            try:
                with Sink(Path(name), batch.schema, CORE_FORMATS) as sink:
                    for _ in range(2):
                        sink.write(batch)
            except DataError as error:
                assert error.exit_code == 3
                print(str(error).splitlines()[0])
        """,
        *paths,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for path, line in zip(paths, done.stdout.splitlines(), strict=True):
        assert line.startswith(f"{path}: cannot be written: File too large, after")
        assert "bytes more are needed" in line
        assert path.read_text() == "before"
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_sigkill_while_writing_leaves_the_previous_file(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_text("before")
    script = """
        import sys
        from pathlib import Path
        import pyarrow as pa
        from gmkit.data.formats import CORE_FORMATS
        from gmkit.data.sink import Sink

        batch = pa.record_batch({"a": list(range(140_000))})
        with Sink(Path(sys.argv[1]), batch.schema, CORE_FORMATS) as sink:
            while True:
                sink.write(batch)
                print("written", flush=True)
        """
    running = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(path)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert running.stdout is not None
    running.stdout.readline()
    time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.communicate(timeout=20)
    assert path.read_text() == "before"
    litter = [p.name for p in tmp_path.iterdir() if p != path]
    assert litter == [f".t.parquet.tmp-{running.pid}"]
    with Sink(path, TABLE.schema, CORE_FORMATS) as sink:
        sink.write(TABLE.to_batches()[0])
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]
    assert read(path).equals(TABLE)


def test_a_folder_that_may_only_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests may run as root, whom no permission stops: the system's answer is put in its place."""
    import errno

    from gmkit.data.parquet import Parquet

    def refuse(self: Parquet, path: Path, schema: pa.Schema) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Parquet, "open_writer", refuse)
    path = tmp_path / "t.parquet"
    with pytest.raises(DataError) as caught, Sink(path, TABLE.schema, CORE_FORMATS):
        pass
    assert str(caught.value).startswith(f"{path}: cannot be written: Permission denied, after 0")
    assert list(tmp_path.iterdir()) == []


def test_reading_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    done = run(
        """
        import resource, sys
        from pathlib import Path
        import numpy as np, pyarrow as pa
        from gmkit.data.formats import CORE_FORMATS
        from gmkit.data.sink import Sink

        path = Path(sys.argv[1])
        rng = np.random.default_rng(0)
        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        schema = pa.schema([(f"c{i}", pa.float64()) for i in range(5)])
        def write(batches):
            with Sink(path, schema, CORE_FORMATS) as sink:
                for _ in range(batches):
                    columns = [pa.array(rng.random(20_000)) for _ in range(5)]
                    sink.write(pa.record_batch(columns, schema=schema))
            assert sum(b.num_rows for b in CORE_FORMATS[".parquet"].read(path, None, 8192)) \\
                == batches * 20_000
        write(10)
        before = peak()
        write(45)
        print(peak() - before, path.stat().st_size / 2**20)
        """,
        tmp_path / "t.parquet",
    )
    assert done.returncode == 0, done.stderr
    grown, size = map(float, done.stdout.split())
    assert size > 30
    assert grown < 25
