"""Many scikit-learn trees as a few tensors: what a scorer made of trees stores.

Leaves carry vectors of numbers, of the tree's own width. Nothing is pickled: trees are rebuilt from
checked nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gmkit.errors import ArtifactError
from gmkit.families.tree import compiled_tree
from gmkit.scoring.stored import Stored


class OneTree(NamedTuple):
    """A learned tree. ``inputs``: the columns of the matrix that it sees; ``values`` (nodes, V)."""

    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    inputs: NDArray[np.int64]
    values: NDArray[np.float32]

    @classmethod
    def of(cls, learned: Any, inputs: NDArray[np.int64], values: NDArray[np.float32]) -> OneTree:
        """Of scikit-learn's ``tree_``."""
        own = np.arange(learned.node_count)
        leaf = learned.children_left < 0
        return cls(
            np.maximum(learned.feature, 0).astype(np.int64),
            learned.threshold,
            np.where(leaf, own, learned.children_left),
            np.where(leaf, own, learned.children_right),
            inputs,
            values,
        )


class PackedTrees(Stored):
    """Trees one behind the other; ``sizes`` (T, 3): nodes, inputs and values' width of each."""

    parts = {  # noqa: RUF012
        "feature": torch.int32,
        "threshold": torch.float64,
        "left": torch.int32,
        "right": torch.int32,
        "inputs": torch.int32,
        "values": torch.float32,
        "sizes": torch.int64,
    }
    feature: Tensor
    threshold: Tensor
    left: Tensor
    right: Tensor
    inputs: Tensor
    values: Tensor
    sizes: Tensor

    def __init__(self) -> None:
        super().__init__()
        self._walkers: list[tuple[Any, int, NDArray[np.float32]]] | None = None

    def pack(self, trees: Sequence[OneTree]) -> None:
        """Keep these."""
        sizes = [(len(t.feature), len(t.inputs), t.values.shape[1]) for t in trees]

        def joined(arrays: list[NDArray[Any]]) -> NDArray[Any]:
            return np.concatenate(arrays) if arrays else np.empty(0)

        self.keep(
            feature=joined([t.feature for t in trees]),
            threshold=joined([t.threshold for t in trees]),
            left=joined([t.left for t in trees]),
            right=joined([t.right for t in trees]),
            inputs=joined([t.inputs for t in trees]),
            values=joined([t.values.ravel() for t in trees]),
            sizes=np.array(sizes, np.int64).reshape(-1, 3),
        )
        self._walkers = None

    def make_room(self, shapes: Any) -> None:
        """As the base's."""
        super().make_room(shapes)
        self._walkers = None

    def __len__(self) -> int:
        return len(self.sizes)

    def leaves(self, matrix: NDArray[np.float32], some: slice = slice(None)) -> Iterator[Any]:
        """For each tree of ``some`` the values of each row's leaf, (N, V)."""
        if self._walkers is None:
            self._walkers = list(self._rebuilt())
        matrix = np.ascontiguousarray(matrix, dtype=np.float32)
        for walker, width, values in self._walkers[some]:
            if width > matrix.shape[1]:
                raise ArtifactError("the stored trees are damaged: one looks at no column")
            yield values[walker.apply(matrix)]

    def _rebuilt(self) -> Iterator[tuple[Any, int, NDArray[np.float32]]]:
        """Trees that look at the whole matrix, how many columns it has at least, and values of
        nodes. Raises ArtifactError for nodes that lead nowhere, as in a file somebody made up."""
        node = input_ = value = 0
        for nodes, inputs, width in self.sizes.tolist():
            if nodes < 1 or inputs < 1 or width < 1:
                raise ArtifactError("the stored trees are damaged: one of no size")
            here = slice(node, node + nodes)
            feature, threshold = self.feature[here].numpy(), self.threshold[here].numpy()
            left, right = self.left[here].numpy(), self.right[here].numpy()
            own = np.arange(nodes)
            inner = (left > own) & (right > own) & (left < nodes) & (right < nodes)
            leaf = (left == own) & (right == own)
            sound = len(feature) == nodes and (inner | leaf).all()
            sound = sound and ((feature >= 0) & (feature < inputs)).all()
            seen = self.inputs[input_ : input_ + inputs].long().numpy()
            held = self.values[value : value + nodes * width].numpy()
            if not sound or len(seen) != inputs or len(held) != nodes * width or seen.min() < 0:
                raise ArtifactError("the stored trees are damaged: a node leads nowhere")
            columns = int(seen.max()) + 1
            walker = compiled_tree(seen[feature], threshold, left, right, columns)
            yield walker, columns, held.reshape(nodes, width)
            node, input_, value = node + nodes, input_ + inputs, value + nodes * width
