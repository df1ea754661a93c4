"""A VAE whose latent is one of K classes and whose posterior is exact: tables in seconds.

    p(x) = Σ_k π_k Π_v p(x_v | k),   q(k|x) = π_k Π_v p(x_v | k) / p(x)

The latent class model (Lazarsfeld & Henry 1968). With the posterior itself as q, the ELBO of a VAE
is log p(x), and raising it in q and in p by turns is EM (Dempster et al. 1977; Neal & Hinton 1998,
"A view of the EM algorithm", eq. 7): no gradients. Real elements are bins (``families.binning``).
Each p(c | k) is drawn to the data's shares by a Dirichlet prior, and, of bins, to those around them
(``families.em``).

K doubles, each class parting in two, as long as records held out gain by it. What is not known of
a record, and what tells nothing (``families.cells``), is left out of the product: so conditions and
completions are exact, the class given all that is known, the rest given the class.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from gmkit.codecs import Batch
from gmkit.errors import ConfigError
from gmkit.families.cells import Cells
from gmkit.families.elements import Elementwise, Mask, Matrix, plain_surprise
from gmkit.families.em import (
    CHUNK,
    LEAST,
    Doubles,
    Floats,
    Prior,
    em_round,
    likely,
    logs,
    parted,
    softmax,
)
from gmkit.families.family import FamilyConfig, Step
from gmkit.families.inverse import ends, one_of, without
from gmkit.families.latents import latent_name
from gmkit.fields import Field as SpaceField
from gmkit.fields import FieldScores, Real, Space
from gmkit.trunks import TrunkConfig

_HELD_OUT = 10
"""One record in so many tells whether more classes are better;"""
_HELD_LEAST = 500
"""of few records so many, or a quarter."""
_CELLS = 1 << 24
"""Numbers that all tables hold, at most."""
_RECORDS = 8
"""For each class, at least."""
_CLEAR = 16
"""Classes from which on one doubling without gain is enough to stop;"""
_TRIES = 3
"""before, so many."""
_FEW = 20_000
"""Records of which more rounds are made."""
_LAST = 3
"""Rounds over all records, held-out ones too."""


class MixtureConfig(FamilyConfig):
    """``family.*`` options of the mixture."""

    classes: int = Field(512, ge=1, le=16_384, description="latent classes, at most")
    bins: int = Field(64, ge=2, le=1024, description="bins of a real element, at most")
    prior: float = Field(
        0.5, gt=0, le=1e4, description="records a latent class has beforehand for each value"
    )
    smooth: float = Field(
        64.0, ge=0, le=1e4, description="records beforehand that fall as the bins around have it"
    )
    passes: int = Field(3, ge=1, le=1000, description="rounds over the records, per doubling")
    rows: int = Field(200_000, ge=100, description="records learned from, at most")


class Mixture(Elementwise):
    """``values`` (cells, K): p(c | k), the cells of all elements one after the other; ``weights``
    (K,): π; ``edges``, ``knots``: bins of real elements; ``idle``: when these tell nothing;
    ``state``: mean log p of held-out records, whether all is learned, a seed."""

    Config = MixtureConfig
    config: MixtureConfig
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {"log_prob", "reconstruct", "encode", "complete"}
    )
    exact: ClassVar[bool] = True
    parts: ClassVar = dict.fromkeys(("weights", "edges", "knots", "idle", "state"), torch.float64)
    weights: Tensor
    edges: Tensor
    knots: Tensor
    idle: Tensor
    state: Tensor

    def __init__(self, space: Space, config: MixtureConfig, trunk: TrunkConfig) -> None:
        super().__init__(space, config, trunk)
        self.cells = Cells(space, self.variables, config.bins)
        self._cached: dict[float, list[Doubles]] = {}

    # ------------------------------------------------------------ learning

    @property
    def learned(self) -> float:
        """By doublings of K."""
        if not self.values.numel():
            return 0.0
        return 1.0 if self.state[1] else len(self.weights).bit_length() / (self._most + 1)

    @property
    def _most(self) -> int:
        """Bits of the largest K that there is room for."""
        return min(self.config.classes, max(1, _CELLS // self.cells.total)).bit_length()

    def learn(self, data: Batch, step: Step) -> dict[str, Tensor]:
        """Twice as many classes; where records held out gain nothing, a last look at all."""
        total = len(next(iter(data.values())))
        if not total:
            raise ConfigError("there is no record to learn from")
        seed = int(torch.randint(2**31, (), generator=step.rng, device=step.rng.device))
        if not self.values.numel():
            self._keep(state=[0.0, 0.0, seed])
        order = np.random.default_rng(int(self.state[2])).permutation(total)
        chosen = torch.from_numpy(order[: self.config.rows])
        self.fit(self._matrix({n: v[chosen] for n, v in data.items()}), np.random.default_rng(seed))
        classes = torch.tensor(float(len(self.weights)))
        return {"loss": -self.state[0].float(), "classes": classes}

    def fit(self, matrix: Matrix, rng: np.random.Generator) -> None:
        """K from nothing to 1, to twice as many, or to its end."""
        begun = self.values.numel() > 0
        if not begun:
            edges, knots, idle = self.cells.learn(matrix)
            self._keep(edges=edges, knots=knots, idle=idle)
        rows = self._rows(matrix, np.ones(matrix.shape, bool))
        shares = self.cells.marginal(rows)
        prior = Prior(self.config.prior, self.config.smooth)
        held = max(len(matrix) // _HELD_OUT, min(len(matrix) // 4, _HELD_LEAST))
        if not begun:
            told = likely(rows[:held], shares, np.ones(1))
            self._adopt(shares, np.ones(1), _mean(told))
            return
        tables, weights = self.values.cpu().numpy(), self.weights.cpu().numpy()
        before = likely(rows[:held], tables, weights)
        new, parts = tables, weights
        for _ in range(1 if len(weights) >= _CLEAR else _TRIES):
            more = 2 * len(parts)
            if more.bit_length() > self._most or _RECORDS * more > len(matrix) - held:
                break
            new = parted(rows[held:], self.cells, shares, new, parts, rng)
            parts = np.repeat(parts / 2, 2)
            for _ in range(self.config.passes * min(8, 1 + _FEW // len(matrix))):
                new, parts = em_round(rows[held:], self.cells, shares, prior, new, parts)
            told = likely(rows[:held], new, parts)
            if told.mean() > before.mean():
                self._adopt(new, parts, float(told.mean()))
                return
        for _ in range(_LAST):
            tables, weights = em_round(rows, self.cells, shares, prior, tables, weights)
        self._adopt(tables, weights, float(self.state[0]), done=True)

    def _adopt(self, tables: Floats, weights: Doubles, told: float, done: bool = False) -> None:
        self._keep(weights=weights, state=[told, float(done), float(self.state[2])])
        self.values = nn.Parameter(torch.from_numpy(tables).to(self.values.device), False)
        self._cached = {}

    def _keep(self, **parts: Any) -> None:
        for name, value in parts.items():
            tensor = torch.from_numpy(np.array(value, np.float64))
            setattr(self, name, tensor.to(self.values.device))

    def _rows(self, matrix: Matrix, known: Mask) -> Any:
        """Records as cells, (N, cells)."""
        cells = self._laid_out
        return cells.rows(matrix, cells.present(matrix, known))

    @property
    def _laid_out(self) -> Cells:
        """With the bins that are stored."""
        parts = (self.edges, self.knots, self.idle)
        self.cells.take(*(part.cpu().numpy() for part in parts))
        return self.cells

    def _posterior(self, matrix: Matrix, known: Mask) -> Floats:
        """q(k | what is known), (N, K)."""
        log, ahead = logs(self.values.cpu().numpy()), logs(self.weights.cpu().numpy())
        return softmax(self._rows(matrix, known) @ log + ahead)[0]

    # ------------------------------------------------------------ drawing

    def draw(
        self, values: Matrix, known: Mask, rng: np.random.Generator, temperature: float
    ) -> NDArray[Any]:
        """A class given what is known, then all elements given the class."""
        weights = self.weights.cpu().numpy()[None]
        if known.any():
            weights = self._posterior(values, known)
        return self._drawn(one_of(weights, len(values), rng), values, known, rng, temperature)

    def _drawn(
        self,
        classes: NDArray[np.int64],
        values: Matrix,
        known: Mask,
        rng: np.random.Generator,
        temperature: float,
    ) -> NDArray[Any]:
        """x ~ p(x | k)."""
        cells, found = self._laid_out, np.array(values)
        going = cells.going(values, known)
        for place, own in enumerate(self._ends(temperature)):
            size, chance = int(cells.sizes[place]), rng.random(len(values))
            if place in going:
                last, open_ = going[place]
                chance = np.where(open_, without(last, own, classes, chance), chance)
            codes = np.searchsorted(own, classes + chance, "right") - classes * size
            drawn: NDArray[Any] = codes.clip(0, size - 1)
            if place in cells.real:
                share = 0.5 + (rng.random(len(values)) - 0.5) * min(temperature, 1.0)
                drawn = cells.binning.between(cells.real[place], drawn, share)
            found[:, place] = np.where(known[:, place], values[:, place], drawn)
        every = np.ones(known.shape, bool)
        for place, number in cells.real.items():
            idle = cells.idles(place, found, every) & ~known[:, place]
            found[idle, place] = cells.idle[number, 1]
        return found

    def _ends(self, temperature: float) -> list[Doubles]:
        """As of ``ends``."""
        if temperature not in self._cached:
            tables = self.values.cpu().numpy()
            self._cached = {temperature: ends(tables, self.cells.starts, temperature)}
        return self._cached[temperature]

    # ------------------------------------------------------------ judging

    def surprise(self, matrix: Matrix) -> Doubles:
        """− log p(x), given conditions."""
        if not self.learned:
            return plain_surprise(self.variables[self.conditions :], matrix[:, self.conditions :])
        elements, divergence = self._scores(matrix)
        return np.asarray(elements.sum(1) + divergence)

    def _scores(self, matrix: Matrix) -> tuple[Doubles, Doubles]:
        """The terms of the ELBO: E_q[− log p(x_v | k)], (N, V), and KL(q(k|x) ‖ p(k)), (N,)."""
        every = np.ones(matrix.shape, bool)
        given = every.copy()
        given[:, self.conditions :] = False
        posterior = self._posterior(matrix, every)
        ratio = logs(posterior) - logs(self._posterior(matrix, given))
        elements = -self._given(matrix, posterior)
        return elements, (posterior * ratio).sum(1, dtype=np.float64)

    def _given(self, matrix: Matrix, posterior: Floats) -> Doubles:
        """E_q[log p(x_v | k)] of each element but conditions, (N, V)."""
        cells, log = self._laid_out, logs(self.values.cpu().numpy())
        present = cells.present(matrix, np.ones(matrix.shape, bool))
        found = np.zeros((len(matrix), len(self.variables) - self.conditions))
        for number, column in enumerate(matrix[:, self.conditions :].T):
            place = number + self.conditions
            codes = cells.codes(place, column)
            likely = (posterior * log[cells.starts[place] + codes]).sum(1, dtype=np.float64)
            if place in cells.real:
                likely -= cells.binning.surprise(cells.real[place], codes, column)
            found[:, number] = np.where(present[:, place], likely, 0.0)
        return found

    @torch.no_grad()
    def log_prob(self, batch: Batch, rng: torch.Generator, samples: int = 1) -> FieldScores:
        """− log p(x), exact: of each field its part of the ELBO, of the class the divergence."""
        matrix = self._matrix(batch)
        parts = [self._scores(matrix[i : i + CHUNK]) for i in range(0, len(matrix), CHUNK)]
        elements, divergence = (np.concatenate(part) for part in zip(*parts, strict=True))
        fields = {name: np.zeros(len(matrix)) for name in self.space.names}
        for variable, column in zip(self.variables[self.conditions :], elements.T, strict=True):
            fields[variable.field] += column
        fields[latent_name(fields)] = divergence
        found = {name: torch.from_numpy(value).float() for name, value in fields.items()}
        return FieldScores(found, torch.stack(list(found.values())).sum(0))

    # ------------------------------------------------------------ the latent

    def latent_field(self) -> SpaceField:
        """K numbers."""
        return Real(shape=(len(self.weights),))

    @torch.no_grad()
    def encode(self, batch: Batch) -> Tensor:
        """√q(k|x), (B, K): of length 1, so that a way along the circle between two of them is the
        shortest between distributions (Rao 1945), and their distance is Hellinger's."""
        matrix = self._matrix(batch)
        return torch.from_numpy(np.sqrt(self._posterior(matrix, np.ones(matrix.shape, bool))))

    @torch.no_grad()
    def nll_given(self, latent: Tensor, batch: Batch) -> dict[str, Tensor]:
        """− E[log p(x|k)] under the latent's distribution."""
        elements = -self._given(self._matrix(batch), _distribution(latent))
        found = {name: torch.zeros(len(latent)) for name in self.space.names}
        for variable, column in zip(self.variables[self.conditions :], elements.T, strict=True):
            found[variable.field] += torch.from_numpy(column).float()
        return found

    @torch.no_grad()
    def decode(
        self,
        latent: Tensor,
        condition: Batch | None,
        rng: torch.Generator,
        temperature: float = 1.0,
    ) -> Batch:
        """A class of the latent's distribution, the likeliest at temperature 0, then x ~ p(x|k)."""
        shares = _distribution(latent)
        if temperature == 0:
            shares = (shares == shares.max(1, keepdims=True)).astype(np.float32)
        seed = int(torch.randint(2**62, (), generator=rng, device=rng.device))
        draws = np.random.default_rng(seed)
        nothing = np.zeros((len(latent), len(self.variables)), np.float32)
        classes = one_of(shares, len(latent), draws)
        drawn = self._drawn(classes, nothing, nothing > 0, draws, temperature)
        return self._as_batch(drawn)

    @torch.no_grad()
    def reconstruct(self, batch: Batch, rng: torch.Generator) -> Batch:
        """What is most likely of the likeliest class."""
        return self.decode(self.encode(batch), None, rng, 0.0)


def _mean(told: Doubles) -> float:
    return float(told.mean()) if len(told) else 0.0


def _distribution(latent: Tensor) -> Floats:
    """z² as shares, (B, K)."""
    squared = latent.cpu().numpy().astype(np.float32) ** 2 + LEAST
    return np.asarray(squared / squared.sum(1, keepdims=True))
