"""Scorers one by one: of shared families and of their own, asked for through one door."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from gmkit_anomaly.members.conditional import Conditional
from gmkit_anomaly.members.diffusion_time import BINS, DiffusionTime
from gmkit_anomaly.members.linear import Linear
from gmkit_anomaly.scorers import serving_model

from gmkit.codecs import Batch
from gmkit.fields import Categorical, FieldScores, Real, Space
from gmkit.scoring import Rows
from gmkit.scoring.blocks import scored_alike
from gmkit.scoring.descent import Descent
from gmkit.scoring.features import Features

Run = Callable[..., Any]
MODELS = {
    "likelihood": "vae",
    "reconstruction": "vae",
    "latent-neighbours": "vae",
    "denoising": "diffusion",
    "critic": "gan",
    "diffusion-time": "detector",
    "linear": "detector",
}


def correlated(rows: int, seed: int) -> np.ndarray:
    """Two columns that are nearly one, and one by itself."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=rows)
    return np.stack([first, first + 0.1 * rng.normal(size=rows), rng.normal(size=rows)], 1)


def rows_of(matrix: np.ndarray, features: Features | None = None) -> Rows:
    space = Space({f"f{i}": Real() for i in range(matrix.shape[1])})
    batch = {f"f{i}": torch.tensor(c, dtype=torch.float32) for i, c in enumerate(matrix.T)}
    if features is None:
        features = Features(space)
        features.fit(batch)
    return Rows(batch, features.matrix(batch), features)


LONG = ("likelihood", "reconstruction", "denoising", "critic", "diffusion-time")


@pytest.mark.parametrize(
    "scorer", [pytest.param(s, marks=[pytest.mark.slow] * (s in LONG)) for s in MODELS]
)
def test_each_is_asked_of_the_family_that_can(
    run: Run, tmp_path: Path, scorer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gmkit_anomaly.members.diffusion_time.STEPS", 60)
    assert serving_model([scorer], "detector") == MODELS[scorer]
    table = pa.table(dict(zip("abc", correlated(120, 0).T, strict=True)))
    pq.write_table(table, tmp_path / "data.parquet")
    words = ("--train", "data.parquet", "--no-report", "--scorer", scorer, "--keep", "kept")
    if MODELS[scorer] != "detector":
        words += ("--set", "training.steps=30", "--set", "trunk.width=16")
    outcome = run("detect-anomalies", "data.parquet", *words)
    assert outcome.code == 0, outcome.err
    together = pq.read_table("data.scored.parquet")["anomaly_score"].to_numpy()
    assert np.isfinite(together).all() and len(np.unique(together)) > 15
    pq.write_table(table.slice(7, 2), tmp_path / "two.parquet")
    words = ("--run", "kept", "--no-report", "--scorer", scorer)
    outcome = run("detect-anomalies", "two.parquet", *words)
    assert outcome.code == 0, outcome.err
    alone = pq.read_table("two.scored.parquet")["anomaly_score"].to_numpy()
    np.testing.assert_allclose(alone, together[7:9], rtol=1e-9)


def test_what_a_run_cannot_give_is_told(run: Run, tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": correlated(60, 0)[:, 0]}), tmp_path / "data.parquet")
    words = ("--no-report", "--scorer", "critic", "--model", "vae")
    outcome = run("detect-anomalies", "data.parquet", *words, "--set", "training.steps=2")
    assert outcome.code == 2
    assert "scorer 'critic' cannot be had of model 'vae'" in outcome.err


def test_every_record_is_given_the_same_draws() -> None:
    """Of equal records, however many there are, the same is said."""
    space = Space({"x": Real(shape=(3,))})

    def noise(batch: Batch, rng: torch.Generator) -> FieldScores:
        drawn = torch.randn(batch["x"].shape, generator=rng)
        other = torch.rand(len(batch["x"]), generator=rng)
        return FieldScores({}, (batch["x"] * drawn).sum(1) + other)

    values = torch.arange(6000.0).reshape(2000, 3) % 30
    found = scored_alike(space, {"x": values}, noise).total
    assert len(found) == 2000
    assert torch.equal(found[:10], found[10:20]) and torch.equal(found[:10], found[1990:])
    assert torch.equal(scored_alike(space, {"x": values[5:6]}, noise).total[0], found[5])
    assert len(found[:10].unique()) == 10


def test_linear_sees_a_broken_dependence_and_a_wild_value() -> None:
    scorer, known = Linear(), rows_of(correlated(500, 0))
    scorer.fit(known, torch.Generator().manual_seed(0))
    new = correlated(200, 1)
    new[0, 1] = new[0, 0] + 2.0  # usual by itself
    new[1, 2] = 40.0
    found = scorer.score(rows_of(new, known.features))
    assert set(found.total.topk(2).indices.tolist()) == {0, 1}
    assert float(found.fields["f2"][1]) > float(found.fields["f0"][1])
    broken = {name: float(value[0]) for name, value in found.fields.items()}
    assert max(broken, key=lambda name: broken[name]) in ("f0", "f1")
    exact = np.linalg.inv(np.cov(known.matrix.numpy().T, bias=True) + 1e-3 * np.eye(3))
    row = (rows_of(new, known.features).matrix[5] - known.matrix.mean(0)).double().numpy()
    left = (exact @ row) / np.diag(exact)  # Bishop 2006, eq. 2.75, for one column
    got = (rows_of(new, known.features).matrix[5] - scorer.mean) @ scorer.left
    np.testing.assert_allclose(got.numpy(), left, atol=1e-4)


def test_diffusion_time_takes_what_lies_off_the_data_for_noised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gmkit_anomaly.members.diffusion_time.STEPS", 250)
    scorer, known = DiffusionTime(), rows_of(correlated(600, 0))
    scorer.fit(known, torch.Generator().manual_seed(0))
    usual = scorer.score(rows_of(correlated(300, 1), known.features)).total
    odd = correlated(300, 2)
    odd[:, 1] *= -1
    strange = scorer.score(rows_of(odd, known.features)).total
    assert float(usual.min()) >= 0 and float(strange.max()) <= BINS - 1
    assert float((strange > usual.median()).float().mean()) > 0.75


def test_descent_is_torchs_adamw() -> None:
    ours = torch.linspace(-1, 1, 7)
    theirs = torch.nn.Parameter(ours.clone())
    optimiser = torch.optim.AdamW([theirs], lr=0.05, weight_decay=0.1)
    descent = Descent(ours, decay=0.1)
    for step in range(20):
        slope = (theirs.detach() - 0.3) * (step % 3 - 0.5)
        theirs.grad = slope
        optimiser.step()
        descent.step(slope, 0.05)
    torch.testing.assert_close(ours, theirs.detach())


def test_what_is_new_is_no_surprise_where_much_is_seen_but_once() -> None:
    """Of codes half of which occur once a further new one is usual; of two words a third is not."""
    rng = torch.Generator().manual_seed(0)
    many = torch.cat([torch.arange(100), torch.arange(100, 120).repeat(5)])
    few = torch.arange(200) % 2
    space = Space({"code": Categorical(size=140), "word": Categorical(size=3), "x": Real()})
    batch = {"code": many, "word": few, "x": torch.randn(200, generator=rng)}
    features = Features(space)
    features.fit(batch)
    scorer = Conditional()
    scorer.fit(Rows(batch, features.matrix(batch), features), rng)
    new = {"code": torch.tensor([130, 105]), "word": torch.tensor([2, 1]), "x": torch.zeros(2)}
    fields = scorer.score(Rows(new, features.matrix(new), features)).fields
    assert float(fields["code"][0]) < 1.0  # − log ½
    assert float(fields["word"][0]) > 6.0 > float(fields["word"][1])
