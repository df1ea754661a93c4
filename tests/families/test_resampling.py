"""Records near those of the data: between neighbours, and with noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gmkit.codecs import Batch
from gmkit.errors import ArtifactError
from gmkit.families import Step
from gmkit.families.resampling import Noise, NoiseConfig, Resampled, Smote, SmoteConfig
from gmkit.fields import Categorical, Real, Space
from gmkit.trunks import TrunkConfig

SPACE = Space({"x": Real(), "y": Real(), "c": Categorical(size=3)})


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def data(rows: int = 600) -> Batch:
    """Three clusters on a line through the plane, a class each."""
    draws = np.random.default_rng(0)
    c = draws.integers(0, 3, rows)
    x = 10.0 * c + draws.normal(size=rows)
    return {
        "x": torch.from_numpy(x).float(),
        "y": torch.from_numpy(2 * x).float(),
        "c": torch.from_numpy(c),
    }


def learned(kind: type[Resampled], **options: float) -> Resampled:
    config = (SmoteConfig if kind is Smote else NoiseConfig).model_validate(options)
    family = kind(SPACE, config, TrunkConfig())
    family.learn(data(), Step(0, 0.0, rng()))
    return family


def test_smote_stays_between_neighbours() -> None:
    drawn = learned(Smote).sample(3000, None, rng(1))
    torch.testing.assert_close(drawn["y"], 2 * drawn["x"], atol=1e-3, rtol=1e-3)
    centre = (drawn["x"] / 10).round()
    assert float((centre == drawn["c"]).float().mean()) > 0.99
    known = set(data()["x"].tolist())
    assert sum(value in known for value in drawn["x"].tolist()) < 30


def test_noise_moves_numbers_and_flips_classes() -> None:
    family = learned(Noise, scale=0.01, flip=0.3)
    drawn = family.sample(3000, None, rng(1))
    gap = (drawn["y"] - 2 * drawn["x"]).abs()
    assert 0.05 < float(gap.mean()) < 1.0
    other = ((drawn["x"] / 10).round() != drawn["c"]).float().mean()
    assert float(other) == pytest.approx(0.3 * 2 / 3, abs=0.04)


@pytest.mark.parametrize("kind", [Smote, Noise])
def test_given_values_choose_the_record(kind: type[Resampled]) -> None:
    family, rows = learned(kind), 400
    batch = {n: torch.zeros(rows, dtype=f.dtype) for n, f in SPACE.fields.items()}
    batch["c"] = torch.arange(rows) % 3
    known = {n: torch.full((rows,), n == "c") for n in SPACE.names}
    drawn = family.complete(batch, known, rng(2))
    assert torch.equal(drawn["c"], batch["c"])
    assert float(((drawn["x"] / 10).round() == drawn["c"]).float().mean()) > 0.95
    assert len(set(drawn["x"].tolist())) > 300
    batch["x"] = torch.linspace(-1, 21, rows)  # every record asks for another number
    drawn = family.complete(batch, {n: torch.full((rows,), n == "x") for n in SPACE.names}, rng(3))
    assert float((drawn["y"] - 2 * batch["x"]).abs().median()) < 3.0


def test_no_more_records_are_kept_than_allowed() -> None:
    family = learned(Smote, rows=50)
    assert family.values.shape == (50, 3)
    with pytest.raises(ArtifactError, match="the stored model is no Smote"):
        family.make_room({"values": (2, 3)})
