"""Isolation forest (Liu, Ting & Zhou 2008), from scikit-learn: how few random cuts set a record
apart. It hardly minds abnormal records among those it learns from."""

from __future__ import annotations

import numpy as np
import torch

from gmkit.fields import FieldScores
from gmkit.scoring import Rows, Scorer
from gmkit.scoring.packed_trees import OneTree, PackedTrees

TREES = 200
SAMPLE = 256


class IsolationForest(Scorer):
    """Trees whose leaves hold depths."""

    kind = "isolation"

    def __init__(self, family: object = None) -> None:
        super().__init__()
        self.trees = PackedTrees()

    def fit(self, rows: Rows, rng: torch.Generator) -> None:
        """scikit-learn's own."""
        from sklearn.ensemble import IsolationForest as Learner

        if not rows.matrix.shape[1]:
            self.trees.pack([])
            return
        seed = int(torch.randint(2**31, (), generator=rng))
        sample = min(SAMPLE, len(rows))
        learner = Learner(n_estimators=TREES, max_samples=sample, random_state=seed)
        learner.fit(rows.matrix.numpy())
        inputs = np.arange(rows.matrix.shape[1])
        self.trees.pack(
            [OneTree.of(t.tree_, inputs, _depths(t.tree_)) for t in learner.estimators_]
        )

    def score(self, rows: Rows) -> FieldScores:
        """− the mean depth, in cuts."""
        total = torch.zeros(len(rows), dtype=torch.float64)
        for depth in self.trees.leaves(rows.matrix.numpy()):
            total -= torch.from_numpy(depth[:, 0]).double()
        return FieldScores({}, total / max(1, len(self.trees)))


def _depths(tree: object) -> np.ndarray:
    """(nodes, 1): cuts to the node, and how many more its records would have needed on average."""
    left, right = tree.children_left, tree.children_right  # type: ignore[attr-defined]
    count = tree.n_node_samples.astype(np.float64)  # type: ignore[attr-defined]
    depth = np.zeros(len(left))
    for node in range(len(left)):  # children come after their parents
        if left[node] >= 0:
            depth[left[node]] = depth[right[node]] = depth[node] + 1
    inside = np.maximum(count, 2)
    more = 2 * (np.log(inside - 1) + np.euler_gamma) - 2 * (inside - 1) / inside
    more = np.where(count > 2, more, np.where(count == 2, 1.0, 0.0))
    return (depth + more).astype(np.float32)[:, None]
