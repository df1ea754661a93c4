"""Train the digit classifier whose weights ship with the plugin. From the plugin's folder:

    python tools/train_classifier.py /work/shared/data/images

The folder holds MNIST as idx files (``…train-images-idx3-ubyte.gz`` and so on). A sixth of what it
sees are scikit-learn's digits, of which every fifth is held out. Batch normalisation helps training
and is folded into the convolutions afterwards (Jacob et al. 2018, section 3.2), so that the shipped
network has none. Prints both held-out accuracies; takes about four minutes on one core.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from pathlib import Path

import pyarrow as pa
import torch
import torch.nn.functional as F
from gmkit_images.batch import images_of, squares
from gmkit_images.datasets import digits
from gmkit_images.idx import IdxImages
from gmkit_images.metrics.network import WEIGHTS, DigitNet, to_input
from safetensors.torch import save_file
from torch import Tensor, nn

EPOCHS = 4
BATCH = 128
DIGITS = 24
"""Of each batch, scikit-learn's."""


def mnist(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    """Inputs (N, 1, 28, 28) and labels of ``train`` or ``t10k``."""
    (path,) = folder.glob(f"*{part}-images*idx3-ubyte.gz")
    return arrays(pa.Table.from_batches(IdxImages().read(path, None, 10_000)))


def arrays(table: pa.Table) -> tuple[Tensor, Tensor]:
    """Inputs and labels of a table of images."""
    images = squares([image for image in images_of(table["image"]) if image is not None])
    return to_input(images), torch.from_numpy(table["label"].to_numpy().copy())


def augmented(images: Tensor) -> Tensor:
    """A random turn of up to 12°, scaling and stretching of 0.85 … 1.15, a shift of up to 2."""
    n = len(images)
    angle = (torch.rand(n) * 2 - 1) * 0.21
    zoom = 1 + (torch.rand(n, 2) * 2 - 1) * 0.15
    shift = (torch.rand(n, 2) * 2 - 1) * (4 / 28)
    cos, sin = torch.cos(angle), torch.sin(angle)
    rows = torch.stack(
        [
            torch.stack([cos * zoom[:, 0], -sin * zoom[:, 1], shift[:, 0]], 1),
            torch.stack([sin * zoom[:, 0], cos * zoom[:, 1], shift[:, 1]], 1),
        ],
        1,
    )
    grid = F.affine_grid(rows, list(images.shape), align_corners=False)
    floor = -0.25 / 0.33  # what a black pixel is
    return F.grid_sample(images - floor, grid, align_corners=False) + floor


def with_norms(network: DigitNet) -> nn.Sequential:
    """The body with batch normalisation behind each convolution."""
    layers: list[nn.Module] = []
    for layer in network.body:
        layers.append(layer)
        if isinstance(layer, nn.Conv2d):
            layers.append(nn.BatchNorm2d(layer.out_channels))
    return nn.Sequential(*layers)


def fold(body: nn.Sequential) -> None:
    """Put each normalisation into the convolution before it."""
    layers = list(body)
    for conv, norm in itertools.pairwise(layers):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            assert norm.running_var is not None and norm.running_mean is not None
            assert conv.bias is not None
            factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            conv.weight.data *= factor[:, None, None, None]
            conv.bias.data = (conv.bias - norm.running_mean) * factor + norm.bias


def train(network: DigitNet, sets: list[tuple[Tensor, Tensor]]) -> None:
    """AdamW with one cycle of the rate, labels smoothed."""
    body = with_norms(network)
    plain, network.body = network.body, body
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    (x, y), (small, names) = sets
    per_epoch = len(x) // (BATCH - DIGITS)
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, EPOCHS * per_epoch)
    for _ in range(EPOCHS):
        order = torch.randperm(len(x))
        for step in range(per_epoch):
            rows = order[step * (BATCH - DIGITS) : (step + 1) * (BATCH - DIGITS)]
            some = torch.randint(len(small), (DIGITS,))
            images = torch.cat([x[rows], small[some]])
            images = augmented(images).contiguous(memory_format=torch.channels_last)
            logits = network(images)
            loss = F.cross_entropy(logits, torch.cat([y[rows], names[some]]), label_smoothing=0.05)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
    fold(body)
    network.body = plain  # its convolutions are those that were trained
    network.eval()


@torch.no_grad()
def accuracy(network: DigitNet, images: Tensor, labels: Tensor) -> float:
    """Share that is told right."""
    right = [
        network(a).argmax(1) == b for a, b in zip(images.split(500), labels.split(500), strict=True)
    ]
    return float(torch.cat(right).float().mean())


@torch.no_grad()
def standardise(network: DigitNet, images: Tensor) -> None:
    """Keep mean and deviation of the features over the training images."""
    features = torch.cat([network.embed(part) for part in images.split(500)])
    network.mean.copy_(features.mean(0))
    network.scale.copy_(features.std(0))


def main(folder: Path) -> None:
    """Train, measure as shipped (half precision), save."""
    torch.manual_seed(0)
    began = time.monotonic()
    large = mnist(folder, "train")
    small, names = arrays(pa.Table.from_batches(digits()))
    held = torch.arange(len(small)) % 5 == 0
    network = DigitNet()
    train(network, [large, (small[~held], names[~held])])
    standardise(network, large[0])
    half = {name: value.half() for name, value in network.state_dict().items()}
    network.load_state_dict({name: value.float() for name, value in half.items()})
    WEIGHTS.parent.mkdir(exist_ok=True)
    save_file({k: v.contiguous() for k, v in half.items()}, WEIGHTS)
    found = {
        "mnist_test": accuracy(network, *mnist(folder, "t10k")),
        "digits_held_out": accuracy(network, small[held], names[held]),
        "parameters": sum(p.numel() for p in network.parameters()),
        "bytes": WEIGHTS.stat().st_size,
        "seconds": round(time.monotonic() - began),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
