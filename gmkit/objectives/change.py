"""What a domain can do with records beside measuring them, for the search of ``gmkit design``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["Change", "Scaffold"]

Change = Callable[[pa.RecordBatch, np.random.Generator], list[str | None]]
"""Parents (n records) → for each a changed record's text; None where nothing came out."""


class Scaffold(Protocol):
    """A part that every record must have, with places to be filled."""

    def holds(self, records: pa.RecordBatch) -> NDArray[np.bool_]:
        """(n,): which records have it, with nothing hung on but where it is open."""
        ...

    def openings(self, parents: pa.RecordBatch, rng: np.random.Generator) -> list[str | None]:
        """For each parent a part that is to be kept, with one open place, as ``Codec.partial``
        reads it with gaps: the parent's, if it holds the scaffold, less what fills one of its
        places; else the scaffold's. None where there is none."""
        ...

    def fill(
        self, parents: pa.RecordBatch, donors: pa.RecordBatch, rng: np.random.Generator
    ) -> list[str | None]:
        """For each parent a record that holds the scaffold: the parent's with one place filled
        anew by a part of its donor, or where it does not hold it, all places filled by parts of
        the donor. None where nothing came out."""
        ...
