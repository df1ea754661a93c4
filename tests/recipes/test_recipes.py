"""Recipes are valid, listed in the table, and reach the bounds it states."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

import gmkit
from gmkit.api import DatasetInfo
from gmkit.config import read_toml
from gmkit.plugins import registry
from gmkit.training.resolve import resolve

FOLDER = Path(__file__).parents[2] / "recipes"
TABLE: dict[str, dict[str, list[float]]] = tomllib.loads((FOLDER / "table.toml").read_text())
QUICK = {
    "validity",
    "uniqueness@1k",
    "novelty",
    "median_weight_ratio",
    "median_qed_ratio",
    "label accuracy",
    "frechet/digits-64",
    "known words",
    "divergence@3 (bits)",
    "column_shapes",
    "pair_trends",
}
"""Figures that ``gmkit train`` itself computes at its end."""


def settings(recipe: str) -> dict[str, Any]:
    """The recipe's options."""
    return read_toml(FOLDER / f"{recipe}.toml")


def dataset(recipe: str) -> DatasetInfo:
    """The data set that the recipe trains on."""
    info = registry().get("dataset", settings(recipe)["data"]["source"])
    assert isinstance(info, DatasetInfo)
    return info


EMBEDDED = [recipe for recipe in TABLE if dataset(recipe).loader]


def test_the_table_lists_every_recipe() -> None:
    files = {
        path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.glob("*/*.toml")
    }
    assert files == TABLE.keys()
    assert EMBEDDED


@pytest.mark.parametrize("recipe", TABLE)
def test_a_recipe_is_a_valid_configuration_of_its_folders_domain(recipe: str) -> None:
    resolved = resolve(settings(recipe))
    assert resolved.config.domain == Path(recipe).parent.name == dataset(recipe).domain
    config = resolved.config.training
    assert config.time_budget or config.steps


@pytest.mark.parametrize("recipe", TABLE)
def test_bounds_are_ranges_of_figures_that_training_reports(recipe: str) -> None:
    bounds = TABLE[recipe]
    assert bounds.keys() <= QUICK
    assert all(least < most for least, most in bounds.values())


@pytest.mark.slow
@pytest.mark.parametrize("recipe", EMBEDDED)
def test_a_recipe_on_embedded_data_reaches_its_bounds(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GMKIT_CACHE", str(tmp_path / "cache"))
    run = gmkit.train(config=FOLDER / f"{recipe}.toml", out=tmp_path / "run")
    assert run.evaluation is not None
    assert run.evaluation.samples == 1000
    figures = run.evaluation.values()
    missed = {
        name: figures[name]
        for name, (least, most) in TABLE[recipe].items()
        if not least <= figures[name] <= most
    }
    assert missed == {}
