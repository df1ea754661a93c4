"""Decision trees one after the other, on any Space: the fast model of tables.

    p(x) = Π_j p(x_j | x_1 … x_{j−1}),   each factor the leaf of a tree

The elements of all fields are put in a row; a tree for each is learned from those before it (Reiter
2005; Nowok et al. 2016, "synthpop"). Learning is one pass, seconds for a table of 30,000 rows, and
neither gradients nor a grid of options are needed. What is known beforehand is kept exactly: where
it comes first in the row, by plain drawing; elsewhere by drawing several candidates for a record
and choosing one by how well it explains what is known (importance resampling).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from gmkit.codecs import Batch
from gmkit.errors import ArtifactError, ConfigError, did_you_mean
from gmkit.families.elements import (
    SETTLERS,
    Variable,
    as_batch,
    element,
    kept,
    settled,
    variables,
)
from gmkit.families.family import Family, FamilyConfig, Step
from gmkit.families.tree import Tree
from gmkit.fields import FieldScores, Space
from gmkit.trunks import TrunkConfig


class TreesConfig(FamilyConfig):
    """``family.*`` options of trees."""

    leaf: int = Field(15, ge=1, le=100_000, description="least training values of a leaf")
    first: list[str] = Field(
        default_factory=list, description="fields that come first: what is asked for, a target"
    )
    inputs: int = Field(64, ge=1, le=4096, description="fields that a tree looks at, at most")
    rows: int = Field(200_000, ge=100, description="records a tree is learned from, at most")
    candidates: int = Field(
        32, ge=1, le=4096, description="drawn for a record of which something is known"
    )


class Trees(Family):
    """A tree for each element of the space, in order; conditions before all."""

    Config = TreesConfig
    config: TreesConfig
    capabilities: ClassVar[frozenset[str]] = frozenset({"log_prob", "complete"})
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "training": {"ema": 0.0, "evaluate_every": 0}
    }
    exact: ClassVar[bool] = True
    adjustable: ClassVar[frozenset[str]] = frozenset({"candidates"})

    def __init__(self, space: Space, config: TreesConfig, trunk: TrunkConfig) -> None:
        """Raises ConfigError for an unknown name in ``first``."""
        super().__init__(space, config, trunk)
        for name in config.first:
            if name not in space.fields:
                raise ConfigError(
                    f"family.first names {name!r}, which is no field",
                    hint=did_you_mean(name, space.fields),
                )
        given = space.condition.fields if space.condition else {}
        self.given = variables(given)
        drawn = variables(space.fields, config.first)
        self.variables = [*self.given, *drawn]
        self.trees = nn.ModuleList(Tree(variable) for variable in drawn)

    def player_parameters(self, player: str) -> list[nn.Parameter]:
        """None: no gradient moves it."""
        return []

    # ------------------------------------------------------------ learning

    @property
    def learned(self) -> float:
        """Share of the trees that have learned."""
        return sum(tree.fitted for tree in self._trees) / len(self.trees)

    @property
    def _trees(self) -> list[Tree]:
        return [tree for tree in self.trees if isinstance(tree, Tree)]

    def learn(self, data: Batch, step: Step) -> dict[str, Tensor]:
        """The next tree."""
        place = sum(tree.fitted for tree in self._trees)
        tree = self._trees[place]
        number = len(self.given) + place
        total = len(next(iter(data.values())))
        rows = slice(None)
        chosen: Tensor | slice = rows
        if total > self.config.rows:
            draw = torch.randperm(total, generator=step.rng, device=step.rng.device)
            chosen = draw[: self.config.rows].cpu()
        known = {
            i: (v, element(data[v.field][chosen], v).cpu().float().numpy())
            for i, v in enumerate(self.variables[: number + 1])
        }
        target = known.pop(number)[1]
        inputs = self._inputs(target, known)
        seed = int(torch.randint(2**31, (), generator=step.rng, device=step.rng.device))
        settler = self._settled(target, known) if tree.variable.kind == "real" else None
        tree.fit(target, inputs, known, self.config.leaf, seed, settler)
        device = tree.values.device
        columns = {i: (v, torch.from_numpy(x).to(device)) for i, (v, x) in known.items()}
        node = tree.leaf(columns, len(target))
        loss = -tree.log_prob(node, torch.from_numpy(target).to(device)).mean()
        return {"loss": loss, "trees": torch.tensor(float(place + 1))}

    def _settled(
        self, target: NDArray[np.float32], known: Mapping[int, tuple[Variable, NDArray[np.float32]]]
    ) -> tuple[int, float, NDArray[np.bool_]] | None:
        """As of ``settled``, by elements of few classes without order."""
        few = {i: (v, x) for i, (v, x) in known.items() if v.kind == "class" and v.size <= SETTLERS}
        return settled(target, {i: (x.astype(np.int64), v.size) for i, (v, x) in few.items()})

    def _inputs(
        self, target: NDArray[np.float32], known: Mapping[int, tuple[Variable, NDArray[np.float32]]]
    ) -> list[int]:
        """Those of the variables before that may tell something; of too many the most
        correlated ones."""
        inputs = [i for i, (_, values) in known.items() if len(values) and np.ptp(values) > 0]
        if len(inputs) <= self.config.inputs:
            return inputs
        some = slice(0, 5000)
        centred = target[some] - target[some].mean()
        related = np.array([_relation(known[i][0], known[i][1][some], centred) for i in inputs])
        best = np.sort(np.argsort(-related, kind="stable")[: self.config.inputs])
        return [inputs[i] for i in best]

    @torch.no_grad()
    def losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """− log p in nats per record; for looking at, not for gradients."""
        nll = self.log_prob(batch, step.rng).total.mean()
        return {"loss": nll, "nll": nll}

    def make_room(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """For as many nodes and values as the stored trees have."""
        parts: dict[int, dict[str, tuple[int, ...]]] = {i: {} for i in range(len(self.trees))}
        for name, shape in shapes.items():
            _, number, part = (*name.split("."), "", "")[:3]
            if not number.isdecimal() or int(number) not in parts:
                raise ArtifactError(f"the stored model has a tensor {name[:80]!r}, no tree's")
            parts[int(number)][part] = shape
        for place, tree in enumerate(self._trees):
            tree.make_room(parts[place])

    # ------------------------------------------------------------ drawing

    @torch.no_grad()
    def sample(
        self,
        n: int,
        condition: Batch | None,
        rng: torch.Generator,
        temperature: float = 1.0,
    ) -> Batch:
        """Each element drawn from its leaf, given those before."""
        values, _ = self._pass(n, condition or {}, {}, rng, temperature)
        return as_batch(self.space, self.variables[len(self.given) :], values)

    @torch.no_grad()
    def log_prob(self, batch: Batch, rng: torch.Generator, samples: int = 1) -> FieldScores:
        """− log p, exact but for the leaves' smoothing."""
        rows = len(next(iter(batch.values())))
        everything = {
            name: torch.ones(batch[name].shape, dtype=torch.bool, device=batch[name].device)
            for name in self.space.names
        }
        _, scores = self._pass(rows, batch, everything, rng, 1.0, judged=True)
        fields = {name: torch.zeros(rows, device=self._device) for name in self.space.names}
        observed = {n: f.observed(batch[n]) for n, f in self.space.fields.items()}
        for variable, score in zip(self.variables[len(self.given) :], scores, strict=True):
            mask = observed[variable.field]
            if mask is not None:
                flat = mask.reshape(rows, -1)
                if variable.element >= flat.shape[1]:
                    continue
                score = score * flat[:, variable.element].to(score.device)
            fields[variable.field] = fields[variable.field] - score
        return FieldScores(fields, torch.stack(list(fields.values())).sum(0))

    @torch.no_grad()
    def complete(
        self,
        batch: Batch,
        known: Mapping[str, Tensor],
        rng: torch.Generator,
        temperature: float = 1.0,
    ) -> Batch:
        """Keeps what is known. Exact where that comes first in the row of elements; else the
        better of ``candidates``, exact as their number grows."""
        rows = len(next(iter(batch.values())))
        many = 1 if self._leading(known) else self.config.candidates
        tiled = {name: value.repeat_interleave(many, 0) for name, value in batch.items()}
        masks = {name: mask.repeat_interleave(many, 0) for name, mask in known.items()}
        values, scores = self._pass(rows * many, tiled, masks, rng, temperature, judged=many > 1)
        drawn = as_batch(self.space, self.variables[len(self.given) :], values)
        if many > 1:
            weight = torch.zeros(rows * many, device=self._device)
            for variable, score in zip(self.variables[len(self.given) :], scores, strict=True):
                mask = masks.get(variable.field)
                if mask is not None:
                    weight = weight + score * element(mask, variable).to(score.device)
            share = torch.softmax(weight.reshape(rows, many).double(), 1).cumsum(1)
            chance = _uniform(rows, rng, self._device).double().unsqueeze(1)
            best = (share < chance * share[:, -1:]).sum(1).clamp(max=many - 1)
            chosen = torch.arange(rows, device=self._device) * many + best
            drawn = {name: value[chosen] for name, value in drawn.items()}
        return {n: kept(value, batch.get(n), known.get(n)) for n, value in drawn.items()}

    def _leading(self, known: Mapping[str, Tensor]) -> bool:
        """Whether in every record what is known comes before all that is not."""
        masks = [
            element(known[v.field], v) if v.field in known else None
            for v in self.variables[len(self.given) :]
        ]
        rows = next((len(mask) for mask in masks if mask is not None), 0)
        open_ = torch.zeros(rows, dtype=torch.bool)
        for mask in masks:
            here = torch.zeros(rows, dtype=torch.bool) if mask is None else mask.cpu()
            if bool((here & open_).any()):
                return False
            open_ |= ~here
        return True

    def _pass(
        self,
        rows: int,
        batch: Batch,
        known: Mapping[str, Tensor],
        rng: torch.Generator,
        temperature: float,
        judged: bool = False,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Values (rows,) of all variables, drawn where not known; and, ``judged``, log p of
        each that is drawn or known."""
        device = self._device
        values: list[Tensor] = []
        columns: dict[int, tuple[Variable, Tensor]] = {}
        for number, variable in enumerate(self.given):
            columns[number] = variable, element(batch[variable.field], variable).to(device).float()
        scores = []
        for place, tree in enumerate(self._trees):
            variable = tree.variable
            chance = _uniform(rows, rng, device)
            node = tree.leaf(columns, rows) if tree.fitted else None
            drawn = (
                _unlearned(variable, chance)
                if node is None
                else tree.draw(node, chance, temperature)
            )
            mask = known.get(variable.field)
            if mask is not None:
                given = element(batch[variable.field], variable).to(device).float()
                drawn = torch.where(element(mask, variable).to(device), given, drawn)
            if judged:
                scores.append(
                    _unlearned_log(variable, drawn) if node is None else tree.log_prob(node, drawn)
                )
            values.append(drawn)
            columns[len(self.given) + place] = variable, drawn
        return values, scores

    @property
    def _device(self) -> torch.device:
        return next(self.parameters()).device


def _uniform(rows: int, rng: torch.Generator, device: torch.device) -> Tensor:
    return torch.rand(rows, generator=rng, device=rng.device).to(device)


def _unlearned(variable: Variable, chance: Tensor) -> Tensor:
    """Uniform classes, standard normal reals."""
    if variable.kind == "real":
        return torch.special.ndtri(chance.clamp(1e-6, 1 - 1e-6))
    return (chance * variable.size).floor()


def _unlearned_log(variable: Variable, value: Tensor) -> Tensor:
    if variable.kind == "real":
        return -0.5 * value**2 - 0.5 * float(np.log(2 * np.pi))
    return torch.full_like(value, -float(np.log(variable.size)))


def _relation(
    variable: Variable, values: NDArray[np.float32], centred: NDArray[np.float32]
) -> float:
    """How far a variable goes along with another, (N,) and centred: covariance with its standard
    scores, of a class with the other's means in it."""
    if variable.kind == "class":
        codes = values.astype(np.int64)
        counts = np.bincount(codes, minlength=variable.size)
        means = np.bincount(codes, centred, variable.size) / (counts + 2)
        values = means[codes].astype(np.float32)
    deviation = float(values.std())
    return abs(float((values * centred).mean())) / deviation if deviation > 0 else 0.0
