"""The text domain: what ties codec, files, validation and previews together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from gmkit.domain import Domain
from gmkit_text.alphabets import UNKNOWN
from gmkit_text.codec import COLUMN, SECTION, TextCodec
from gmkit_text.folder import ENDINGS, TextFolder
from gmkit_text.text_file import TextFile

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gmkit.data.formats import FolderFormat, Format

_PREVIEW = 5


class TextDomain(Domain):
    """Text; a record is a string in the column ``text``."""

    column = COLUMN
    aliases = ("text", "content", "document", "body", "sentence", "article")

    def codec(self, config: Mapping[str, Any]) -> TextCodec:
        """A new codec for ``codec.*`` options (``TextConfig``)."""
        return TextCodec(config)

    def formats(self) -> Mapping[str, Format]:
        """``.txt``, ``.md``, ``.rst``, and ``.txt.gz``."""
        return {end: TextFile(gz=end.endswith(".gz")) for end in ENDINGS}

    def folder(self) -> FolderFormat:
        """Text files at any depth, sub-folders as labels."""
        return TextFolder()

    def groups(self, records: pa.RecordBatch) -> pa.Array:
        """Windows of one section stay together."""
        return records.column(SECTION if SECTION in records.schema.names else COLUMN)

    def measure(self, records: pa.RecordBatch) -> tuple[str, int]:
        """Characters, so that models of different tokens can be compared."""
        return "character", int(pc.sum(pc.utf8_length(records.column(COLUMN))).as_py() or 0)

    def validate(self, records: pa.RecordBatch) -> pa.BooleanArray:
        """Whether a record holds text: not empty, nothing undecodable in it."""
        texts = records.column(COLUMN)
        bad = pc.match_substring(texts, UNKNOWN)
        return pc.fill_null(pc.and_(pc.greater(pc.utf8_length(texts), 0), pc.invert(bad)), False)

    def defaults(self, family: str, budget: float | None) -> dict[str, Any]:
        """A small Transformer and small batches: the number of updates decides on a processor.

        The VAE's 0.25 free nats in each of 16 dimensions keep the latent in use (a causal decoder
        does well without one). Diffusion draws blocks of 2 characters, each after those before it.
        """
        settings: dict[str, Any] = {
            "trunk": {"width": 128, "depth": 4, "encoder_depth": 1},
            "training": {
                "steps": 400,
                "batch_size": 8,
                "learning_rate": 2e-3,
                "warmup": 50,
                "optimiser": "muon",
                "evaluate_every": 200,
            },
        }
        if family == "vae":
            settings["family"] = {"latent": 16, "free_bits": 0.25}
            settings["sampling"] = {"temperature": 0.8}
        elif family == "diffusion":
            settings["family"] = {"block": 2, "masking": "count"}
            settings["sampling"] = {"temperature": 0.8}
        elif family.endswith("+diffusion"):
            settings["family"] = {"diffusion": {}}  # of latents, which are no sequence
        return settings

    def preview(self, records: pa.RecordBatch) -> RenderableType:
        """The first texts, each in a frame, with whatever was asked of them."""
        from rich.console import Group
        from rich.panel import Panel
        from rich.text import Text

        others = [name for name in records.schema.names if name != COLUMN]
        panels = []
        for row in records.slice(0, _PREVIEW).to_pylist():
            told = ", ".join(f"{name} {row[name]}" for name in others)
            body = Text(_printable(row[COLUMN] or "(empty)"))
            panels.append(Panel(body, title=Text(told) if told else None, title_align="left"))
        return Group(*panels)


def _printable(text: str) -> str:
    """Without characters that would steer a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "·" for c in text)
