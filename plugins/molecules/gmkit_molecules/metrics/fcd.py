"""FCD: the distance between samples and test set as a network of chemistry sees them."""

from __future__ import annotations

import pyarrow as pa

from gmkit.metrics.frechet import frechet
from gmkit_molecules.metrics.features import molecules

__all__ = ["fcd"]


def fcd(real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
    """Fréchet ChemNet distance of the valid samples to the test set, from 0.

    Preuer et al., J. Chem. Inf. Model. 58, 1736 (2018). It falls with the number of samples:
    compare at the same number only. NaN with fewer than two valid molecules on either side.
    Raises PluginError when ChemNet's weights are missing.
    """
    samples, test = molecules(synthetic), molecules(holdout)
    if min(len(samples.canonical), len(test.canonical)) < 2:
        return {"fcd/test": float("nan")}
    return {"fcd/test": frechet(*samples.chemnet, *test.chemnet)}
