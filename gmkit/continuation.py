"""Records longer than a window: each further one is drawn after the second half of the last."""

from __future__ import annotations

import torch

from gmkit.codecs import Batch, Codec
from gmkit.errors import ConfigError
from gmkit.families import Family
from gmkit.fields import Categorical, Space

__all__ = ["check_continues", "continued"]


def check_continues(family: Family, codec: Codec) -> None:
    """Raises ConfigError for a model whose records cannot go on."""
    if not codec.splits:
        raise ConfigError(
            "records of this kind are no windows of something longer", hint="Leave out --windows."
        )
    if "complete" not in family.capabilities:
        raise ConfigError(
            f"a {type(family).__name__} draws whole windows: it cannot go on after one",
            hint="Train a model that can, such as vae or diffusion.",
        )


@torch.no_grad()
def continued(
    family: Family,
    batch: Batch,
    condition: Batch,
    windows: int,
    rng: torch.Generator,
    temperature: float,
) -> Batch:
    """Sequences (B, L) → about (B, L + (windows − 1) · L/2) elements; one that has met its end
    stays ended. Fields without positions stay as they are."""
    going = _sequences(family.space)
    whole = {name: batch[name] for name in going}
    length = next(iter(whole.values())).shape[1]
    seen = length - length // 2
    for _ in range(windows - 1):
        given, known = dict(condition), {}
        for name, field in going.items():
            tail = whole[name][:, -seen:]
            given[name] = torch.nn.functional.pad(tail, (0, length - seen), value=field.end or 0)
            known[name] = torch.zeros_like(given[name], dtype=torch.bool)
            known[name][:, :seen] = True
        found = family.complete({**batch, **given}, known, rng, temperature)
        whole = {name: torch.cat((whole[name], found[name][:, seen:]), 1) for name in going}
    return {**batch, **{name: field.close(whole[name]) for name, field in going.items()}}


def _sequences(space: Space) -> dict[str, Categorical]:
    """The fields that go on."""
    return {
        name: field
        for name, field in space.fields.items()
        if isinstance(field, Categorical) and field.layout == "sequence"
    }
