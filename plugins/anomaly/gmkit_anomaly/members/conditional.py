"""Every column from all others, by a few random trees each: which value does not go with the rest.

    number   − log t₄((x − m) / s) + log s,   m and s² mean and variance over the trees' leaves
    class    − log of its share in the leaves; of one never seen at least the share of what was
             seen but once, for as much of what comes is new (Good 1953)

(Extremely randomised trees; Geurts, Ernst & Wehenkel 2006. A heavy-tailed density, for leaves are
no normal distributions.)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gmkit.fields import Categorical, FieldScores
from gmkit.scoring import Rows, Scorer
from gmkit.scoring.packed_trees import OneTree, PackedTrees

TREES = 8
MOST_TREES = 1200
MOST_GROUPS = 1600
LEAF = 5
INPUTS = 24
"""Columns that a tree looks at for a cut, at most."""
MOST_INPUTS = 256
"""Columns that a tree is given, at most; of more so many at random, others for each tree."""
ROWS = 20_000
"""Records that a tree learns from, at most."""
FLOOR = 1e-3
"""Least variance of a number, in squares of its spread."""
RARE = 1e-3
"""Least share of a class."""


class Conditional(Scorer):
    """``targets`` (T, 2): for each tree the group it tells, and how many columns that has;
    ``columns``: these columns, one behind the other; ``new``: of each field how much of it was
    seen but once."""

    by_field = True
    kind = "conditional"
    parts = {  # noqa: RUF012
        "targets": torch.int64,
        "columns": torch.int64,
        "marginal": torch.float32,
        "new": torch.float32,
    }
    targets: Tensor
    columns: Tensor
    marginal: Tensor
    new: Tensor

    def __init__(self, family: object = None) -> None:
        super().__init__()
        self.trees = PackedTrees()

    def fit(self, rows: Rows, rng: torch.Generator) -> None:
        """Some trees for each group of columns that say the same."""
        from sklearn.tree import ExtraTreeRegressor

        matrix, group = rows.matrix.numpy(), rows.features.group.numpy()
        draws = np.random.default_rng(int(torch.randint(2**62, (), generator=rng)))
        groups = np.unique(group)
        if len(groups) > MOST_GROUPS:
            groups = np.sort(draws.choice(groups, MOST_GROUPS, replace=False))
        many = int(np.clip(MOST_TREES // max(1, len(groups)), 1, TREES))
        trees, targets, columns = [], [], []
        for wanted in groups.tolist() if len(np.unique(group)) > 1 else ():
            mine, others = np.flatnonzero(group == wanted), np.flatnonzero(group != wanted)
            for _ in range(many):
                inputs = others
                if len(others) > MOST_INPUTS:
                    inputs = np.sort(draws.choice(others, MOST_INPUTS, replace=False))
                seen = draws.permutation(len(rows))[: min(ROWS, max(2, len(rows) * 2 // 3))]
                learner = ExtraTreeRegressor(
                    min_samples_leaf=min(LEAF, max(1, len(seen) // 2)),
                    max_features=min(INPUTS, len(inputs)),
                    random_state=int(draws.integers(2**31)),
                )
                known = matrix[np.ix_(seen, mine)]
                learner.fit(matrix[np.ix_(seen, inputs)], known)
                values = _leaves(learner, matrix, known, seen, inputs)
                trees.append(OneTree.of(learner.tree_, inputs, values))
                targets.append((wanted, len(mine)))
            columns.append(mine)
        self.trees.pack(trees)
        self.keep(
            targets=np.array(targets, np.int64).reshape(-1, 2),
            columns=np.concatenate(columns) if columns else np.empty(0, np.int64),
            marginal=rows.matrix.mean(0),
            new=_new(rows),
        )

    def score(self, rows: Rows) -> FieldScores:
        """Each field's; in total their sum."""
        names = list(rows.features.space.fields)
        fields: dict[str, Tensor] = {}
        for columns, mean, variance in self._expected(rows):
            terms = self._terms(rows, columns, mean, variance)
            for field, term in terms:
                name = names[field]
                fields[name] = fields[name] + term if name in fields else term
        total = torch.zeros(len(rows), dtype=torch.float64)
        for term in fields.values():
            total += term
        return FieldScores(fields, total)

    def _expected(self, rows: Rows) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """For each group its columns (C,), and what the trees expect there: means and variances
        (N, C) each."""
        matrix = rows.matrix.numpy()
        found = self.trees.leaves(matrix)
        begin = tree = 0
        targets = self.targets.tolist()
        while tree < len(targets):
            wanted, width = targets[tree]
            columns = self.columns[begin : begin + width]
            begin += width
            mean = np.zeros((len(rows), width))
            inner, square = np.zeros_like(mean), np.zeros_like(mean)
            many = 0
            while tree < len(targets) and targets[tree][0] == wanted:
                values = next(found)
                mean += values[:, :width]
                square += values[:, :width] ** 2
                inner += values[:, width:]
                many, tree = many + 1, tree + 1
            mean /= many
            variance = inner / many + np.maximum(square / many - mean**2, 0) + FLOOR
            yield columns, torch.from_numpy(mean), torch.from_numpy(variance)

    def _terms(
        self, rows: Rows, columns: Tensor, mean: Tensor, variance: Tensor
    ) -> Iterator[tuple[int, Tensor]]:
        """(field, − log p) of the fields in a group."""
        fields = rows.features.field[columns]
        real = rows.features.real[columns]
        for field in torch.unique(fields).tolist():
            here = torch.nonzero(fields == field)[:, 0]
            if bool(real[here[0]]):
                value = rows.matrix[:, columns[here]].double()
                z = (value - mean[:, here]).square() / variance[:, here]
                term = 2.5 * torch.log1p(z / 4) + 0.5 * variance[:, here].log()
                yield field, term.sum(1)
                continue
            own = rows.matrix[:, columns[here]].double() * math.sqrt(2)
            share = (own * mean[:, here]).sum(1) * math.sqrt(2)
            # a class that was left out, for it never varied or never was, has what others leave
            rest = (1 - math.sqrt(2) * mean[:, here].sum(1)).clamp(min=float(self.new[field]))
            share = torch.where(own.sum(1) > 0, share, rest)
            yield field, -((1 - RARE) * share.clamp(0, 1) + RARE).log()

    def expected(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """What the other columns let expect of each, in the numbers of ``Features``: means and
        standard deviations (N, D)."""
        means = self.marginal.double().repeat(len(rows), 1)
        deviations = torch.ones_like(means)
        for columns, mean, variance in self._expected(rows):
            means[:, columns], deviations[:, columns] = mean, variance.sqrt()
        return means, deviations


def _new(rows: Rows) -> Tensor:
    """(fields,) shares of the records whose class is the only one of its kind; 0 of numbers."""
    found = []
    for name, kind in rows.features.space.fields.items():
        share = 0.0
        if isinstance(kind, Categorical) and not kind.shape and len(rows):
            counts = torch.bincount(rows.batch[name].long(), minlength=kind.size)
            share = float((counts == 1).sum()) / len(rows)
        found.append(share)
    return torch.tensor(found)


def _leaves(
    learner: Any,
    matrix: NDArray[np.float32],
    known: NDArray[np.float32],
    seen: NDArray[np.int64],
    inputs: NDArray[np.int64],
) -> NDArray[np.float32]:
    """(nodes, 2C): means and variances of what each node holds."""
    tree = learner.tree_
    mean = tree.value.reshape(tree.node_count, -1)
    if mean.shape[1] == 1:
        variance = tree.impurity[:, None]
    else:
        leaf = learner.apply(matrix[np.ix_(seen, inputs)])
        count = np.maximum(np.bincount(leaf, minlength=tree.node_count), 1)
        square = [np.bincount(leaf, c.astype(np.float64) ** 2, tree.node_count) for c in known.T]
        variance = np.maximum(np.stack(square, 1) / count[:, None] - mean**2, 0)
    return np.concatenate([mean, variance], 1).astype(np.float32)
