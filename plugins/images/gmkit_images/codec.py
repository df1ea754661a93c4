"""The images codec: encoded images or tensors ⇄ squares of real pixels, labels as condition.

Nothing here imports torch or Pillow until they are needed, so ``prepare`` runs in light workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gmkit.codecs.codec import Batch, Codec, CodecState, Prepared, Reject
from gmkit.codecs.conditions import Conditions
from gmkit.errors import ArtifactError, ConfigError, DataError
from gmkit_images.contents import Content, contents
from gmkit_images.decoding import ImageError, decode
from gmkit_images.levels import LEVELS, Grid, ImageSketch
from gmkit_images.normalising import (
    LARGEST,
    Binarise,
    Channels,
    binarise,
    is_normal,
    recolour,
    square,
    target_side,
)
from gmkit_images.png import Pixels, png_column, read_column, write_png

if TYPE_CHECKING:
    from gmkit.fields import Space

COLUMN = "image"
LABEL = "label"
FILE = "file"
PIXELS = "pixels"
"""Name of the one field."""
_MOST = 1024
"""Pixels along a side: beyond it a batch alone would fill the memory."""


class ImageConfig(BaseModel):
    """``codec.*`` options of images."""

    model_config = ConfigDict(extra="forbid")

    size: Annotated[int, Field(ge=2, le=_MOST)] | None = None
    """Side of the square in pixels; without it the largest of the data, at most 64."""
    channels: Channels = "auto"
    """1 for grey, 3 for RGB; ``auto``: RGB where any image is coloured."""
    likelihood: Literal["auto", "logistic", "gaussian", "bernoulli"] = "auto"
    """Of a pixel. ``auto``: bernoulli where all pixels are black or white, else logistic."""
    layout: Literal["grid2d", "flat"] = "grid2d"
    """``flat`` for models that do not look at neighbourhoods."""
    binarise: Binarise = ""
    """Make pixels black or white: ``static`` by a draw fixed for ever, ``threshold`` at 128."""
    condition: list[str] | None = None
    """Columns to condition on; without it ``label`` where it has two values or more; [] for
    none."""


class ImageCodec(Codec):
    """One field ``pixels``, (C, S, S), and the conditions."""

    Config = ImageConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._sketch: ImageSketch | None = None
        self._seen: Conditions | None = None
        """What was gathered of the columns that may become conditions."""
        self._fitted: _Fitted | None = None

    # ------------------------------------------------------------ records

    def prepare(self, records: pa.RecordBatch, first_row: int = 0) -> Prepared:
        """Each image as a square PNG in the plugin's own form; other columns are kept.

        Set aside with the reason: what is no image, damaged or too large, and records without a
        value of a condition. Raises DataError when there is no column ``image`` of images.
        """
        rejects, kept, pngs = [], list(range(len(records))), []
        if self._normal(records) is None:
            kept, names = [], _names(records)
            for row, content in enumerate(_contents(records)):
                try:
                    pngs.append(write_png(self._pixels(content)))
                except ImageError as error:
                    rejects.append(Reject(first_row + row, COLUMN, names[row], str(error)))
                else:
                    kept.append(row)
            records = _with_images(records.take(pa.array(kept, pa.int64())), pngs)
        usable = Conditions(self._wanted(records.schema)).prepare(records)
        numbered = [r._replace(row=first_row + kept[r.row]) for r in usable.rejects]
        together = sorted([*rejects, *numbered], key=lambda reject: reject.row)
        return Prepared(usable.records, together)

    def _wanted(self, schema: pa.Schema) -> list[str]:
        """Columns that may become conditions."""
        if self.config.condition is not None:
            return list(self.config.condition)
        if LABEL not in schema.names:
            return []
        kind = schema.field(LABEL).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        simple = (pa.types.is_integer, pa.types.is_string, pa.types.is_large_string)
        return [LABEL] if any(is_so(kind) for is_so in (*simple, pa.types.is_boolean)) else []

    def _pixels(self, content: Content) -> Pixels:
        """(S, S, C) as the options ask for. Raises ImageError."""
        if isinstance(content, ImageError):
            raise content
        size = self.config.size
        pixels = decode(content, size or LARGEST) if isinstance(content, bytes) else content
        pixels = square(pixels, target_side(pixels.shape[0], pixels.shape[1], size))
        pixels = recolour(pixels, self.config.channels)
        if not self.config.binarise:
            return pixels
        # nearly grey images may become grey
        return recolour(binarise(pixels, self.config.binarise), self.config.channels)

    def _normal(self, records: pa.RecordBatch) -> Pixels | None:
        """(N, S, S, C) of records that ``prepare`` would leave as they are, where they are of one
        size; else None."""
        if COLUMN not in records.schema.names:
            return None
        images = read_column(records.column(COLUMN))
        config = self.config
        if images is None or not is_normal(images, config.size, config.channels, config.binarise):
            return None
        return images

    def _all_pixels(self, records: pa.RecordBatch) -> Sequence[Pixels]:
        """Of prepared or raw records. Raises DataError for what ``prepare`` rejects."""
        normal = self._normal(records)
        if normal is not None:
            return normal  # type: ignore[return-value]
        images = []
        for row, content in enumerate(_contents(records)):
            try:
                images.append(self._pixels(content))
            except ImageError as error:
                raise DataError(str(error), row=row, column=COLUMN) from error
        return images

    # ------------------------------------------------------------ learning

    def fit(self, batches: Iterable[pa.RecordBatch]) -> Self:
        """Gather side, colour, levels and conditions; memory is bounded."""
        sketch, seen = ImageSketch(), None
        for batch in batches:
            if seen is None:
                seen = Conditions(self._wanted(batch.schema))
            images = self._all_pixels(batch)
            for pixels in [images] if isinstance(images, np.ndarray) else images:
                sketch.add(pixels)
            seen.add(batch)
        self._sketch, self._seen, self._fitted = sketch, seen or Conditions(), None
        return self

    def merge(self, other: Self) -> Self:
        """The codec of both parts. Raises ConfigError when one is not fresh from ``fit``, or
        they differ in their options."""
        if self._sketch is None or other._sketch is None:
            raise ConfigError("only codecs fresh from fit can be merged")
        if self.config != other.config:
            raise ConfigError(f"codecs of different options: {self.config} and {other.config}")
        assert self._seen is not None and other._seen is not None
        both = type(self)(self.config.model_dump())
        both._sketch = self._sketch.merge(other._sketch)
        both._seen = self._seen.merge(other._seen)
        return both

    def _known(self) -> _Fitted:
        """What was learned. Raises ConfigError before ``fit``."""
        if self._fitted is None:
            if self._sketch is None or self._seen is None or not self._sketch.side:
                raise ConfigError("the images codec is not fitted")
            sketch, config = self._sketch, self.config
            side = config.size or sketch.side
            channels = (
                (3 if sketch.coloured else 1) if config.channels == "auto" else config.channels
            )
            chosen = self._seen
            if config.condition is None and not _worthwhile(chosen):
                chosen = Conditions()
            bins = 2 if config.binarise else sketch.bins(side)
            self._fitted = _Fitted(side, channels, bins, chosen)
        return self._fitted

    @property
    def conditions(self) -> Conditions:
        """``label``, or the columns that were named."""
        if self._fitted is None and self._sketch is None:
            return Conditions(self.config.condition or ())
        return self._known().conditions

    # ------------------------------------------------------------ tensors

    @property
    def space(self) -> Space:
        """``pixels`` (C, S, S), and the conditions."""
        from gmkit.fields import Real

        known = self._known()
        likelihood = self.config.likelihood
        if likelihood == "auto":
            likelihood = "bernoulli" if known.bins == 2 else "logistic"
        field = Real(
            shape=(known.channels, known.side, known.side),
            layout=self.config.layout,
            bounds=known.grid.bounds,
            bins=known.bins,
            likelihood=likelihood,
        )
        return known.conditions.joined({PIXELS: field})

    def encode(self, records: pa.RecordBatch) -> Batch:
        """``pixels`` (B, C, S, S), float16 where that is exact, else float32; and conditions."""
        import torch

        known = self._known()
        shape = (known.side, known.side, known.channels)
        images = self._all_pixels(records)
        if isinstance(images, np.ndarray) and images.shape[1:] == shape:
            pixels = images
        else:
            pixels = np.empty((len(records), *shape), np.uint8)
            for row, image in enumerate(images):
                scaled = recolour(square(image, known.side), known.channels)
                pixels[row] = binarise(scaled, self.config.binarise)
        values = known.grid.values[pixels.transpose(0, 3, 1, 2)]
        return {
            PIXELS: torch.from_numpy(np.ascontiguousarray(values)),
            **known.conditions.encode(records),
        }

    def decode(self, batch: Batch) -> pa.RecordBatch:
        """PNG images and, where the batch has them, the conditions."""
        known = self._known()
        pixels = known.grid.pixels(batch[PIXELS].float().cpu().numpy())
        pngs = png_column(pixels.transpose(0, 2, 3, 1))
        columns = {COLUMN: pngs, **known.conditions.decode(batch)}
        return pa.RecordBatch.from_pydict(columns)

    # ------------------------------------------------------------ storage

    def state(self) -> CodecState:
        """Options, side, channels, bins and conditions."""
        known = self._known()
        conditions = known.conditions.state()
        return CodecState(
            {
                "config": self.config.model_dump(),
                "side": known.side,
                "channels": known.channels,
                "bins": known.bins,
                "conditions": conditions.facts,
            },
            dict(conditions.tensors),
        )

    @classmethod
    def from_state(cls, state: CodecState) -> Self:
        """The inverse of ``state``. Raises ArtifactError."""
        facts = state.facts
        names = {"config", "side", "channels", "bins", "conditions"}
        if not isinstance(facts, dict) or set(facts) != names:
            raise ArtifactError(f"the images codec needs {', '.join(sorted(names))}")
        for name, low, high in (("side", 1, _MOST), ("bins", 2, LEVELS), ("channels", 1, 3)):
            if type(facts[name]) is not int or not low <= facts[name] <= high:
                raise ArtifactError(f"{name} {facts[name]!r} is not in {low} … {high}")
        if facts["channels"] == 2 or not isinstance(facts["config"], dict):
            raise ArtifactError("the images codec's channels or config make no sense")
        try:
            codec = cls(facts["config"])
        except ValidationError as error:
            raise ArtifactError(f"the images codec's config makes no sense: {error}") from error
        conditions = Conditions.from_state(CodecState(facts["conditions"], state.tensors))
        codec._fitted = _Fitted(facts["side"], facts["channels"], facts["bins"], conditions)
        return codec


class _Fitted:
    """What a fitted codec knows."""

    def __init__(self, side: int, channels: int, bins: int, conditions: Conditions) -> None:
        self.side, self.bins = side, bins
        self.channels: Literal[1, 3] = 3 if channels == 3 else 1
        self.grid = Grid(bins)
        self.conditions = conditions


def _worthwhile(conditions: Conditions) -> bool:
    """Whether a column that nobody named tells records apart, in few enough ways to be a label."""
    try:
        spaces: Sequence[Any] = [column.field for column in conditions.columns.values()]
    except DataError:  # a text of too many values: captions, say
        return False
    return all(getattr(field, "size", 0) > 1 for field in spaces)


def _with_images(records: pa.RecordBatch, pngs: list[bytes]) -> pa.RecordBatch:
    """The records with their images replaced."""
    columns = dict(zip(records.schema.names, records.columns, strict=True))
    return pa.RecordBatch.from_pydict({**columns, COLUMN: pa.array(pngs, pa.binary())})


def _names(records: pa.RecordBatch) -> list[str]:
    """What the user knows each image by: its file, where the source told it."""
    column = records.column(FILE) if FILE in records.schema.names else None
    if column is None and COLUMN in records.schema.names:
        images = records.column(COLUMN)
        if pa.types.is_struct(images.type) and images.type.get_field_index("path") >= 0:
            column = images.field(images.type.get_field_index("path"))
    return [""] * len(records) if column is None else [str(v or "") for v in column.to_pylist()]


def _contents(records: pa.RecordBatch) -> list[Content]:
    """The column ``image``. Raises DataError when it is missing or holds no images."""
    if COLUMN not in records.schema.names:
        raise DataError(
            f"no column {COLUMN!r} among {', '.join(records.schema.names) or 'none'}",
            hint="Name the column that holds the images: --column NAME.",
        )
    return contents(records.column(COLUMN), records.schema.field(COLUMN))
