"""Categories: one of ``size`` classes per element, alone or as a sequence of tokens."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from gmkit.errors import DataError
from gmkit.fields.field import Before, Field, expand
from gmkit.fields.grammar import Grammar
from gmkit.fields.masking import counted_share, hide_counted, later_in_block, reveal_counted
from gmkit.fields.process import T_MIN, Process

GOES_ON = -1
"""Given at a place of a sequence that is not known: whatever it is, no end."""


@dataclass(frozen=True, kw_only=True)
class Categorical(Field):
    """Classes 0 … size − 1. Parameters per element: unnormalised log-probabilities.

    ``end`` (sequences only): the class that closes a sequence. From its first occurrence on every
    element is ``end``; those after the first carry no information, so they cost no likelihood
    and networks do not look at them. That is how lengths vary without a mask in any family.

    While diffusing, the further class ``size`` means "masked".

    ``length_shares``: how often each length from 0 up to the whole shape (elements before ``end``)
    occurs in the data. With them a diffusion draws the length first and unmasks as many elements;
    without, ``end`` is unmasked like any class.

    ``ordered``: classes that are near each other are alike, such as the bins of a number.

    ``grammar``: rules that a decoder which writes element by element may be held to. It comes from
    the codec and is not stored.
    """

    kind: ClassVar[str] = "categorical"
    size: int
    end: int | None = None
    length_shares: tuple[float, ...] | None = None
    ordered: bool = False
    grammar: Grammar | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Raises ValueError for no classes, an end outside them or outside a sequence, or lengths
        that are no frequencies, TypeError for a size or an end that is no integer."""
        super().__post_init__()
        object.__setattr__(self, "size", operator.index(self.size))
        object.__setattr__(self, "end", None if self.end is None else operator.index(self.end))
        object.__setattr__(self, "ordered", bool(self.ordered))
        if self.size < 1:
            raise ValueError(f"size is {self.size}, expected at least 1 class")
        if self.end is not None and not 0 <= self.end < self.size:
            raise ValueError(f"end class {self.end} is not in 0 … {self.size - 1}")
        if self.end is not None and self.layout != "sequence":
            raise ValueError(f"an end class needs layout 'sequence', not {self.layout!r}")
        if self.length_shares is not None:
            self._check_lengths(tuple(float(weight) for weight in self.length_shares))

    def _check_lengths(self, weights: tuple[float, ...]) -> None:
        """Keep the frequencies, scaled to sum to 1."""
        if self.end is None or len(weights) != self.shape[0] + 1:
            raise ValueError(f"{len(weights)} lengths, expected one for 0 … {self.shape}")
        total = sum(weights)
        if not (0 < total < float("inf")) or min(weights) < 0:
            raise ValueError("lengths are not frequencies: negative, or none above 0")
        object.__setattr__(self, "length_shares", tuple(weight / total for weight in weights))

    @property
    def embed_dim(self) -> int:
        """One-hot."""
        return self.size

    @property
    def param_dim(self) -> int:
        """A logit per class."""
        return self.size

    @property
    def dtype(self) -> torch.dtype:
        """int64."""
        return torch.int64

    def check(self, value: Tensor) -> None:
        """Raise DataError unless ``value`` holds classes of this field in this shape (a shorter
        sequence is fine when there is an ``end``)."""
        if self.end is None or value.dim() != 2 or value.shape[1] > self.shape[0]:
            self._check_shape(value)
        if value.is_floating_point() or value.is_complex():
            raise DataError(f"values of type {value.dtype}, expected integers")
        wrong = (value < 0) | (value >= self.size)
        if bool(wrong.any()):
            row = int(wrong.reshape(len(value), -1).any(1).nonzero()[0])
            raise DataError(f"a class outside 0 … {self.size - 1}", row=row)

    def embed(self, value: Tensor) -> Tensor:
        """One-hot (B, *shape, size); a masked element is all zeros."""
        return F.one_hot(value.long(), self.size + 1)[..., : self.size].float()

    def observed(self, value: Tensor) -> Tensor | None:
        """True up to and including the first ``end``."""
        if self.end is None:
            return None
        closed = value == self.end
        return closed.cumsum(-1) - closed.long() == 0

    def hide(self, value: Tensor, mask: Tensor) -> Tensor:
        """The class "masked"."""
        return value.masked_fill(mask, self.size)

    def length_of(self, value: Tensor) -> Tensor:
        """Elements before the first ``end``, (B,); the full length without an ``end``."""
        if self.end is None:
            return torch.full((len(value),), value.shape[-1], device=value.device)
        return ((value == self.end).cumsum(-1) == 0).sum(-1)

    def close(self, value: Tensor) -> Tensor:
        """``value`` with everything after the first ``end`` set to ``end``."""
        observed = self.observed(value)
        if observed is None or self.end is None:
            return value
        return torch.where(observed, value, torch.full_like(value, self.end))

    def nll(self, params: Tensor, value: Tensor) -> Tensor:
        """Cross-entropy per element."""
        loss = F.cross_entropy(
            params.reshape(-1, self.size).float(), value.reshape(-1).long(), reduction="none"
        ).reshape(value.shape)
        observed = self.observed(value)
        return loss if observed is None else loss * observed

    def sample(self, params: Tensor, rng: torch.Generator, temperature: float = 1.0) -> Tensor:
        """A draw of softmax(params / temperature), closed after the first ``end``."""
        return self.close(self._draw(params, rng, temperature))

    def narrow(self, params: Tensor, top_p: float, temperature: float = 1.0) -> Tensor:
        """Logits of −∞ outside of the nucleus (Holtzman et al. 2020, "The curious case of neural
        text degeneration"), which is that of softmax(params / temperature)."""
        if top_p >= 1 or temperature == 0:
            return params
        chance, order = torch.softmax(params.float() / temperature, -1).sort(-1, descending=True)
        before = chance.cumsum(-1) - chance  # of the likelier ones: the first always stays
        outside = torch.empty_like(order, dtype=torch.bool).scatter_(-1, order, before >= top_p)
        return params.masked_fill(outside, -math.inf)

    def relax(self, params: Tensor, rng: torch.Generator, temperature: float = 1.0) -> Tensor:
        """Straight-through Gumbel-softmax (Jang et al. 2017): one-hot forward, soft backward."""
        uniform = torch.rand(params.shape, generator=rng, device=rng.device).to(params.device)
        gumbel = -torch.log(-torch.log(uniform.clamp(1e-10, 1 - 1e-7)))
        soft = torch.softmax((params + gumbel) / max(temperature, 1e-3), dim=-1)
        chosen = soft.argmax(-1)
        hard = F.one_hot(chosen, self.size).to(soft.dtype)
        draw = hard + soft - soft.detach()
        observed = self.observed(chosen)
        if observed is None or self.end is None:
            return draw
        closing = F.one_hot(torch.full_like(chosen, self.end), self.size).to(soft.dtype)
        return torch.where(observed.unsqueeze(-1), draw, closing)

    def settle(self, embedded: Tensor) -> Tensor:
        """The hottest class, closed after the first ``end``."""
        return self.close(embedded.argmax(-1))

    def full(self, value: Tensor) -> Tensor:
        """With ``end`` up to the whole length."""
        if self.end is None or value.shape[1] == self.shape[0]:
            return value
        return F.pad(value, (0, self.shape[0] - value.shape[1]), value=self.end)

    # ------------------------------------------------------------ diffusion

    def prior(self, n: int, rng: torch.Generator, process: Process) -> Tensor:
        """Everything masked, up to a length drawn from ``length_shares`` where these are known."""
        value = torch.full((n, *self.shape), self.size, device=rng.device)
        if self.length_shares is None or process.block:
            return value
        weights = torch.tensor(self.length_shares, device=rng.device)
        lengths = torch.multinomial(weights, n, replacement=True, generator=rng)
        return self._ended(value, lengths)

    def corrupt(self, value: Tensor, t: Tensor, rng: torch.Generator, process: Process) -> Tensor:
        """Each element masked with probability 1 − α(t); the end stays where lengths are known."""
        uniform = torch.rand(value.shape, generator=rng, device=rng.device).to(value.device)
        maskable = self._maskable(value, process)
        if self._counts(process):
            hidden = hide_counted(uniform, maskable, t, process)
        else:
            hidden = (uniform < expand(process.masked(t), value)) & maskable
        return torch.where(hidden, torch.full_like(value, self.size), value)

    def _counts(self, process: Process) -> bool:
        """Whether exactly so many elements are masked: only where there are many, in order."""
        return self.layout == "sequence" and process.masking == "count"

    def _maskable(self, value: Tensor, process: Process) -> Tensor:
        """All, or where lengths are known those before the end; block after block, when the end
        is to be found out like any other class, up to the last of its block."""
        lengths = self.length_of(value)
        if process.block and self.end is not None:
            return self._inside((lengths // process.block + 1) * process.block, value)
        if self.length_shares is None:
            return torch.ones_like(value, dtype=torch.bool)
        return self._inside(lengths, value)

    def denoise_loss(
        self, params: Tensor, value: Tensor, noisy: Tensor, t: Tensor, process: Process
    ) -> Tensor:
        """Cross-entropy of masked elements times −α′(t)/(1 − α(t)).

        Summed over elements and averaged over t ~ U(0, 1) this is the NELBO in nats
        (Sahoo et al. 2024, eq. 10). The rate is a finite difference, good for any schedule. With
        exact counts 1 − α(t) is the share that is masked of the record, or of each block.
        """
        rate = expand(process.masked_slope(t), value)
        if self._counts(process):
            maskable = self._maskable(value, process)
            rate = rate / counted_share(noisy == self.size, maskable, process)
        else:
            rate = rate / expand(process.masked(t), value).clamp(min=T_MIN)
        logits = self._allowed(params.float(), noisy, process)
        loss = F.cross_entropy(
            logits.reshape(-1, self.size), value.reshape(-1).long(), reduction="none"
        ).reshape(value.shape)
        return torch.where(noisy == self.size, rate * loss, torch.zeros_like(loss))

    def clean(self, params: Tensor, noisy: Tensor, t: Tensor, process: Process) -> Tensor:
        """Logits of the clean classes."""
        return self._allowed(params.float(), noisy, process)

    def reverse_step(
        self,
        clean: Tensor,
        noisy: Tensor,
        t: Tensor,
        s: Tensor,
        rng: torch.Generator,
        process: Process,
        before: Before | None = None,
        after: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Each masked element is revealed with probability (α_s − α_t)/(1 − α_t)."""
        share = (process.masked(t) - process.masked(s)) / process.masked(t).clamp(min=T_MIN)
        share = torch.where(s <= 0, torch.ones_like(share), share)  # a clean value has no mask
        uniform = torch.rand(noisy.shape, generator=rng, device=rng.device).to(noisy.device)
        masked = noisy == self.size
        if self._counts(process):
            reveal = reveal_counted(uniform, masked, share)
        else:
            reveal = masked & (uniform < expand(share, noisy))
        narrowed = self.narrow(clean, process.top_p, process.temperature)
        value = torch.where(reveal, self._draw(narrowed, rng, process.temperature), noisy)
        return self.close(value) if bool((s <= 0).all()) else value

    def bound(
        self, params: Tensor, value: Tensor, noisy: Tensor, t: Tensor, process: Process
    ) -> Tensor:
        """The training loss is the bound."""
        return self.denoise_loss(params, value, noisy, t, process)

    def bound_ends(self, value: Tensor, rng: torch.Generator, process: Process) -> Tensor:
        """− log of how frequent the record's length is; unseen ones count as seen half a time in
        a thousand records."""
        if self.length_shares is None or process.block:
            return super().bound_ends(value, rng, process)
        weights = torch.tensor(self.length_shares, device=value.device).clamp(min=5e-4)
        return -torch.log(weights[self.length_of(value)])

    def _inside(self, lengths: Tensor, value: Tensor) -> Tensor:
        """(B, L): positions before each record's end."""
        return torch.arange(value.shape[1], device=value.device) < lengths[:, None]

    def begin(self, noisy: Tensor, given: Tensor, known: Tensor) -> Tensor:
        """Where lengths are known, one that leaves room for what is known: the given record's own
        when its end is known, or when the one drawn is too short."""
        if self.length_shares is None:
            return noisy
        own, drawn = self.length_of(given), self.length_of(noisy)
        places = torch.arange(given.shape[1], device=given.device)
        inside = (known | (given == GOES_ON)) & self._inside(own, given)
        least = torch.where(inside, places + 1, torch.zeros_like(places)).amax(1)
        settled = (known & ~inside).any(1) | (drawn < least)
        lengths = torch.where(settled, own, drawn)
        return self._ended(torch.full_like(noisy, self.size), lengths)

    def _ended(self, value: Tensor, lengths: Tensor) -> Tensor:
        """``value`` closed after these lengths."""
        assert self.end is not None
        return torch.where(self._inside(lengths, value), value, torch.full_like(value, self.end))

    def _allowed(self, logits: Tensor, noisy: Tensor, process: Process) -> Tensor:
        """No ``end`` inside a record whose length is known, nor before an element that is seen;
        and after an ``end`` that is seen nothing else. Blocks do not look at later ones."""
        if self.end is None:
            return logits
        seen = (noisy != self.size) & (noisy != self.end)
        banned = later_in_block(seen, process)
        if self.length_shares is not None and not process.block:
            banned = torch.ones_like(banned)
        at_end = F.one_hot(torch.tensor(self.end, device=logits.device), self.size).bool()
        over = (noisy == self.end).cumsum(1) > 0
        banned = banned.unsqueeze(-1) & at_end | over.unsqueeze(-1) & ~at_end
        return logits.masked_fill(banned, -1e9)

    def to_json(self) -> dict[str, Any]:
        """With ``size``, ``end`` and, where known, ``length_shares`` and ``ordered``."""
        facts = {**super().to_json(), "size": self.size, "end": self.end}
        if self.length_shares is not None:
            facts["length_shares"] = list(self.length_shares)
        return {**facts, "ordered": True} if self.ordered else facts

    def _draw(self, params: Tensor, rng: torch.Generator, temperature: float) -> Tensor:
        """Inverse-CDF draw: one uniform number an element, so far cheaper than Gumbel noise."""
        if temperature == 0:
            return params.argmax(-1)
        chance = torch.softmax(params.float() / temperature, dim=-1).cumsum(-1)
        shape = (*params.shape[:-1], 1)
        uniform = torch.rand(shape, generator=rng, device=rng.device).to(params.device)
        # scaled by the total, which rounding leaves a little off 1; the first class to exceed the
        # draw, so that a draw of 0 does not fall on a class that cannot be
        drawn = torch.searchsorted(chance, uniform * chance[..., -1:], right=True)
        return drawn.squeeze(-1).clamp(max=self.size - 1)
