"""Figures of a model itself on held-out records: its likelihood bound and reconstruction."""

from __future__ import annotations

import math

import torch

from gmkit.codecs import Batch
from gmkit.families import Family
from gmkit.metrics.evaluation import Figure
from gmkit.randomness import generator

SAMPLES = 8
"""Importance samples of the bound: enough to close most of the gap, cheap enough for a report."""


def model_figures(
    family: Family, batches: list[Batch], seed: int, measure: tuple[str, int] | None = None
) -> dict[str, Figure]:
    """By capability: ``bound`` (− log p in nats a record), ``bound/dim`` (bits an informative
    element), ``reconstruction`` (share of records that come back unchanged); and those the family
    has of its own. ``measure``: a further unit and how many of it the records hold together."""
    figures: dict[str, Figure] = {}
    rows = sum(len(next(iter(batch.values()))) for batch in batches)
    if "log_prob" in family.capabilities and rows:
        total = elements = 0.0
        for number, batch in enumerate(batches):
            rng = generator(seed, "bound", number, device=_device(family))
            total += float(family.log_prob(batch, rng, SAMPLES).total.sum())
            elements += _elements(family, batch)
        figures["bound (nats)"] = Figure("bound (nats)", total / rows, math.nan, "lower")
        name = "bound (bits/dim)"
        figures[name] = Figure(name, total / elements / math.log(2), math.nan, "lower")
        if measure is not None:
            unit, count = measure
            name = f"bound (bits/{unit})"
            figures[name] = Figure(name, total / count / math.log(2), math.nan, "lower")
    if rows:
        rng = generator(seed, "figures", device=_device(family))
        for name, (value, better) in family.figures(batches, rng).items():
            figures[name] = Figure(name, value, math.nan, better)
    if "reconstruct" in family.capabilities and rows:
        same = 0
        for number, batch in enumerate(batches):
            rng = generator(seed, "reconstruct", number, device=_device(family))
            same += _same(family, batch, family.reconstruct(batch, rng))
        figures["reconstruction"] = Figure("reconstruction", same / rows, 1.0, "higher")
    return figures


def _elements(family: Family, batch: Batch) -> int:
    """Elements that carry information."""
    masks = family.space.observed(batch)
    return sum(
        batch[name].numel() if mask is None else int(mask.sum()) for name, mask in masks.items()
    )


def _same(family: Family, batch: Batch, other: Batch) -> int:
    """Records equal in every field; real values to a tenth of their unit scale."""
    equal = torch.ones(len(next(iter(batch.values()))), dtype=torch.bool)
    for name in family.space.names:
        before, after = batch[name], other[name]
        if after.shape != before.shape:  # a closed sequence, trimmed in the batch
            after = after[:, : before.shape[1]]
        near = (before - after).abs() < 0.1 if before.is_floating_point() else before == after
        equal &= near.reshape(len(near), -1).all(1).cpu()
    return int(equal.sum())


def _device(family: Family) -> torch.device:
    return next(family.parameters()).device
