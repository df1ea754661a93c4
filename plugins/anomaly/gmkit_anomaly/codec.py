"""Tables as the detector needs them: numbers without an end, and a class for what never was."""

from __future__ import annotations

from typing import Literal

from gmkit.codecs.tables import TableCodec, TableConfig


class AnomalyConfig(TableConfig):
    """As tables', with other defaults."""

    numbers: Literal["bins", "real", "scaled"] = "scaled"
    unseen: bool = True
    text: Literal["sample", "drop"] = "drop"


class AnomalyCodec(TableCodec):
    """A row of any values that its columns' types allow can be encoded."""

    Config = AnomalyConfig
