"""The data set that every Python brings along."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa


def topics() -> Iterator[pa.RecordBatch]:
    """Python's help texts on keywords and concepts: ``text`` and ``topic``. They differ a little
    between versions of Python."""
    from pydoc_data.topics import topics as known

    names = sorted(known)
    texts = [known[name] for name in names]
    yield pa.RecordBatch.from_pydict(
        {"text": pa.array(texts, pa.string()), "topic": pa.array(names, pa.string())}
    )
