"""gmkit-anomaly: which records are abnormal, and why.

This module is the plugin: light descriptions only, nothing heavy is imported.
"""

from __future__ import annotations

from gmkit.api import CommandInfo, DatasetInfo, DomainInfo, FamilyInfo, ScorerInfo, hookimpl

__gmkit_api__ = "1.0"


@hookimpl
def gmkit_register_domains() -> list[DomainInfo]:
    """The anomaly domain: rows of a table, with room for what was never seen."""
    return [
        DomainInfo(
            name="anomaly",
            summary="rows of a table that may hold what was never seen",
            loader="gmkit_anomaly.domain:AnomalyDomain",
            model="detector",
            commands=("gmkit detect-anomalies NEW.parquet --run {run}",),
        )
    ]


@hookimpl
def gmkit_register_families() -> list[FamilyInfo]:
    """The detector."""
    return [
        FamilyInfo(
            name="detector",
            summary="Learns what is usual by several scorers; judges records",
            loader="gmkit_anomaly.detector:Detector",
            capabilities=frozenset({"judge"}),
        )
    ]


@hookimpl
def gmkit_register_scorers() -> list[ScorerInfo]:
    """Those that learn by themselves."""
    members = "gmkit_anomaly.members"
    return [
        ScorerInfo(
            name="neighbours",
            summary="distance to the fifth nearest known record",
            loader=f"{members}.neighbours:Neighbours",
        ),
        ScorerInfo(
            name="conditional",
            summary="each column given all others, by random trees",
            loader=f"{members}.conditional:Conditional",
        ),
        ScorerInfo(
            name="network",
            summary="each column given all others, by a network",
            loader=f"{members}.network:Network",
        ),
        ScorerInfo(
            name="linear",
            summary="each column given all others, linearly: the quickest",
            loader=f"{members}.linear:Linear",
        ),
        ScorerInfo(
            name="tails",
            summary="how far out a value lies in its own column",
            loader=f"{members}.tails:Tails",
        ),
        ScorerInfo(
            name="forest",
            summary="isolation forest: how few cuts set a record apart",
            loader=f"{members}.forest:IsolationForest",
        ),
        ScorerInfo(
            name="diffusion-time",
            summary="how much noise a record looks like it had",
            loader=f"{members}.diffusion_time:DiffusionTime",
        ),
    ]


@hookimpl
def gmkit_register_datasets() -> list[DatasetInfo]:
    """A table inside scikit-learn."""
    return [
        DatasetInfo(
            name="tumours",
            summary="569 tumours, 30 measurements each, without the diagnosis",
            domain="anomaly",
            licence="CC-BY-4.0",
            loader="gmkit_anomaly.datasets:tumours",
            rows=569,
            default=True,
            citation="Wolberg et al. 1995, Breast Cancer Wisconsin (Diagnostic), UCI",
        )
    ]


@hookimpl
def gmkit_register_commands() -> list[CommandInfo]:
    """The command."""
    return [
        CommandInfo(
            name="detect-anomalies",
            summary="Which records are abnormal, and why",
            loader="gmkit_anomaly.commands.detect:detect_anomalies",
        )
    ]
