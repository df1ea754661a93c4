"""Metrics on real digits, copies, noise, collapses and wrong labels."""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from gmkit_images.datasets import digits
from gmkit_images.metric_infos import METRICS
from gmkit_images.metrics import inception
from gmkit_images.metrics.coverage import coverage
from gmkit_images.metrics.features import images
from gmkit_images.metrics.frechet import frechet_distance
from gmkit_images.metrics.inception import inception_coverage, inception_distances
from gmkit_images.metrics.kernel import kernel
from gmkit_images.metrics.labels import label_accuracy
from gmkit_images.metrics.network import WEIGHTS, classifier, to_input
from gmkit_images.metrics.validity import validity
from gmkit_images.png import Pixels, png_column, write_png
from torch import nn

from gmkit.errors import DataError, PluginError

Noise = Callable[..., Pixels]


@pytest.fixture(scope="module")
def parts() -> tuple[pa.Table, pa.Table]:
    """1,200 real digits and 597 others."""
    table = pa.Table.from_batches(digits())
    order = pa.array(np.random.default_rng(0).permutation(table.num_rows))
    table = table.take(order)
    return table.slice(0, 1_200), table.slice(1_200)


def table(pixels: Pixels, labels: Any = None) -> pa.Table:
    columns = {"image": png_column(pixels)}
    return pa.table(columns if labels is None else {**columns, "label": labels})


def noisy(count: int, channels: int = 1) -> pa.Table:
    return table(np.random.default_rng(1).integers(0, 256, (count, 8, 8, channels), np.uint8))


Metric = Callable[[pa.Table, pa.Table, pa.Table], dict[str, float]]


def figure(metric: Metric, real: pa.Table, samples: pa.Table, test: pa.Table) -> float:
    (value,) = metric(real, samples, test).values()
    return value


def test_names_say_the_space(parts: tuple[pa.Table, pa.Table]) -> None:
    real, test = parts
    assert set(frechet_distance(real, real, test)) == {"frechet/digits-64"}
    assert set(kernel(real, real, test)) == {"kernel/digits-64"}
    names = ("precision", "recall", "density", "coverage")
    assert set(coverage(real, real, test)) == {f"{name}/digits-64" for name in names}


def test_copies_give_the_best(parts: tuple[pa.Table, pa.Table]) -> None:
    real, test = parts
    assert figure(frechet_distance, real, test, test) == pytest.approx(0, abs=1e-6)
    assert figure(kernel, real, test, test) < 0
    assert set(coverage(real, test, test).values()) == {1.0}
    assert figure(validity, real, test, test) == 1
    assert figure(label_accuracy, real, test, test) > 0.97


def test_real_collapsed_and_noise_are_told_apart(parts: tuple[pa.Table, pa.Table]) -> None:
    real, test = parts
    ones = real.filter(pa.array([label == 1 for label in real["label"].to_pylist()]))
    distances = [
        [figure(metric, real, samples, test) for samples in (real, ones, noisy(300))]
        for metric in (frechet_distance, kernel)
    ]
    for near, collapsed, far in distances:
        assert near < collapsed / 20 and collapsed < far
    good, one, bad = (coverage(real, samples, test) for samples in (real, ones, noisy(300)))
    assert good["coverage/digits-64"] > 0.85 and good["precision/digits-64"] > 0.85
    assert one["precision/digits-64"] > 0.8 and one["coverage/digits-64"] < 0.2
    assert bad["precision/digits-64"] < 0.02


def test_too_few_images_have_no_distance(parts: tuple[pa.Table, pa.Table]) -> None:
    real, test = parts
    for metric in (frechet_distance, kernel, coverage):
        assert all(map(math.isnan, metric(real, real.slice(0, 1), test).values()))
    junk = pa.table({"image": pa.array([b"x", None], pa.binary())})
    assert math.isnan(figure(frechet_distance, real, junk, test))
    with pytest.raises(DataError, match="no column 'image'"):
        frechet_distance(real, pa.table({"x": [1]}), test)


def test_validity(noise: Noise) -> None:
    real = table(noise(3, 8, 8, 1))
    flat = np.zeros((8, 8, 1), np.uint8)
    other = noise(4, 4, 1)
    samples = [write_png(noise(8, 8, 1)), write_png(flat), write_png(other), b"junk"]
    found = validity(real, pa.table({"image": pa.array(samples, pa.binary())}), real)
    assert found == {"validity": 0.25}
    assert math.isnan(figure(validity, real, real.slice(0, 0), real))


# ---------------------------------------------------------------- labels


def test_wrong_labels_are_seen(parts: tuple[pa.Table, pa.Table]) -> None:
    real, test = parts
    wrong = pa.array([(label + 1) % 10 for label in test["label"].to_pylist()])
    swapped = test.set_column(1, "label", wrong)
    assert figure(label_accuracy, real, swapped, test) < 0.03
    half = pa.concat_tables([test, swapped])
    assert 0.45 < figure(label_accuracy, real, half, test) < 0.55
    words = real.set_column(1, "label", pa.array([str(v) for v in real["label"].to_pylist()]))
    assert figure(label_accuracy, words, test, test) > 0.97


def test_labels_of_other_classes_are_learned() -> None:
    """Stripes along and across, of which the classifier of digits knows nothing."""
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, (400, 8, 1, 1), np.uint8).repeat(8, axis=2)
    across = rng.random(400) < 0.5
    pixels = np.where(across[:, None, None, None], base.transpose(0, 2, 1, 3), base)
    whole = table(pixels, np.where(across, "across", "along").tolist())
    real, test = whole.slice(0, 300), whole.slice(300)
    assert figure(label_accuracy, real, test, test) > 0.85
    flipped = ["along" if a else "across" for a in across[300:]]
    assert figure(label_accuracy, real, table(pixels[300:], flipped), test) < 0.15


def test_no_figure_without_labels(parts: tuple[pa.Table, pa.Table]) -> None:
    real, test = parts
    assert label_accuracy(real, test.drop_columns("label"), test) == {}
    assert label_accuracy(real.drop_columns("label"), test, test) == {}
    same = real.set_column(1, "label", pa.array([1] * real.num_rows))
    assert label_accuracy(same, test, test) == {}


# ---------------------------------------------------------------- the classifier


def test_the_classifier_knows_digits_of_any_size(parts: tuple[pa.Table, pa.Table]) -> None:
    """The part held out in training (every fifth) at its own size, larger and in colour."""
    held = pa.Table.from_batches(digits()).take(pa.array(range(0, 1_797, 5)))
    truth = held["label"].to_numpy()
    pixels = images(held).pixels
    large = pixels.repeat(5, axis=1).repeat(5, axis=2)
    for shown, least in ((pixels, 0.97), (large, 0.95), (pixels.repeat(3, axis=3), 0.97)):
        features, shares = classifier().measure(shown)
        assert features.shape == (len(held), 64) and np.isfinite(features).all()
        assert (shares.argmax(1) == truth).mean() >= least
    assert images(held).are_digits
    assert not images(noisy(100)).are_digits and not images(noisy(10, 3)).are_digits
    assert WEIGHTS.stat().st_size < 1_000_000


def test_inputs_are_grey_and_centred() -> None:
    white = np.full((1, 40, 40, 3), 255, np.uint8)
    assert to_input(white).shape == (1, 1, 28, 28)
    assert torch.allclose(to_input(white), torch.tensor(0.75 / 0.33))
    red = np.zeros((1, 28, 28, 3), np.uint8)
    red[..., 0] = 255
    assert torch.allclose(to_input(red), torch.tensor((0.299 - 0.25) / 0.33))


def test_equal_columns_are_measured_once(parts: tuple[pa.Table, pa.Table]) -> None:
    real, test = parts
    assert images(test) is images(pa.concat_tables([test]))
    assert images(test) is not images(real)


# ---------------------------------------------------------------- Inception


class Stripes(nn.Module):
    """Stands for InceptionV3: three of 2,048 features, the mean colours, are not constant."""

    def __init__(self) -> None:
        super().__init__()
        self.fc: nn.Module = nn.Linear(1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        assert image.shape[1:] == (3, 299, 299)
        wide = torch.zeros(len(image), 2048)
        wide[:, :3] = image.mean((2, 3))
        return wide + 1


@pytest.fixture
def torchvision(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A torchvision with its weights in the cache, in place of whatever is installed."""
    (tmp_path / "checkpoints").mkdir()
    content = tmp_path / "content"
    torch.save(Stripes().state_dict(), content)
    start = hashlib.sha256(content.read_bytes()).hexdigest()[:8]
    monkeypatch.setattr(inception, "FILE", f"inception-{start}.pth")
    place = content.rename(tmp_path / "checkpoints" / f"inception-{start}.pth")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    package, models = ModuleType("torchvision"), ModuleType("torchvision.models")
    package.__spec__ = ModuleSpec("torchvision", None)
    models.inception_v3 = lambda **_: Stripes()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", package)
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    inception._network.cache_clear()
    yield place
    inception._network.cache_clear()


def test_inception_for_colour(torchvision: Path) -> None:
    real, test = noisy(30, 3), noisy(40, 3).slice(30)
    found = inception_distances(real, test, test) | inception_coverage(real, test, test)
    assert set(found) == {
        f"{name}/inception-2048"
        for name in ("frechet", "kernel", "precision", "recall", "density", "coverage")
    }
    assert found["frechet/inception-2048"] == pytest.approx(0, abs=1e-6)
    assert found["coverage/inception-2048"] == 1
    bright = table(np.full((10, 8, 8, 3), 255, np.uint8))
    assert inception_distances(real, bright, test)["frechet/inception-2048"] > 1


def test_no_inception_for_digits(parts: tuple[pa.Table, pa.Table], torchvision: Path) -> None:
    real, test = parts
    assert inception_distances(real, test, test) == inception_coverage(real, test, test) == {}


def test_inception_says_what_is_missing(torchvision: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    colour = noisy(10, 3)
    torchvision.write_bytes(torchvision.read_bytes() + b"!")
    with pytest.raises(PluginError, match="is damaged: SHA-256"):
        inception_distances(colour, colour, colour)
    torchvision.unlink()
    with pytest.raises(PluginError, match=r"which are not there(.|\n)*download\.pytorch\.org"):
        inception_distances(colour, colour, colour)
    monkeypatch.setattr(inception.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PluginError, match=r"need torchvision(.|\n)*gmkit-images\[inception\]"):
        inception_coverage(colour, colour, colour)


def test_what_is_quick() -> None:
    assert {i.name for i in METRICS if i.quick} == {
        "image-validity", "image-labels", "image-frechet",
    }  # fmt: skip
