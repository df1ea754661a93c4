"""What the metrics compute from a column of molecules, once however many metrics ask.

``molecules(table)`` gives the ``Molecules`` of a column; equal columns share one object, found by
the hash of their content. Each feature is computed when first asked for, on distinct molecules
only (canonical SMILES), by the functions of ``per_molecule`` mapped over processes.
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from itertools import chain
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gmkit.engines.local import default_workers, map_batches
from gmkit.errors import DataError, did_you_mean
from gmkit_molecules.metrics import per_molecule

__all__ = ["COLUMN", "Molecules", "molecules"]

COLUMN = "smiles"
BATCH = 256
"""Molecules per task: about half a second of the slowest feature."""

WORTH_WORKERS = 3_000
"""Milliseconds of work below which starting processes costs more than it saves."""

T = TypeVar("T")


class Molecules:
    """The features of a list of SMILES; invalid ones count in ``total`` and nowhere else."""

    def __init__(self, smiles: Sequence[str]) -> None:
        """``smiles``: any strings, in the order in which they were drawn."""
        self.total = len(smiles)
        self._smiles = smiles
        self._properties: dict[str, NDArray[np.float64]] = {}

    @cached_property
    def canonical(self) -> list[str]:
        """Canonical SMILES of the valid ones, in order, duplicates kept."""
        raw = list(dict.fromkeys(self._smiles))
        parsed = chain.from_iterable(_mapped(per_molecule.canonical, raw, cost=0.3))
        found = dict(zip(raw, parsed, strict=True))
        valid = [c for c in map(found.__getitem__, self._smiles) if c is not None]
        self._smiles = ()  # the strings are not needed again
        return valid

    @cached_property
    def _multiplicity(self) -> dict[str, int]:
        # Sorted, so that floating-point sums do not depend on the order of the samples.
        return dict(sorted(Counter(self.canonical).items()))

    @property
    def unique(self) -> list[str]:
        """Distinct valid molecules, sorted; every array below has one row for each."""
        return list(self._multiplicity)

    @cached_property
    def counts(self) -> NDArray[np.float64]:
        """How often each of ``unique`` was drawn."""
        return np.fromiter(self._multiplicity.values(), dtype=np.float64)

    @cached_property
    def fingerprints(self) -> NDArray[np.uint8]:
        """Morgan fingerprints, radius 2, 1024 bits, packed: shape ``(len(unique), 128)``."""
        parts = list(_mapped(per_molecule.fingerprints, self.unique, cost=0.3))
        return np.concatenate(parts) if parts else np.empty((0, 128), dtype=np.uint8)

    @cached_property
    def fragments(self) -> Counter[str]:
        """Counts of BRICS fragments over all valid molecules."""
        return self._tally(per_molecule.fragments, cost=1.0)

    @cached_property
    def scaffolds(self) -> Counter[str]:
        """Counts of Murcko scaffolds of two rings and more over all valid molecules."""
        return self._tally(per_molecule.scaffolds, cost=0.4)

    @cached_property
    def passing(self) -> NDArray[np.bool_]:
        """Which of ``unique`` pass the filters of ``alerts``."""
        parts = _mapped(per_molecule.passing, self.unique, cost=1.5)
        return np.fromiter(chain.from_iterable(parts), dtype=np.bool_)

    def properties(self, *names: str) -> dict[str, NDArray[np.float64]]:
        """The named properties of each of ``unique``; see ``gmkit_molecules.properties``."""
        missing = [name for name in names if name not in self._properties]
        if missing:
            function = partial(per_molecule.properties, names=missing)
            parts = list(_mapped(function, self.unique, cost=2.5))
            for name in missing:
                values = [part[name] for part in parts]
                self._properties[name] = np.concatenate(values) if values else np.empty(0)
        return {name: self._properties[name] for name in names}

    @cached_property
    def chemnet(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean ``(512,)`` and covariance ``(512, 512)`` of ChemNet's activations.

        Needs two valid molecules. Raises PluginError when the weights are not installed.
        """
        from gmkit_molecules.metrics.chemnet import activations

        values = activations(self.unique).astype(np.float64)
        mean = np.average(values, axis=0, weights=self.counts)
        return mean, np.cov(values, rowvar=False, fweights=self.counts.astype(np.int64))

    def _tally(
        self, parts: Callable[[Sequence[str]], list[list[str]]], cost: float
    ) -> Counter[str]:
        tally: Counter[str] = Counter()
        each = chain.from_iterable(_mapped(parts, self.unique, cost))
        for names, count in zip(each, self._multiplicity.values(), strict=True):
            for name in names:
                tally[name] += count
        return tally


def _mapped(
    function: Callable[[Sequence[str]], T], smiles: Sequence[str], cost: float
) -> Iterator[T]:
    """``function`` of each batch of ``smiles``, in order; ``cost`` in milliseconds a molecule."""
    batches = (smiles[i : i + BATCH] for i in range(0, len(smiles), BATCH))
    workers = default_workers() if len(smiles) * cost > WORTH_WORKERS else 1
    return map_batches(function, batches, workers=workers)


KEPT = 8
"""Columns kept: training, samples, floor and test molecules, and parts of the first three."""

_kept: OrderedDict[bytes, Molecules] = OrderedDict()


def molecules(table: pa.Table) -> Molecules:
    """The molecules of the column ``smiles``; a null is an invalid record.

    Raises DataError when the table has no such column of strings.
    """
    strings = _strings(table)
    lengths = pc.binary_length(strings).to_numpy()
    smiles = strings.to_pylist()
    digest = hashlib.blake2b(lengths.tobytes())
    digest.update("".join(smiles).encode())
    key = digest.digest()
    found = _kept.pop(key, None) or Molecules(smiles)
    _kept[key] = found
    while len(_kept) > KEPT:
        _kept.popitem(last=False)
    return found


def _strings(table: pa.Table) -> pa.LargeStringArray:
    if COLUMN not in table.column_names:
        raise DataError(
            f"no column {COLUMN!r} among the records", hint=did_you_mean(COLUMN, table.column_names)
        )
    column = table.column(COLUMN)
    try:
        strings = column.cast(pa.large_string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise DataError(f"expected SMILES strings, found {column.type}", column=COLUMN) from None
    return pc.fill_null(strings, "").combine_chunks()
