"""The digit classifier whose features are the space of this plugin's distances.

Trained by ``tools/train_classifier.py`` on MNIST and on scikit-learn's digits; 380,000 parameters,
kept in half precision. ``digits-64`` are the 64 numbers from which it tells the ten
digits, each scaled to unit variance over the images it was trained on.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from gmkit_images.png import Pixels

__all__ = ["FEATURES", "SIDE", "WEIGHTS", "DigitNet", "classifier", "to_input"]

FEATURES = 64
SIDE = 28
WEIGHTS = Path(__file__).parent / "data" / "digits-64.safetensors"
_CHUNK = 500


class DigitNet(nn.Module):
    """Convolutions of 32, 64 and 96 channels on 14 × 14, 7 × 7 and 7 × 7, then 64 features."""

    mean: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 32, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 96, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
        )
        self.features = nn.Linear(96 * 49, FEATURES)
        self.digits = nn.Linear(FEATURES, 10)
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.register_buffer("scale", torch.ones(FEATURES))

    def embed(self, images: Tensor) -> Tensor:
        """(B, 1, 28, 28) → (B, 64), before they are scaled."""
        features: Tensor = self.features(self.body(images))
        return features

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, 28, 28) → logits (B, 10)."""
        logits: Tensor = self.digits(torch.relu(self.embed(images)))
        return logits

    @torch.no_grad()
    def measure(self, images: Pixels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scaled features (N, 64) and shares of the digits (N, 10) of images (N, S, S, C)."""
        found, shares = [torch.empty(0, FEATURES)], [torch.empty(0, 10)]
        for part in range(0, len(images), _CHUNK):
            features = self.embed(to_input(images[part : part + _CHUNK]))
            shares.append(self.digits(torch.relu(features)).softmax(1))
            found.append((features - self.mean) / self.scale)
        return torch.cat(found).double().numpy(), torch.cat(shares).double().numpy()


def to_input(images: Pixels) -> Tensor:
    """Images of any size and colour, (N, S, S, C) → grey (N, 1, 28, 28), about −0.8 … 2.3.

    Colours by their luminance (ITU-R 601, as Pillow does).
    """
    pixels = torch.from_numpy(np.ascontiguousarray(images)).float()
    if pixels.shape[-1] == 3:
        pixels = pixels @ torch.tensor([[0.299], [0.587], [0.114]])
    grey = pixels.permute(0, 3, 1, 2)
    if grey.shape[-2:] != (SIDE, SIDE):
        grey = F.interpolate(grey, (SIDE, SIDE), mode="bilinear", antialias=True)
    return (grey / 255 - 0.25) / 0.33


@cache
def classifier() -> DigitNet:
    """The trained network, read once."""
    network = DigitNet()
    network.load_state_dict({k: v.float() for k, v in load_file(WEIGHTS).items()})
    return network.eval()
