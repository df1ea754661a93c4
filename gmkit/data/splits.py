"""Training, validation and test parts by content: equal records never lie in two parts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from itertools import pairwise

import numpy as np
import pyarrow as pa

from gmkit.errors import ConfigError, DataError


def split(keys: Iterable[pa.Array], fractions: Mapping[str, float], seed: int) -> np.ndarray:
    """The part of each record, as int8 of shape (records,): 0 is the first name of ``fractions``.

    Each key (string or bytes; a missing one is a key too) is hashed with blake2b keyed by
    ``seed``; the hashes are ranked and cut at the fractions. Hence the parts do not depend on the
    order of the records, few records change part when some are added, and equal keys share one.
    Parts have the exact sizes, each cut rounded to whole records, up to the repeats of the key
    that lies at the cut. The first part is never empty where there are records.

    Raises ConfigError when the fractions are not ≥ 0 with sum 1, DataError for keys of other types.
    """
    shares = np.array(list(fractions.values()), dtype=np.float64)
    if not 0 < len(shares) <= 127 or not np.all(shares >= 0) or abs(shares.sum() - 1) > 1e-6:
        raise ConfigError(
            f"fractions {dict(fractions)} must be 0 or more and sum to 1",
            hint="For example train=0.8, validation=0.1, test=0.1.",
        )
    secret = hashlib.blake2b(str(seed).encode(), digest_size=32).digest()
    parts = [_hashes(array, secret) for array in keys]
    hashes = np.concatenate(parts) if parts else np.empty(0, np.uint64)
    cuts = np.rint(np.cumsum(shares[:-1]) * len(hashes)).astype(np.int64)
    # Rank of the first record with the same hash, so that repeats go together.
    ranks = np.searchsorted(np.sort(hashes), hashes, side="left")
    return np.searchsorted(np.maximum(cuts, 1), ranks, side="right").astype(np.int8)


def _hashes(array: pa.Array, secret: bytes) -> np.ndarray:
    """64 bits for each key, shape (len(array),). Two different keys in 2^64 share theirs."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    kind = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    try:
        values = array.cast(kind).cast(pa.large_string() if _text(kind) else pa.large_binary())
    except (pa.ArrowInvalid, NotImplementedError) as fault:
        raise DataError(f"keys of a split must be strings or bytes, not {array.type}") from fault
    values = values.cast(pa.large_binary())
    _, offsets, data = values.buffers()
    if not len(values):
        return np.empty(0, np.uint64)
    bounds = np.frombuffer(offsets, np.int64)[values.offset : values.offset + len(values) + 1]
    view = memoryview(data) if data is not None else memoryview(b"")
    keyed = hashlib.blake2b(digest_size=8, key=secret)
    digests = bytearray()
    ends = bounds.tolist()
    for start, end in pairwise(ends):
        hasher = keyed.copy()
        hasher.update(view[start:end])
        digests += hasher.digest()
    hashes = np.frombuffer(bytes(digests), "<u8").astype(np.uint64)
    if values.null_count:
        missing = hashlib.blake2b(b"missing", digest_size=8, key=secret, person=b"null").digest()
        absent = np.asarray(values.is_null())
        hashes = np.where(absent, np.uint64(int.from_bytes(missing, "little")), hashes)
    return hashes


def _text(kind: pa.DataType) -> bool:
    return not (
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    )
