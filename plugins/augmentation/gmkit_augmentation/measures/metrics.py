"""The measures as metrics: (real, synthetic, holdout) → figures by name."""

from __future__ import annotations

import pyarrow as pa

from gmkit_augmentation.measures.fidelity import shapes, trends
from gmkit_augmentation.measures.learners import detection
from gmkit_augmentation.measures.privacy import privacy


def fidelity(real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
    """1 where all is distributed alike."""
    alike = shapes(real, synthetic)
    return {
        "column_shapes": sum(alike.values()) / len(alike),
        "pair_trends": trends(real, synthetic),
    }


def detectability(real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
    """.5 where rows cannot be told apart; below it, rows are copies."""
    return {"detection_auc": detection(real, synthetic)}


def nearness(real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
    """.5 where nothing is remembered."""
    found = privacy(real, synthetic, holdout)
    return {
        "closer_to_learned": found.share,
        "membership_auc": found.attack,
        "copies": found.copies,
    }
