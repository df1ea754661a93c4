"""gmkit-molecules: small molecules as SMILES or SELFIES, through RDKit.

This module is the plugin: light descriptions only, nothing heavy is imported.
"""

from __future__ import annotations

from gmkit.api import DatasetInfo, DomainInfo, MetricInfo, hookimpl

__gmkit_api__ = "1.0"


@hookimpl
def gmkit_register_domains() -> list[DomainInfo]:
    """The molecules domain."""
    return [
        DomainInfo(
            name="molecules",
            summary="small molecules as SMILES or SELFIES",
            loader="gmkit_molecules.domain:MoleculesDomain",
            extensions=(".smi", ".smiles", ".smi.gz", ".smiles.gz", ".sdf", ".sdf.gz"),
            requires=("rdkit", "selfies"),
        )
    ]


@hookimpl
def gmkit_register_datasets() -> list[DatasetInfo]:
    """Two sets inside RDKit, ZINC-250k and MOSES to fetch."""
    from gmkit_molecules.dataset_infos import DATASETS

    return DATASETS


@hookimpl
def gmkit_register_metrics() -> list[MetricInfo]:
    """The MOSES metrics and more."""
    from gmkit_molecules.metric_infos import METRICS

    return METRICS
