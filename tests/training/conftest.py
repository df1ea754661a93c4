"""A family so small that what training does to it can be worked out by hand."""

from __future__ import annotations

import hashlib
from typing import ClassVar

import pytest
import torch
from torch import nn

from gmkit.config import TrainingConfig
from gmkit.families import Family
from gmkit.families.family import FamilyConfig
from gmkit.fields import Real, Space
from gmkit.training.loop import Trainer
from gmkit.trunks import TrunkConfig

SPACE = Space({"x": Real()})


class Point(Family):
    """One number, pulled towards the records: loss = mean (w − x)². ``at`` may hold what happens
    at a step: "nan", or a callable given the family."""

    capabilities: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, at=None):
        super().__init__(SPACE, FamilyConfig(), TrunkConfig())
        self.w = nn.Parameter(torch.zeros(1))
        self.register_buffer("seen", torch.zeros(()))
        self.at = at or {}
        self.visits = []

    def losses(self, batch, step):
        if self.training:
            self.visits.append(step.index)
            event = self.at.get(step.index)
            if callable(event):
                event = event(self)
            if event == "nan":
                return {"loss": (self.w * float("nan")).sum()}
            self.seen += 1
        noise = 0.1 * torch.randn(batch["x"].shape, generator=step.rng)
        loss = (self.w - batch["x"] + noise).square().mean()
        return {"loss": loss, "size": loss.detach().sqrt()}

    def sample(self, n, condition, rng, temperature=1.0):
        return {"x": self.w.detach().expand(n)}


def digest(module):
    """SHA-256 of all weights."""
    whole = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        whole.update(name.encode() + value.numpy().tobytes())
    return whole.hexdigest()


@pytest.fixture
def point():
    return Point


@pytest.fixture
def sha():
    return digest


@pytest.fixture
def trainer(tmp_path):
    """``trainer(family, train=…, valid=…, **options)`` in one folder per test."""

    def make(family, train=None, valid=None, folder=None, **options):
        config = TrainingConfig(
            **{
                "steps": 40,
                "batch_size": 8,
                "warmup": 5,
                "learning_rate": 0.05,
                "ema": 0.9,
                "evaluate_every": 0,
                **options,
            }
        )
        folder = folder or tmp_path
        folder.mkdir(exist_ok=True)
        train = train if train is not None else {"x": torch.linspace(0, 2, 64)}
        return Trainer(family, train, valid or {}, config, seed=3, folder=folder)

    return make
