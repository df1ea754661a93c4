"""One decision tree as tensors: from the variables before it to the distribution of one more.

A leaf holds the training values that fell into it, and its distribution is theirs: drawing is
picking one (or near it, for a real value), as in CART synthesis (Reiter 2005, "Using
CART to generate partially synthetic public use microdata").
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gmkit.errors import ArtifactError
from gmkit.families.elements import Variable

SMOOTHING = 1.0
"""Pseudo-values that each leaf has of the marginal distribution, when probabilities are asked."""
NARROWEST = 0.02
"""Least standard deviation of a leaf's real values, for a density."""
_WIDE = 3.0
_EMBEDDED = 8
"""Dimensions that many classes are projected to for splitting."""
_MANY = 64
_PARTS: dict[str, torch.dtype] = {
    "feature": torch.int64,
    "threshold": torch.float64,
    "left": torch.int64,
    "right": torch.int64,
    "start": torch.int64,
    "count": torch.int64,
    "inputs": torch.int64,
    "codes": torch.float32,
    "code_start": torch.int64,
    "line": torch.float32,
}


class Tree(nn.Module):
    """Nodes (T,), the leaves' values sorted by leaf and size (N,), and for every input that is a
    class without order a number for each class, by which nodes split it; of a real variable also
    ``line``, its distinct values."""

    feature: Tensor
    threshold: Tensor
    left: Tensor
    right: Tensor
    start: Tensor
    count: Tensor
    inputs: Tensor
    codes: Tensor
    code_start: Tensor
    line: Tensor

    def __init__(self, variable: Variable) -> None:
        super().__init__()
        self.variable = variable
        for name, kind in _PARTS.items():
            self.register_buffer(name, torch.empty(0, dtype=kind))
        self.values = nn.Parameter(torch.empty(0), requires_grad=False)
        self._shares: tuple[Tensor, Tensor] | None = None
        self._compiled: Any = None
        self._used: frozenset[int] | None = None
        self._checked = False

    @property
    def fitted(self) -> bool:
        """Whether it has learned."""
        return len(self.feature) > 0

    def make_room(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Empty tensors of these shapes. Raises ArtifactError unless they fit each other."""
        sizes = {name: shape[0] if len(shape) == 1 else -1 for name, shape in shapes.items()}
        nodes = {sizes.get(n) for n in ("feature", "threshold", "left", "right", "start", "count")}
        if sizes.keys() != {*_PARTS, "values"} or len(nodes) != 1 or min(sizes.values()) < 0:
            raise ArtifactError("the stored trees are of no possible shape")
        for name, kind in _PARTS.items():
            setattr(self, name, torch.zeros(sizes[name], dtype=kind, device=self.values.device))
        room = torch.zeros(sizes["values"], device=self.values.device)
        self.values = nn.Parameter(room, requires_grad=False)
        self._shares = self._compiled = self._used = None
        self._checked = False

    # ------------------------------------------------------------ learning

    def fit(
        self,
        target: NDArray[np.float32],
        inputs: list[int],
        known: Mapping[int, tuple[Variable, NDArray[np.float32]]],
        leaf: int,
        seed: int,
        settler: tuple[int, float, NDArray[np.bool_]] | None = None,
    ) -> None:
        """Learn ``target`` (N,) from ``inputs``, numbers of ``known`` variables with their values;
        ``leaf``: least training values in one. ``settler``, as of ``settled``: the first node asks
        for it, and all others are learned from the rows that it leaves open."""
        from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

        rng = np.random.default_rng(seed)
        split = self._split_target(target, rng)
        columns, codes, code_start = [], [np.empty(0, np.float32)], []
        rows = np.ones(len(target), bool)
        if settler is not None:
            inputs = [*(number for number in inputs if number != settler[0]), settler[0]]
            rows = ~settler[2][known[settler[0]][1].astype(np.int64)]
        for number in inputs:
            variable, values = known[number]
            code_start.append(-1)
            if variable.kind == "class":
                table = _class_codes(values.astype(np.int64), variable.size, split)
                if settler is not None and number == settler[0]:
                    table = np.where(settler[2], table.min() - 2, table)
                code_start[-1] = sum(map(len, codes))
                codes.append(table)
                values = table[values.astype(np.int64)]
            columns.append(values[rows])
        target, split = target[rows], split[rows]
        features = np.stack(columns, axis=1) if columns else np.zeros((len(target), 1), np.float32)
        kind = DecisionTreeClassifier if split.dtype.kind == "i" else DecisionTreeRegressor
        options = {"criterion": "entropy"} if split.dtype.kind == "i" else {}
        model = kind(
            min_samples_leaf=min(leaf, max(1, len(target) // 2)),
            random_state=int(rng.integers(2**31)),
            max_leaf_nodes=None if columns else 2,
            **options,
        )
        model.fit(features, split)
        nodes = model.tree_
        member = model.apply(features)
        order = np.lexsort((target, member))
        counts = np.bincount(member, minlength=nodes.node_count)
        own = np.arange(len(counts))
        parts = {
            "feature": np.maximum(nodes.feature, 0),
            "threshold": nodes.threshold,
            "left": np.where(nodes.children_left < 0, own, nodes.children_left),
            "right": np.where(nodes.children_right < 0, own, nodes.children_right),
            "count": counts,
        }
        held = target[order]
        if settler is not None:
            parts = _grafted(parts, len(inputs) - 1, float(codes[-1].min()) + 1)
            held = np.concatenate([np.array([settler[1]], np.float32), held])
        self._keep(
            **parts,
            start=np.cumsum(parts["count"]) - parts["count"],
            inputs=np.array(inputs, dtype=np.int64),
            codes=np.concatenate(codes),
            code_start=np.array(code_start, dtype=np.int64),
            line=np.unique(target) if self.variable.kind == "real" else np.empty(0),
        )
        self.values = nn.Parameter(
            torch.from_numpy(held).to(self.values.device), requires_grad=False
        )
        self._shares = self._compiled = self._used = None
        self._checked = False

    def _keep(self, **parts: NDArray[np.generic]) -> None:
        for name, kind in _PARTS.items():
            value = torch.from_numpy(np.ascontiguousarray(parts[name])).to(kind)
            setattr(self, name, value.to(self.values.device))

    def _split_target(self, target: NDArray[np.float32], rng: np.random.Generator) -> NDArray[Any]:
        """What splits are judged by: ranks of numbers; classes; or of many classes a projection,
        in which variance is spread as Gini impurity is."""
        if self.variable.kind == "class":
            codes = target.astype(np.int64)
            if self.variable.size <= _MANY:
                return codes
            return rng.standard_normal((self.variable.size, _EMBEDDED))[codes]
        _, place, counts = np.unique(target, return_inverse=True, return_counts=True)
        return ((np.cumsum(counts) - counts / 2) / len(target))[place]

    # ------------------------------------------------------------ drawing and judging

    def leaf(self, columns: Mapping[int, tuple[Variable, Tensor]], rows: int) -> Tensor:
        """The node (B,) that each row ends in. ``columns``: number → variable, values (B,)."""
        device = self.values.device
        if not self._checked:
            self.check()
        node = torch.zeros(rows, dtype=torch.int64, device=device)
        if not len(self.inputs) or len(self.feature) == 1:
            return node
        # a row for each input, as columns are written; those that no node asks for stay unwritten
        matrix = torch.empty(len(self.inputs), rows, device=device)
        if self._used is None:
            self._used = frozenset(self.feature.tolist())
        for place, number in enumerate(self.inputs.tolist()):
            if place in self._used:
                variable, values = columns[number]
                matrix[place] = self._coded(place, variable, values)
        if device.type == "cpu":
            return torch.from_numpy(self._walker.apply(matrix.numpy().T))
        moving = torch.arange(rows, device=device)
        while len(moving):
            at = node[moving]
            below = matrix[self.feature[at], moving] <= self.threshold[at]
            following = torch.where(below, self.left[at], self.right[at])
            going = following != at
            moving, following = moving[going], following[going]
            node[moving] = following
        return node

    @property
    def _walker(self) -> Any:
        """scikit-learn's own tree, which walks ten times as fast as indexing does."""
        if self._compiled is None:
            self._compiled = compiled_tree(
                self.feature.numpy(),
                self.threshold.numpy(),
                self.left.numpy(),
                self.right.numpy(),
                len(self.inputs),
            )
        return self._compiled

    def check(self) -> None:
        """Raise ArtifactError where following the nodes would not end in a leaf with values, as in
        a file that somebody made up."""
        own = torch.arange(len(self.feature), device=self.feature.device)
        leaf = (self.left == own) & (self.right == own)
        onward = (self.left > own) & (self.right > own)
        last = len(own) - 1
        inside = (self.left <= last) & (self.right <= last)
        known = (self.feature >= 0) & (self.feature < max(1, len(self.inputs)))
        filled = (self.start >= 0) & (self.count >= 1)
        filled &= self.start + self.count <= len(self.values)
        sound = bool(((leaf & filled | onward) & inside & known).all())
        starts = self.code_start
        sound &= bool(((starts >= -1) & (starts <= len(self.codes))).all())
        sound &= self.variable.kind != "real" or len(self.line) > 0
        if self.variable.kind != "real":
            sound &= bool(((self.values >= 0) & (self.values < self.variable.size)).all())
        if not sound:
            raise ArtifactError("the stored trees are damaged: a node leads nowhere")
        self._checked = True

    def _coded(self, place: int, variable: Variable, values: Tensor) -> Tensor:
        begin = int(self.code_start[place])
        if begin < 0:
            return values.float()
        table = self.codes[begin : begin + variable.size]
        return table[values.long().clamp(0, variable.size - 1)]

    def draw(self, node: Tensor, chance: Tensor, temperature: float) -> Tensor:
        """A value of each row's leaf, (B,); ``chance`` uniform in [0, 1)."""
        if self.variable.kind == "class" and temperature != 1.0:
            return self._draw_class(node, chance, temperature)
        start, count = self.start[node], self.count[node]
        if self.variable.kind != "class":
            chance = 0.5 + (chance - 0.5) * min(temperature, 1.0)
        place = chance.double() * count
        number = torch.minimum(place.long(), count - 1)
        value = self.values[start + number]
        if self.variable.kind != "real":
            return value
        return self._between(value, (place - number).float().clamp(0, 1))

    def _between(self, value: Tensor, share: Tensor) -> Tensor:
        """A place between the middles to the next values of the data on both sides, so that a
        number drawn is near one of the data's and seldom the same."""
        at = torch.searchsorted(self.line, value).clamp(max=len(self.line) - 1)
        below = self.line[(at - 1).clamp(min=0)]
        above = self.line[(at + 1).clamp(max=len(self.line) - 1)]
        return value + torch.where(
            share < 0.5, (share - 0.5) * (value - below), (share - 0.5) * (above - value)
        )

    def _draw_class(self, node: Tensor, chance: Tensor, temperature: float) -> Tensor:
        shares = self.class_shares()[node]
        if temperature == 0:
            return shares.argmax(-1).float()
        total = torch.softmax(shares.log() / temperature, -1).cumsum(-1)
        found = (total < chance.unsqueeze(-1) * total[:, -1:]).sum(-1)
        return found.clamp(max=self.variable.size - 1).float()

    def log_prob(self, node: Tensor, value: Tensor) -> Tensor:
        """log p of a value (B,) in nats: class frequencies, or a normal density, each of the leaf
        and smoothed by one that is never zero."""
        if self.variable.kind != "real":
            classes = value.long().clamp(0, self.variable.size - 1)
            return self.class_shares()[node, classes].log()
        mean, deviation = self._moments()
        narrow = _normal_log(value, mean[node], deviation[node]) + math.log(0.98)
        wide = _normal_log(value, torch.zeros_like(value), torch.full_like(value, _WIDE))
        return torch.logaddexp(narrow, wide + math.log(0.02))

    def class_shares(self) -> Tensor:
        """Probabilities (T, size), smoothed by the marginal distribution."""
        if self._shares is None:
            nodes, size = len(self.feature), self.variable.size
            owner = torch.repeat_interleave(
                torch.arange(nodes, device=self.values.device), self.count
            )
            counts = torch.zeros(nodes, size, device=self.values.device)
            cell = owner * size + self.values.long()
            counts.view(-1).index_add_(0, cell, torch.ones_like(self.values))
            marginal = counts.sum(0) + SMOOTHING
            counts += SMOOTHING * marginal / marginal.sum()
            self._shares = counts / counts.sum(1, keepdim=True), counts
        return self._shares[0]

    def _moments(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of every leaf, (T,) each."""
        if self._shares is None:
            nodes = torch.arange(len(self.feature), device=self.values.device)
            owner = torch.repeat_interleave(nodes, self.count)
            count = self.count.clamp(min=1)
            zeros = torch.zeros(len(nodes), device=self.values.device)
            mean = zeros.index_add(0, owner, self.values) / count
            square = zeros.index_add(0, owner, (self.values - mean[owner]) ** 2) / count
            self._shares = mean, square.sqrt().clamp(min=NARROWEST)
        return self._shares


def compiled_tree(
    feature: NDArray[np.int64],
    threshold: NDArray[np.float64],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    inputs: int,
) -> Any:
    """A scikit-learn tree of these checked nodes, filled in as unpickling one would."""
    from sklearn.tree import DecisionTreeRegressor

    pattern = DecisionTreeRegressor(max_depth=1).fit([[0.0], [1.0]], [0.0, 1.0]).tree_
    nodes = np.zeros(len(feature), pattern.__getstate__()["nodes"].dtype)
    leaf = left == np.arange(len(left))
    nodes["left_child"] = np.where(leaf, -1, left)
    nodes["right_child"] = np.where(leaf, -1, right)
    nodes["feature"] = np.where(leaf, -2, feature)
    nodes["threshold"] = threshold
    tree = type(pattern)(inputs, np.array([1]), 1)
    values = np.zeros((len(feature), 1, 1))
    state = {"max_depth": len(feature), "node_count": len(feature), "nodes": nodes}
    tree.__setstate__({**state, "values": values})
    return tree


def _grafted(
    parts: Mapping[str, NDArray[Any]], column: int, threshold: float
) -> dict[str, NDArray[Any]]:
    """Nodes behind a new first one: below ``threshold`` in ``column`` a leaf of one value."""
    ahead = {"feature": [column, 0], "threshold": [threshold, 0.0], "count": [0, 1]}
    ahead |= {"left": [1, 1], "right": [2, 1]}
    behind = {name: part + 2 * (name in ("left", "right")) for name, part in parts.items()}
    return {name: np.concatenate([ahead[name], part]) for name, part in behind.items()}


def _class_codes(classes: NDArray[np.int64], size: int, split: NDArray[Any]) -> NDArray[np.float32]:
    """A number for each class (size,): the mean of what is to be learned, drawn to that of all
    where a class is rare; of several classes or dimensions along the direction that tells the
    input's classes best apart."""
    if split.dtype.kind == "i":
        split = np.eye(int(split.max()) + 1)[split]
    split = split.reshape(len(split), -1)
    centre = split.mean(0)
    counts = np.bincount(classes, minlength=size).astype(np.float64)
    sums = np.stack(
        [np.bincount(classes, weights=column, minlength=size) for column in split.T], axis=1
    )
    means = (sums + 2 * centre) / (counts[:, None] + 2) - centre
    if means.shape[1] > 1:
        _, vectors = np.linalg.eigh((means * counts[:, None]).T @ means)
        means = means @ vectors[:, -1:]
    return means[:, 0].astype(np.float32)


def _normal_log(value: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    standard = (value - mean) / deviation
    return -0.5 * standard**2 - deviation.log() - 0.5 * math.log(2 * math.pi)
