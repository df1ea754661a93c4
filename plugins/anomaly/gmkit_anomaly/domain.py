"""The anomaly domain: whole rows of a table, known or never seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from gmkit.codecs.tables.row_keys import row_keys
from gmkit.domain import Domain
from gmkit_anomaly.codec import AnomalyCodec

if TYPE_CHECKING:
    from rich.console import RenderableType

PASSES = 30
"""Through the records at most: networks learn small tables by heart, and nobody waits for it."""
_SHOWN = 12
"""Columns of a preview."""


class AnomalyDomain(Domain):
    """A record is a row with all its columns."""

    def codec(self, config: Mapping[str, Any]) -> AnomalyCodec:
        """A new codec for ``codec.*`` options (``AnomalyConfig``)."""
        return AnomalyCodec(config)

    def keys(self, records: pa.RecordBatch) -> pa.Array:
        """Every value of the row."""
        return row_keys(records)

    def validate(self, records: pa.RecordBatch) -> pa.BooleanArray:
        """All are: whatever has the table's columns is a row of it."""
        return pa.array(np.ones(len(records), bool))

    def defaults(self, family: str, budget: float | None) -> dict[str, Any]:
        """Networks of middling size, where a family has any, and steps for seconds: scores of
        how usual records are need fewer than drawing new ones."""
        training = {"batch_size": 256, "steps": 300, "passes": PASSES, "warmup": 50}
        width = 256 if family == "gan" else 128  # others score as well at half of it, and quicker
        return {"training": training, "trunk": {"width": width, "depth": 2}}

    def preview(self, records: pa.RecordBatch) -> RenderableType:
        """The first columns of a few rows."""
        return super().preview(records.select(records.schema.names[:_SHOWN]))
