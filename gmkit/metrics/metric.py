"""The metric contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa


class Metric(Protocol):
    """A figure or several about synthetic records; described by a ``MetricInfo``.

    The same call with a copy of training records as ``synthetic`` gives the floor that a model
    is shown beside.
    """

    def __call__(self, real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
        """Figures by name.

        ``real``: records trained on; ``synthetic``: raw samples, before any filter;
        ``holdout``: records never trained on. NaN where a figure is not defined (too few
        records). Raises PluginError when an optional library is missing.
        """
        ...
