"""The augmentation domain: whole rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from gmkit.codecs.tables import TableCodec
from gmkit.codecs.tables.row_keys import row_keys
from gmkit.domain import Domain

if TYPE_CHECKING:
    from rich.console import RenderableType

ONE_PASS = frozenset({"trees", "mixture", "copula", "smote", "noise"})
"""Families that learn without gradients."""
_SHOWN = 12
"""Columns of a preview."""


class TablesDomain(Domain):
    """A record is a row with all its columns."""

    def codec(self, config: Mapping[str, Any]) -> TableCodec:
        """A new codec for ``codec.*`` options (``TableConfig``)."""
        return TableCodec(config)

    def keys(self, records: pa.RecordBatch) -> pa.Array:
        """Every value of the row."""
        return row_keys(records)

    def validate(self, records: pa.RecordBatch) -> pa.BooleanArray:
        """All are: whatever has the table's columns is a row of it."""
        return pa.array(np.ones(len(records), bool))

    def defaults(self, family: str, budget: float | None) -> dict[str, Any]:
        """Families of one pass take numbers as they are; networks learn classes better (bins).
        Nothing is held out to stop early where nothing is stopped."""
        if family in ONE_PASS:
            return {"codec": {"numbers": "real"}, "data": {"valid": 0.0}}
        training: dict[str, Any] = {"batch_size": 256, "steps": 2000, "warmup": 50}
        settings: dict[str, Any] = {"training": training, "trunk": {"width": 256, "depth": 2}}
        if family == "gan":
            training |= {"learning_rate": 1e-3, "betas": (0.0, 0.99)}
        elif family.startswith("vae"):
            part = {"latent": 32}
            settings["family"] = {"vae": part} if "+" in family else part
        return settings

    def preview(self, records: pa.RecordBatch) -> RenderableType:
        """The first columns of a few rows."""
        return super().preview(records.select(records.schema.names[:_SHOWN]))
