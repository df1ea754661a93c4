"""The Gaussian copula: marginals, relations and conditions of known distributions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gmkit.codecs import Batch
from gmkit.errors import ConfigError
from gmkit.families import Step
from gmkit.families.copula import Copula, CopulaConfig
from gmkit.fields import Categorical, Real, Space
from gmkit.trunks import TrunkConfig

SPACE = Space({"x": Real(), "y": Real(), "c": Categorical(size=4), "d": Categorical(size=2)})


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def data(rows: int = 6000) -> Batch:
    """x skewed; y goes with it; c a class of x's quarter, its numbers shuffled; d apart."""
    draws = np.random.default_rng(0)
    z = draws.normal(size=rows)
    x, y = np.exp(z), 0.8 * z + 0.6 * draws.normal(size=rows)
    quarter = np.searchsorted(np.quantile(z, [0.25, 0.5, 0.75]), z)
    columns = {
        "x": x,
        "y": y,
        "c": np.array([2, 0, 3, 1])[quarter],
        "d": draws.integers(0, 2, rows),
    }
    kinds = SPACE.fields
    return {n: torch.from_numpy(v).to(kinds[n].dtype) for n, v in columns.items()}


def learned(batch: Batch) -> Copula:
    family = Copula(SPACE, CopulaConfig(), TrunkConfig())
    family.learn(batch, Step(0, 0.0, rng()))
    return family


def test_marginals_and_relations_are_the_datas() -> None:
    batch = data()
    drawn = learned(batch).sample(20_000, None, rng(1))
    for share in (0.05, 0.5, 0.95):
        wanted = float(batch["x"].quantile(share))
        assert float(drawn["x"].quantile(share)) == pytest.approx(wanted, rel=0.05)
    relation = np.corrcoef(np.log(drawn["x"].numpy()), drawn["y"].numpy())[0, 1]
    assert relation == pytest.approx(0.8, abs=0.03)
    shares = torch.bincount(drawn["c"].long(), minlength=4) / 20_000
    torch.testing.assert_close(shares, torch.full((4,), 0.25), atol=0.02, rtol=0)
    means = [float(drawn["x"][drawn["c"] == c].log().mean()) for c in (2, 0, 3, 1)]
    assert means == sorted(means)
    assert means[3] - means[0] > 1.5
    assert float(drawn["x"].max()) <= float(batch["x"].max())


def test_conditions_shift_what_goes_with_them() -> None:
    family, rows = learned(data()), 4000
    given = {n: torch.zeros(rows, dtype=f.dtype) for n, f in SPACE.fields.items()}
    given["x"] += float(np.exp(1.0))
    known = {n: torch.full((rows,), n == "x") for n in SPACE.names}
    drawn = family.complete(given, known, rng(2))
    assert torch.equal(drawn["x"], given["x"])
    assert float(drawn["y"].mean()) == pytest.approx(0.8, abs=0.08)
    assert float(drawn["y"].std()) == pytest.approx(0.6, abs=0.08)
    assert float((drawn["d"] == 1).float().mean()) == pytest.approx(0.5, abs=0.04)
    assert float((drawn["c"] == 1).float().mean()) > 0.5


def test_few_rows_draw_relations_towards_none() -> None:
    draws = torch.randn(8, generator=rng(3))
    few = {"x": draws, "y": torch.randn(8, generator=rng(4)), "c": torch.arange(8) % 4}
    few["d"] = torch.arange(8) % 2
    family = learned(few)
    assert float((family.values - torch.eye(4)).abs().max()) < 0.95
    assert np.isfinite(family.sample(50, None, rng())["x"].numpy()).all()


def test_a_constant_and_a_single_record() -> None:
    one = {"x": torch.ones(1), "y": torch.ones(1), "c": torch.ones(1).long()}
    one["d"] = torch.ones(1).long()
    drawn = learned(one).sample(5, None, rng())
    assert drawn["x"].tolist() == [1.0] * 5
    assert drawn["c"].tolist() == [1] * 5


def test_too_many_elements_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"Copula learns records of up to 4,096 elements"):
        Copula(Space({"x": Real(shape=(5000,))}), CopulaConfig(), TrunkConfig())
