"""Data sets of text: what they are, whose they are, where they lie."""

from __future__ import annotations

from gmkit.api import DatasetInfo

_CHAR_RNN = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/"
    "6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare/input.txt"
)

DATASETS: list[DatasetInfo] = [
    DatasetInfo(
        name="python-topics",
        summary="Python's help texts on 79 topics, inside the standard library",
        domain="text",
        licence="PSF-2.0 (comes with Python)",
        loader="gmkit_text.datasets:topics",
        column="text",
        default=True,
        citation="Python Software Foundation, pydoc_data.topics",
    ),
    DatasetInfo(
        name="tiny-shakespeare",
        summary="1.1 million characters of Shakespeare's plays, one file",
        domain="text",
        licence="public domain (Shakespeare); gathered in karpathy/char-rnn, MIT",
        url=_CHAR_RNN,
        sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        size=1_115_394,
        file="tinyshakespeare.txt",
        column="text",
        citation="Karpathy, The unreasonable effectiveness of recurrent neural networks, 2015",
    ),
]
