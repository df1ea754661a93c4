"""Differentially private training: gradients of which no single record decides much.

    g = (Σ_i g_i min(1, C / |g_i|) + σ C ε) / (q N),   ε ~ N(0, 1)

DP-SGD (Abadi et al. 2016, "Deep learning with differential privacy", algorithm 1): every record is
in a batch with chance q by itself, its gradient g_i is clipped to length C, and noise is added that
hides whether it was there. σ is the least for which Opacus' accountant (Rényi divergences; Mironov
2017) says that all steps together are (ε, δ)-private. Neighbours: tables that differ by one record.

The guarantee covers the weights. It does not cover what a codec learned of the data (ranges,
categories, quantiles), nor figures measured with the data. The noise comes from the system's
secret randomness: of a noise that a seed tells everybody, nothing would be hidden.
"""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gmkit.codecs import Batch
from gmkit.config import TrainingConfig
from gmkit.errors import ConfigError
from gmkit.families import Family, Step
from gmkit.training.per_record import RecordGradients

_SLACK = 0.01
"""How near to ε the noise is looked for."""


@dataclass(frozen=True)
class Guarantee:
    """What the accountant says of a whole training."""

    epsilon: float
    delta: float
    noise: float
    """σ, in units of the clipping length."""
    clip: float
    rate: float
    """q: the chance of a record to be in a batch."""
    steps: int


def guarantee(config: TrainingConfig, rows: int) -> Guarantee:
    """The noise that ``config`` needs on so many records. Raises ConfigError for options that leave
    nothing to account for, or where Opacus is not installed."""
    assert config.dp_epsilon is not None
    if not config.steps:
        raise ConfigError(
            "private training needs a number of steps, by which its noise is chosen",
            hint="Say --set training.steps=1000; a time budget may end it earlier.",
        )
    try:
        from opacus.accountants import RDPAccountant
        from opacus.accountants.utils import get_noise_multiplier
    except ImportError as error:
        raise ConfigError(
            "differentially private training needs Opacus", hint="pip install 'gmkit[dp]'"
        ) from error
    delta = config.dp_delta or 1 / (10 * rows)
    rate = min(1.0, config.batch_size / rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a wider search might find a smaller ε
        try:
            noise = get_noise_multiplier(
                target_epsilon=config.dp_epsilon,
                target_delta=delta,
                sample_rate=rate,
                steps=config.steps,
                epsilon_tolerance=_SLACK,
                accountant="rdp",
            )
        except ValueError as error:
            raise ConfigError(
                f"no noise makes {config.steps:,} steps private with epsilon "
                f"{config.dp_epsilon:g} and delta {delta:.1g}",
                hint="Allow a larger epsilon, or train fewer steps.",
            ) from error
        accountant = RDPAccountant()
        accountant.history = [(noise, rate, config.steps)]
        spent = float(accountant.get_epsilon(delta=delta))
    return Guarantee(spent, delta, float(noise), config.dp_clip, rate, config.steps)


class PrivateGradients:
    """Takes the place of a batch's gradient in the training loop."""

    def __init__(self, family: Family, data: Batch, config: TrainingConfig) -> None:
        """Raises ConfigError for a family or network whose gradients cannot be told apart."""
        if family.learned is not None or len(family.players) > 1:
            raise ConfigError(
                f"a {type(family).__name__} cannot be trained with differential privacy: it is not "
                "one model trained by gradients",
                hint="Take --model vae or diffusion.",
            )
        if getattr(family.config, "free_bits", 0.0):
            raise ConfigError(
                "family.free_bits compares the records of a batch with each other, so that one of "
                "them can decide for all",
                hint="Leave it out of private training.",
            )
        if config.patience:
            raise ConfigError("training.patience looks at held-out records, which is not private")
        self.rows = len(next(iter(data.values())))
        self.guarantee = guarantee(config, self.rows)
        self._family, self._data = family, data
        self._device = next(family.parameters()).device
        self._rng = torch.Generator(self._device)
        self._rng.manual_seed(secrets.randbits(63))
        self._records = self._hooks()

    def _hooks(self) -> RecordGradients:
        """What keeps each record's gradient."""
        try:
            return RecordGradients(self._family)
        except (NotImplementedError, ValueError) as error:
            raise ConfigError(
                f"gradients of single records cannot be had of these networks: {error}",
                hint="Take --model vae with --set trunk.flat=flat.",
            ) from error

    def batch(self, space: Any) -> Batch | None:
        """Each record with chance q; None where that is nobody."""
        chance = torch.rand(self.rows, generator=self._rng, device=self._device)
        chosen = (chance < self.guarantee.rate).nonzero()[:, 0].cpu()
        if not len(chosen):
            return None
        found: Batch = space.pick(self._data, chosen, self._device)
        return found

    def backward(self, losses: Callable[[Batch, Step], dict[str, Tensor]], step: Step) -> None:
        """Leave the private gradient of one step with the parameters."""
        batch = self.batch(self._family.space)
        self._records.clear()
        if batch is not None:
            secret = Step(step.index, step.progress, self._rng, step.player)
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore"
                )  # of hooks on what reads data: no gradient goes there
                losses(batch, secret)["loss"].backward()  # type: ignore[no-untyped-call]
        self._noised()

    @torch.no_grad()
    def _noised(self) -> None:
        """Clip each record's gradient, add them up, add noise."""
        limit, sigma = self.guarantee.clip, self.guarantee.noise
        lengths = self._records.lengths()
        share = None
        if lengths is not None:
            share = (limit / (lengths + 1e-6)).clamp(max=1.0)
            share = torch.where(torch.isfinite(lengths), share, torch.zeros_like(share))
        for parameter in self._family.parameters():
            if not parameter.requires_grad:
                continue
            total = None if share is None else self._records.weighted(parameter, share)
            noise = torch.randn(parameter.shape, generator=self._rng, device=self._device)
            noisy = sigma * limit * noise + (0.0 if total is None else total)
            parameter.grad = noisy / (self.guarantee.rate * self.rows)
        self._records.clear()

    def close(self) -> None:
        """Take the hooks off again."""
        self._records.close()
