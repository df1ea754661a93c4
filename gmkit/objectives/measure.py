"""A measure: a number that a domain can tell of each record, such as a molecule's logP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["Measure", "Measured"]

Measured = Callable[[pa.RecordBatch], NDArray[np.float64]]
"""Records → (n,), NaN where the number is not defined."""


@dataclass(frozen=True)
class Measure:
    """How to measure, and between which values records of interest lie."""

    summary: str
    low: float
    high: float
    make: Callable[[str], Measured]
    """What measures, given the argument as the user wrote it (a reference, a pattern; ``""``
    where none is taken). Raises ConfigError for an argument that makes no sense."""
    argument: str = ""
    """What the argument is, for messages; empty where none is taken."""
