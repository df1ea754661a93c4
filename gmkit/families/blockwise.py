"""Diffusion over a sequence block after block: its losses and its drawing.

    − log p(x) ≤ Σ_b E_k[(n_b/k) Σ_masked − log p(x_i | block's unmasked part, blocks before)]

with k of the n_b elements of block b masked, k ~ U{1 … n_b} (Arriola et al. 2025, "Block diffusion:
interpolating between autoregressive and diffusion language models", with exact counts). With blocks
of one element it is the exact likelihood of an autoregressive model.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gmkit.codecs import Batch
from gmkit.errors import ConfigError
from gmkit.fields import Categorical, Process, Space
from gmkit.fields.space import Params
from gmkit.trunks.trunk import BlockDenoiser


def check_blocks(space: Space) -> None:
    """Raise ConfigError where records are not sequences of classes whose lengths are known."""
    for name, field in space.fields.items():
        known = isinstance(field, Categorical) and (field.end is None or field.length_shares)
        if field.layout != "sequence" or not known:
            raise ConfigError(
                f"blocks need sequences of categories of known lengths, and {name!r} is none",
                hint="Leave family.block at 0.",
            )


def block_losses(
    given: tuple[BlockDenoiser, Space, Process],
    batch: Batch,
    t: Tensor,
    drop: Tensor | None,
    rng: torch.Generator,
    *,
    early: bool,
) -> dict[str, Tensor]:
    """``loss``, summed over elements: of the next element by the causal pass, and unless ``early``
    of the masked ones too, which alone is ``bound``."""
    denoiser, space, process = given
    noisy = None if early else space.corrupt(batch, t, rng, process)
    answers, following = denoiser(noisy, batch, batch, drop)
    total = torch.stack(list(space.nll(following, batch).values())).sum()
    if noisy is None:
        return {"loss": total}
    terms = space.denoise_loss(answers, batch, noisy, t, process)
    bound = torch.stack(list(terms.values())).sum()
    return {"loss": total + bound, "bound": bound.detach()}


def draw_blocks(
    denoiser: BlockDenoiser,
    space: Space,
    noisy: Batch,
    condition: Batch,
    rng: torch.Generator,
    process: Process,
    steps: int,
    guidance: float,
) -> Batch:
    """Fill the masked elements of ``noisy`` block after block, each in up to ``steps`` steps: as
    many as it has elements unmask one at a time, which loses nothing."""
    first = next(iter(noisy.values()))
    rows, length, device = *first.shape, first.device
    states = [denoiser.begin(rows, condition)]
    if space.condition is not None and guidance != 1:
        every = torch.ones(rows, dtype=torch.bool, device=device)
        states.append(denoiser.begin(rows, condition, every))
    parts: list[Batch] = []
    for start in range(0, length, process.block):
        part = {name: value[:, start : start + process.block] for name, value in noisy.items()}
        rounds = min(steps, next(iter(part.values())).shape[1])
        for done in range(rounds):
            t = torch.full((rows,), 1 - done / rounds, device=device)
            s = torch.full((rows,), 1 - (done + 1) / rounds, device=device)
            answers = _guided([denoiser.answer(state, part) for state in states], guidance)
            clean = space.clean(answers, part, t, process)
            part = space.reverse_step(clean, part, t, s, rng, process)
        for state in states:
            denoiser.accept(state, part)
        parts.append(part)
    return {name: torch.cat([part[name] for part in parts], 1) for name in noisy}


def _guided(answers: list[Params], guidance: float) -> Params:
    """With the condition, or beyond it from the answers without."""
    if len(answers) == 1:
        return answers[0]
    given, without = answers
    return {n: without[n] + guidance * (given[n] - without[n]) for n in given}
