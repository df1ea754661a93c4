"""ChemNet: the network whose activations the Fréchet ChemNet distance compares.

Mayr et al., Chemical Science 9, 5441 (2018): two convolutions and two LSTMs over one-hot SMILES.
The weights are a file inside the package ``fcd`` of its authors (the extra ``fcd``); only that
file is read, none of the package's code runs.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gmkit.errors import PluginError

__all__ = ["ChemNet", "activations"]

TOKENS = (*"CNOHF", "Cl", "P", "B", "Br", "S", "I", "Si", *"#()+-12345678=[]@cnosX.")
"""The alphabet, in the order of the input channels; X is any other, a full stop the end."""

LENGTH = 350
"""Input positions; a longer SMILES is cut."""

BATCH = 128

_WEIGHTS = "ChemNet_v0.13_pretrained.pt"
_SHA256 = "c22e977602b30eeabd7f81e6c790dd3234c7d7788c6c3e7979d8720ccc96951a"
_INSTALL = "Install it with: pip install 'gmkit-molecules[fcd]'"
_INDEX = {token: i for i, token in enumerate(TOKENS)}
_SYMBOL = re.compile("Cl|Br|Si|.", re.DOTALL)


class ChemNet(nn.Module):
    """Token indices ``(n, LENGTH)`` to activations ``(n, 512)``."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow = nn.Conv1d(len(TOKENS), 32, 4, stride=2, bias=False)
        self.narrower = nn.Conv1d(32, 32, 4, stride=2, bias=False)
        self.backward_lstm = nn.LSTM(32, 128, batch_first=True)
        self.forward_lstm = nn.LSTM(128, 512, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        """``tokens``: int64, -1 for padding."""
        present = (tokens >= 0).unsqueeze(1)
        x = nn.functional.one_hot(tokens.clamp(min=0), len(TOKENS)).transpose(1, 2) * present
        x = x.to(self.narrow.weight.dtype) / len(TOKENS)
        for conv in (self.narrow, self.narrower):
            # "Same" padding as TensorFlow's: even lengths 1 + 1, odd ones 1 + 2.
            x = nn.functional.selu(conv(nn.functional.pad(x, (1, 1 + x.shape[2] % 2))))
        x, _ = self.backward_lstm(x.transpose(1, 2).flip(1))
        states, _ = self.forward_lstm(x.flip(1))
        last: Tensor = states[:, -1]
        return last


def activations(smiles: Sequence[str]) -> NDArray[np.float32]:
    """ChemNet's activations for canonical SMILES, shape ``(len(smiles), 512)``.

    Raises PluginError when the weights are not installed or not the published ones.
    """
    net = _pretrained()
    result = np.empty((len(smiles), 512), dtype=np.float32)
    with torch.inference_mode():
        for i in range(0, len(smiles), BATCH):
            tokens = torch.stack([_tokens(text) for text in smiles[i : i + BATCH]])
            result[i : i + BATCH] = net(tokens).numpy()
    return result


def _tokens(smiles: str) -> Tensor:
    symbols = [*_SYMBOL.findall(smiles)[: LENGTH - 1], "."]
    indices = [_INDEX.get(symbol, _INDEX["X"]) for symbol in symbols]
    return torch.tensor(indices + [-1] * (LENGTH - len(indices)))


@functools.cache
def _pretrained() -> ChemNet:
    spec = importlib.util.find_spec("fcd")
    if spec is None or not spec.origin:
        raise PluginError("the package 'fcd' with ChemNet's weights is missing", hint=_INSTALL)
    path = Path(spec.origin).with_name(_WEIGHTS)
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != _SHA256:
        raise PluginError(f"{path} does not hold the published ChemNet weights", hint=_INSTALL)
    layers = torch.load(path, map_location="cpu", weights_only=True)
    net = ChemNet().eval()
    for module, (_, (weights, *_)) in zip(net.children(), layers, strict=True):
        module.load_state_dict(weights)
    return net
