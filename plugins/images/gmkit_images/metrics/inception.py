"""The distances in the space of InceptionV3, for images that are no digits.

It needs torchvision and its published weights in torch's cache of models; nothing is downloaded.
These are torchvision's weights and resizing, so that figures agree with each other, but not with
those of papers, which mostly use a port of TensorFlow's.
"""

from __future__ import annotations

import hashlib
import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from gmkit.errors import PluginError
from gmkit.metrics.frechet import frechet_of
from gmkit.metrics.kernel_distance import kernel_distance
from gmkit.metrics.neighbourhoods import neighbourhoods
from gmkit_images.metrics.features import images
from gmkit_images.normalising import recolour
from gmkit_images.png import Pixels

__all__ = ["SPACE", "inception_coverage", "inception_distances"]

SPACE = "inception-2048"
MOST = 1_000
"""Images of each side: a core measures ten to twenty a second."""
FILE = "inception_v3_google-0cc3c7bd.pth"
"""The weights' name in the cache; its end is the start of their SHA-256."""
_MEAN, _SCALE = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CHUNK = 20


def inception_distances(real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
    """Fréchet and kernel distance to the held-out images in ``inception-2048``, of up to 1,000
    images a side; no figures for digits, which have a space of their own. Raises PluginError where
    torchvision or its weights are missing."""
    if images(real).are_digits:
        return {}
    samples, test = _features(synthetic), _features(holdout)
    return {
        f"frechet/{SPACE}": frechet_of(samples, test),
        f"kernel/{SPACE}": kernel_distance(samples, test),
    }


def inception_coverage(real: pa.Table, synthetic: pa.Table, holdout: pa.Table) -> dict[str, float]:
    """Precision, recall, density and coverage, likewise."""
    if images(real).are_digits:
        return {}
    samples, test = _features(synthetic), _features(holdout)
    count = min(len(samples), len(test))
    found = neighbourhoods(test[:count], samples[:count])
    return {f"{name}/{SPACE}": value for name, value in found.items()}


def _features(table: pa.Table) -> NDArray[np.float64]:
    """(N, 2048), measured once for both."""
    network = _network()
    return images(table).in_space(SPACE, lambda pixels: _measured(network, pixels[:MOST]))


@cache
def _network() -> nn.Module:
    place = Path(torch.hub.get_dir(), "checkpoints", FILE)
    if importlib.util.find_spec("torchvision") is None:
        raise PluginError(
            f"distances in {SPACE} need torchvision",
            hint="Install it with: pip install 'gmkit-images[inception]'",
        )
    if not place.is_file():
        raise PluginError(
            f"distances in {SPACE} need the weights {place}, which are not there",
            hint=f"Fetch https://download.pytorch.org/models/{FILE} and lay it there.",
        )
    with place.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if not found.startswith(place.stem.rpartition("-")[2]):
        raise PluginError(f"{place} is damaged: SHA-256 {found}", hint="Fetch it again.")
    from torchvision.models import inception_v3

    network: nn.Module = inception_v3(weights=None, init_weights=False, transform_input=False)
    network.load_state_dict(torch.load(place, weights_only=True))
    network.fc = nn.Identity()
    return network.eval()


@torch.no_grad()
def _measured(network: nn.Module, pixels: Pixels) -> NDArray[np.float64]:
    """(N, 2048) of (N, S, S, C), scaled to 299 × 299."""
    parts = [torch.empty(0, 2048)]
    for part in np.split(pixels, range(_CHUNK, len(pixels), _CHUNK)):
        rgb = torch.from_numpy(np.ascontiguousarray(recolour(part, 3))).float() / 255
        rgb = (rgb - torch.tensor(_MEAN)) / torch.tensor(_SCALE)
        large = F.interpolate(rgb.permute(0, 3, 1, 2), (299, 299), mode="bilinear", antialias=True)
        parts.append(network(large))
    return torch.cat(parts).double().numpy()
