"""Drawing new records from a trained model, chunk by chunk."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, TypedDict

import pyarrow as pa
import torch

from gmkit.codecs import Batch, Codec
from gmkit.codecs.where import wanted
from gmkit.config import RunConfig
from gmkit.continuation import check_continues, continued
from gmkit.errors import ConfigError
from gmkit.families import Family
from gmkit.families.adjusting import adjusted, adjustment
from gmkit.fields import Space
from gmkit.nearest import check_measurable, nearest_of
from gmkit.objectives.measure import Measure
from gmkit.observer import Observer
from gmkit.randomness import derive, generator
from gmkit.training.pool import ConditionPool

CHUNK, LARGEST_CHUNK = 1000, 4000
"""Records drawn together, at least and at most; the chunk's number seeds it."""
ELEMENTS = 200_000
"""Of all records of a chunk that is more than the least. Many small records cost little more than
few: 4,000 molecules at once come half as fast again as 1,000 (benchmarks/sampling.py)."""

Where = Mapping[str, Any] | str | Iterable[str] | None
"""Values of conditions: ``{"label": 7, "qed": 0.9}`` or ``"label=7,qed=0.9"``."""


class DrawOptions(TypedDict, total=False):
    """How records are drawn; what is left out, or None, is the run's own."""

    where: Where
    seed: int | None
    temperature: float | None
    settings: Mapping[str, Any] | Iterable[str]
    prompt: str | None
    infill: str | None
    windows: int
    """How many windows long, each drawn after the last; of a codec that ``splits``."""
    observer: Observer | None
    best_of: int
    """Records drawn for each, of which the one nearest to ``where`` is kept."""
    chunk: int
    """Records drawn together: another number gives other records."""


def draw(
    family: Family,
    codec: Codec,
    pool: ConditionPool | None,
    config: RunConfig,
    n: int,
    *,
    where: Where = None,
    seed: int | None = None,
    temperature: float | None = None,
    settings: Mapping[str, Any] | Iterable[str] = (),
    prompt: str | None = None,
    infill: str | None = None,
    windows: int = 1,
    observer: Observer | None = None,
    best_of: int = 1,
    chunk: int = 0,
    measures: Mapping[str, Measure] | None = None,
) -> Iterator[pa.RecordBatch]:
    """``n`` new records in batches of up to ``chunk`` (0: by their size), each drawn when it is
    asked for.

    ``pool``: where conditions not asked for come from; None for a model without conditions.
    ``config``: of the run, which tells what the options leave open. ``prompt``, ``infill``: what
    is known of the records, as ``Codec.partial`` reads it. ``windows``: how long they are.
    ``measures``: the domain's, by which the ``best_of`` several is found.
    Raises ConfigError, at once, for what cannot be asked for.
    """
    if temperature is None:
        temperature = config.sampling.temperature
    if n < 1 or temperature < 0 or best_of < 1:
        raise ConfigError(
            f"cannot draw {n} records, the best of {best_of}, at temperature {temperature}",
            hint="Ask for at least one, at a temperature of 0 or more.",
        )
    asked, notes = codec.conditions.parse(wanted(where))
    for note in notes:
        if observer is None:
            warnings.warn(note, stacklevel=3)
        else:
            observer.note(note)
    changed = adjustment(family, settings)
    part = _part(family, codec, prompt, infill)
    if windows > 1:
        check_continues(family, codec)
    if best_of > 1:
        check_measurable(asked, measures or {})
    base = derive(config.seed if seed is None else seed, "sample")
    device = next(family.parameters()).device
    chunk = chunk or chunk_of(family.space)

    def drawn_together(number: int, rows: int, again: int = 0) -> pa.RecordBatch:
        condition = None
        if pool is not None:
            drawn = pool.draw(rows, asked, generator(base, "condition", number))
            condition = {name: value.to(device) for name, value in drawn.items()}
        rng = generator(base, number, *([again] if again else []), device=device)
        with adjusted(family, changed):
            if part is None:
                batch = family.sample(rows, condition, rng, temperature)
            else:
                given, known = (_repeated(side, rows, device) for side in part)
                whole = {**(condition or {}), **given}
                batch = family.complete(whole, known, rng, temperature)
            if windows > 1:
                batch = continued(family, batch, condition or {}, windows, rng, temperature)
        return decoded(codec, {**(condition or {}), **batch})

    def chosen(number: int, rows: int) -> pa.RecordBatch:
        if best_of == 1:
            return drawn_together(number, rows)
        several = partial(drawn_together, number, rows)
        return nearest_of(best_of, several, asked, measures or {})

    starts = enumerate(range(0, n, chunk))
    return (chosen(number, min(chunk, n - start)) for number, start in starts)


def chunk_of(space: Space) -> int:
    """Records that are drawn together."""
    elements = sum(math.prod(field.shape) for field in space.fields.values())
    return min(max(ELEMENTS // max(elements, 1), CHUNK), LARGEST_CHUNK)


def _part(
    family: Family, codec: Codec, prompt: str | None, infill: str | None
) -> tuple[Batch, Batch] | None:
    """The known part and its masks. Raises ConfigError for what cannot be asked for."""
    if prompt is None and infill is None:
        return None
    if prompt is not None and infill is not None:
        raise ConfigError("prompt and infill exclude each other", hint="Give one of them.")
    if "complete" not in family.capabilities:
        raise ConfigError(
            f"a {type(family).__name__} draws whole records: it cannot complete a part of one",
            hint="Train a model that can, such as vae or diffusion.",
        )
    return codec.partial(prompt or infill or "", gaps=infill is not None)


def _repeated(batch: Batch, rows: int, device: torch.device) -> Batch:
    """The one row, ``rows`` times."""
    return {
        name: value.expand(rows, *value.shape[1:]).clone().to(device)
        for name, value in batch.items()
    }


def decoded(codec: Codec, batch: Batch) -> pa.RecordBatch:
    """Records of a batch that may lie on any device."""
    return codec.decode({name: value.cpu() for name, value in batch.items()})
