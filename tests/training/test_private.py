"""Differentially private training: gradients of single records, clipped, with noise."""

from __future__ import annotations

import copy
from typing import Any, cast

import pytest
import torch

pytest.importorskip("opacus")

from gmkit.codecs import Batch
from gmkit.config import TrainingConfig
from gmkit.errors import ConfigError
from gmkit.families import Family, Step
from gmkit.families.diffusion import Diffusion, DiffusionConfig
from gmkit.families.gan import GAN, GANConfig
from gmkit.families.trees import Trees, TreesConfig
from gmkit.families.vae import VAE, VAEConfig
from gmkit.fields import Categorical, Real, Space
from gmkit.training.per_record import RecordGradients
from gmkit.training.private import PrivateGradients, guarantee
from gmkit.trunks import TrunkConfig

SPACE = Space({"x": Real(), "c": Categorical(size=4)})
ROWS = 64
TRUNK = TrunkConfig(width=16, depth=2)


def config(**options: Any) -> TrainingConfig:
    return TrainingConfig(**{"dp_epsilon": 3.0, "steps": 50, "batch_size": 16, **options})


def data() -> Batch:
    rng = torch.Generator().manual_seed(0)
    c = torch.randint(4, (ROWS,), generator=rng)
    return {"x": c + torch.randn(ROWS, generator=rng), "c": c}


def family() -> Family:
    torch.manual_seed(0)
    return VAE(SPACE, VAEConfig(latent=3), TRUNK)


def test_the_noise_is_what_the_accountant_asks_for() -> None:
    loose, tight = (guarantee(config(dp_epsilon=e), 10_000) for e in (8.0, 1.0))
    assert tight.noise > loose.noise > 0.3
    assert 0.95 <= tight.epsilon <= 1.0
    assert tight.delta == 1 / 100_000
    assert guarantee(config(steps=500), 10_000).noise > guarantee(config(), 10_000).noise


@pytest.mark.parametrize("kind", ["vae", "diffusion"])
def test_no_record_moves_the_sum_by_more_than_the_clip(kind: str) -> None:
    """Without noise and with every record in the batch, the step is the mean of the records' own
    gradients, each cut to the clip, computed here one record at a time."""
    torch.manual_seed(0)
    model: Family = family()
    if kind == "diffusion":
        model = Diffusion(SPACE, DiffusionConfig(steps=3), TRUNK)
    rows = {name: value[:8] for name, value in data().items()}
    single = copy.deepcopy(model)
    private = PrivateGradients(model, rows, config(batch_size=8, dp_clip=0.5))
    object.__setattr__(private.guarantee, "noise", 0.0)
    seen: list[Batch] = []

    def losses(batch: Batch, step: Step) -> dict[str, torch.Tensor]:
        seen.append(batch)
        fixed = Step(step.index, step.progress, torch.Generator().manual_seed(5))
        return (model if len(batch["x"]) == 8 else single).losses(batch, fixed)

    private.backward(losses, Step(0, 0.5, torch.Generator()))
    assert len(seen[0]["x"]) == 8
    total = torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]).norm()
    assert 0 < float(total) <= 0.5 + 1e-4
    private.close()
    assert not any(hasattr(p, "grad_sample") for p in model.parameters())


def test_gradients_of_single_records_are_their_own() -> None:
    """A loss without randomness, so that one record at a time gives the same gradients."""
    torch.manual_seed(0)
    model = family()
    single = copy.deepcopy(model)
    rows = {name: value[:6] for name, value in data().items()}

    def loss(of: Any, batch: Batch) -> torch.Tensor:
        params = of.decoder(of.encoder(batch)[:, :3], batch)
        nll: torch.Tensor = torch.stack(list(SPACE.nll(params, batch).values())).sum(0).mean()
        return nll

    private = PrivateGradients(model, rows, config(batch_size=6, dp_clip=0.7))
    object.__setattr__(private.guarantee, "noise", 0.0)
    private.backward(
        lambda batch, step: {"loss": loss(model, batch)}, Step(0, 0.5, torch.Generator())
    )
    expected = [torch.zeros_like(p) for p in single.parameters()]
    cut = 0
    for row in range(6):
        single.zero_grad()
        loss(single, {n: v[row : row + 1] for n, v in rows.items()}).backward()
        own = [torch.zeros_like(p) if p.grad is None else p.grad for p in single.parameters()]
        norm = torch.stack([g.norm() for g in own]).norm()
        cut += bool(norm > 0.7)
        for sum_, gradient in zip(expected, own, strict=True):
            sum_ += gradient * min(1.0, 0.7 / float(norm))
    assert cut
    for parameter, sum_ in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, sum_ / 6, atol=1e-5, rtol=1e-3)


class Reader(torch.nn.Module):
    """A linear map used twice on a sequence, a norm, an embedding; (B, T) → a loss a record."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(5, width)
        self.norm = torch.nn.LayerNorm(width)
        self.inner = torch.nn.Linear(width, width)
        self.outer = torch.nn.Linear(width, 1, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.inner(self.norm(self.embedding(tokens))).tanh()
        return self.outer(self.inner(x)).sin().flatten(1).sum(1)


@pytest.mark.parametrize("width", [2, 40])  # lengths from made gradients, or from factors
def test_lengths_and_sums_are_those_of_whole_gradients(width: int) -> None:
    torch.manual_seed(0)
    model = Reader(width)
    tokens, weights = torch.randint(5, (6, 3)), torch.rand(6)
    own = []
    for row in range(6):
        model.zero_grad()
        model(tokens[row : row + 1]).sum().backward()
        own.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    records = RecordGradients(cast(Family, model))
    records.clear()
    model(tokens).mean().backward()
    lengths = torch.stack([torch.stack([g.norm() for g in row]).norm() for row in own])
    torch.testing.assert_close(records.lengths(), lengths)
    for place, parameter in enumerate(model.parameters()):
        wanted = sum(w * row[place] for w, row in zip(weights, own, strict=True))
        torch.testing.assert_close(records.weighted(parameter, weights), wanted)
    records.close()
    model(tokens).mean().backward()
    assert not records._factors


def test_an_empty_batch_leaves_noise() -> None:
    model = family()
    private = PrivateGradients(model, data(), config())
    private._rng.manual_seed(0)
    object.__setattr__(private.guarantee, "rate", 1e-9)
    private.backward(model.losses, Step(0, 0.5, torch.Generator()))
    assert all(float(p.grad.abs().sum()) > 0 for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda: GAN(SPACE, GANConfig(), TRUNK), "a GAN cannot be trained with differential"),
        (lambda: Trees(SPACE, TreesConfig(), TRUNK), "a Trees cannot be trained with diff"),
    ],
)
def test_other_families_are_refused(made: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        PrivateGradients(made(), data(), config())


def test_options_that_would_tell_are_refused() -> None:
    with pytest.raises(ConfigError, match="needs a number of steps"):
        PrivateGradients(family(), data(), config(steps=0, time_budget=5.0))
    with pytest.raises(ConfigError, match="held-out records, which is not private"):
        PrivateGradients(family(), data(), config(patience=2))
    coupled = VAE(SPACE, VAEConfig(latent=3, free_bits=0.1), TRUNK)
    with pytest.raises(ConfigError, match="compares the records of a batch"):
        PrivateGradients(coupled, data(), config())
    with pytest.raises(ConfigError, match="no noise makes 50 steps private"):
        PrivateGradients(family(), data(), config(dp_epsilon=1e-6, dp_delta=1e-12))
