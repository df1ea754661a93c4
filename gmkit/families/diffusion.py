"""Diffusion on any Space: Gaussian on real values, masking on categories, both at once on a mix.

Forward, a record fades with t from 0 to 1 (``gmkit.fields.process``):

    real values   x_t = α(t) x_0 + σ(t) ε              Ho et al. 2020; Kingma et al. 2021
    categories    masked with probability 1 − α(t)     Austin et al. 2021; Sahoo et al. 2024

A network reads x_t and t and answers for every element; ``objective`` says what of x_0 and ε it
should answer, which changes how errors at different times weigh and nothing else:

    mean      posterior mean: E‖μ̃_t(x_t, x_0) − μ_θ(x_t, t)‖²/2σ̃²    Ho et al. 2020, eq. 8
    noise     ε                                                       Ho et al. 2020, eq. 14
    data      x_0
    velocity  α ε − σ x_0                                             Salimans & Ho 2022
    flow      ε − x_0, the slope of rectified flow                    Liu et al. 2022

Loss: E_t[w(t) ‖target − answer‖²] + E_t[−α′/(1 − α) Σ_masked − log p(x_0)], t ~ U(0, 1) drawn at
even distances over the batch (Kingma et al. 2021, appendix I.1), w by min-SNR (Hang et al. 2023).

Conditions are withheld from a share of the records in training; a drawing with guidance g answers
with (1 − g) · without + g · with the condition (Ho & Salimans 2022).

Likelihood: the variational bound with t in the continuous limit (Kingma et al. 2021, eq. 13–15;
for categories the NELBO of Sahoo et al. 2024, eq. 10), by sampled times. A model of continuous
values alone has also an exact one by its flow, d log p/dt = −∇·v along dx/dt = v
(Chen et al. 2018; Song et al. 2021, "Score-based generative modeling", eq. 39).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from gmkit.codecs import Batch
from gmkit.errors import ConfigError
from gmkit.families.blockwise import BlockDrawing, block_losses, check_blocks, whole_blocks
from gmkit.families.divergence import divergence
from gmkit.families.family import Family, FamilyConfig, Step
from gmkit.fields import FieldScores, Process, Space
from gmkit.fields.process import T_MIN, Masking, Objective, Sampler, Schedule
from gmkit.fields.space import Params
from gmkit.trunks import TrunkConfig, build_trunk
from gmkit.trunks.trunk import BlockDenoiser

BOUND_TIMES = 8
"""Times a record's bound is averaged over, for each of the samples asked for."""
FLOW_STEPS = 64
"""Steps of the integral of the exact likelihood, by Heun's rule: two networks' answers each."""


class DiffusionConfig(FamilyConfig):
    """``family.*`` options of diffusion."""

    objective: Objective = Field("velocity", description="what the network answers")
    schedule: Schedule = Field("cosine", description="how signal fades with time")
    min_snr: float = Field(
        5.0, ge=0, description="cap of the signal-to-noise weight; 0: the objective's own weight"
    )
    masking: Masking = Field("rate", description="of categories; count: loss of less variance")
    block: int = Field(
        0, ge=0, le=4096, description="elements of a sequence drawn together; 0: all, 1: one by one"
    )
    anneal: float = Field(
        0.5, ge=0, lt=1, description="share of the training with blocks of one element"
    )
    learned_variance: bool = Field(False, description="learn the variance of ancestral steps")
    condition_drop: float = Field(0.1, ge=0, lt=1, description="share trained without condition")
    sampler: Sampler = Field("dpm++", description="how to step from noise to data")
    steps: int = Field(50, ge=1, le=10_000, description="steps of a drawing")
    guidance: float = Field(1.0, ge=0, description="above 1: nearer to the condition")
    top_p: float = Field(1.0, gt=0, le=1, description="draw only of the likeliest classes")


class Diffusion(Family):
    """A denoiser of the space's trunk and the process it inverts."""

    Config = DiffusionConfig
    config: DiffusionConfig
    capabilities: ClassVar[frozenset[str]] = frozenset({"log_prob", "complete", "denoise_error"})
    adjustable: ClassVar[frozenset[str]] = frozenset({"sampler", "steps", "guidance", "top_p"})

    def __init__(self, space: Space, config: DiffusionConfig, trunk: TrunkConfig) -> None:
        super().__init__(space, config, trunk)
        made = build_trunk(space, trunk)
        if config.block:
            check_blocks(space)
            self.blocks: BlockDenoiser | None = made.block_denoiser(config.block)
        else:
            self.blocks = None
            self.denoiser = made.denoiser()

    @property
    def process(self) -> Process:
        """The noising process of the options."""
        config = self.config
        return Process(
            schedule="flow" if config.block else config.schedule,
            masking="count" if config.block else config.masking,
            block=config.block,
            objective=config.objective,
            sampler=config.sampler,
            min_snr=config.min_snr,
            learned_variance=config.learned_variance,
            log_snr_first=self.space.log_snr_first,
            top_p=config.top_p,
        )

    @property
    def looks_ahead(self) -> bool:
        """Not in blocks, which are drawn in order."""
        return self.blocks is None

    # ------------------------------------------------------------ training

    def losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """The denoising loss, a mean over elements so that rates suit records of any size; and
        each field's, when there are several."""
        process, rows = self.process, _rows(batch)
        t = _even_times(rows, step.rng, _device(batch))
        drop = None
        if self.space.condition is not None and self.config.condition_drop > 0:
            chance = torch.rand(rows, generator=step.rng, device=step.rng.device)
            drop = chance.to(t.device) < self.config.condition_drop
        sizes = self._sizes(batch)
        if self.blocks is not None:
            early = step.progress < self.config.anneal
            given, batch = (self.blocks, self.space, process), self._whole(batch)
            found = block_losses(given, batch, t, drop, step.rng, early=early)
            return {name: value / sum(sizes.values()) for name, value in found.items()}
        noisy = self.space.corrupt(batch, t, step.rng, process)
        params = self.denoiser(noisy, t, batch, drop)
        terms = self.space.denoise_loss(params, batch, noisy, t, process)
        total = torch.stack(list(terms.values())).sum() / sum(sizes.values())
        shown = {name: (value.sum() / sizes[name]).detach() for name, value in terms.items()}
        return {"loss": total, **(shown if len(shown) > 1 else {})}

    def _whole(self, batch: Batch) -> Batch:
        """Of whole blocks, where there are blocks."""
        return whole_blocks(self.space, batch, self.config.block) if self.blocks else batch

    def _sizes(self, batch: Batch) -> dict[str, float]:
        """Name → observed elements in the batch."""
        observed = self.space.observed(batch)
        return {
            name: float(batch[name].numel() if mask is None else mask.sum())
            for name, mask in observed.items()
        }

    # ------------------------------------------------------------ drawing

    @torch.no_grad()
    def sample(
        self,
        n: int,
        condition: Batch | None,
        rng: torch.Generator,
        temperature: float = 1.0,
    ) -> Batch:
        """From noise to data in ``steps`` steps; ``temperature`` scales the noise of ancestral
        steps and divides the logits of categories."""
        process = replace(self.process, temperature=temperature)
        start = self.space.prior(n, rng, process)
        start = {name: value.to(self._device) for name, value in start.items()}
        return self._reverse(start, condition or {}, rng, process, None, None)

    @torch.no_grad()
    def complete(
        self,
        batch: Batch,
        known: Mapping[str, Tensor],
        rng: torch.Generator,
        temperature: float = 1.0,
    ) -> Batch:
        """The known part is put in at every step, noised as far as the rest (Lugmayr et al. 2022,
        "RePaint", eq. 8); categories that are known are never masked."""
        process = replace(self.process, temperature=temperature)
        batch = self.space.full(batch)
        known = {
            name: _full_mask(mask, batch[name]) for name, mask in known.items() if name in batch
        }
        start = self.space.prior(_rows(batch), rng, process)
        start = {name: value.to(self._device) for name, value in start.items()}
        start = self.space.begin(start, batch, known)
        return self._reverse(start, batch, rng, process, batch, known)

    def _reverse(
        self,
        noisy: Batch,
        condition: Batch,
        rng: torch.Generator,
        process: Process,
        given: Batch | None,
        known: Mapping[str, Tensor] | None,
    ) -> Batch:
        """Step ``noisy`` from t = 1 to 0."""
        if self.blocks is not None:
            noisy = self._put(noisy, given, known, torch.zeros(1), rng, process)
            config = self.config
            drawing = BlockDrawing(
                self.blocks, self.space, process, steps=config.steps, guidance=config.guidance
            )
            return drawing.draw(noisy, condition, rng, given, known)
        rows, before = _rows(noisy), None
        times = torch.linspace(1, 0, self.config.steps + 1, device=self._device)
        for now, then in itertools.pairwise(times):
            t, s = now.expand(rows), then.expand(rows)
            noisy = self._put(noisy, given, known, t, rng, process)
            clean = self._estimate(noisy, t, condition, process)
            draw = rng.clone_state() if process.sampler == "heun" else rng
            stepped = self.space.reverse_step(clean, noisy, t, s, rng, process, before)
            if process.sampler == "heun" and float(then) > 0:
                later = self._estimate(stepped, s, condition, process)
                after = (later, stepped)
                stepped = self.space.reverse_step(clean, noisy, t, s, draw, process, None, after)
            noisy, before = stepped, (clean, t)
        return self._put(noisy, given, known, torch.zeros_like(t), rng, process)

    def _put(
        self,
        noisy: Batch,
        given: Batch | None,
        known: Mapping[str, Tensor] | None,
        t: Tensor,
        rng: torch.Generator,
        process: Process,
    ) -> Batch:
        """``noisy`` with the known elements, noised to ``t`` where values are continuous."""
        if given is None or known is None:
            return noisy
        clean = bool((t <= 0).all())
        noised = given if clean else self.space.corrupt(given, t, rng, process)
        return {
            name: torch.where(known[name], (noised if f.continuous else given)[name], noisy[name])
            if name in known
            else noisy[name]
            for name, f in self.space.fields.items()
        }

    def _estimate(self, noisy: Batch, t: Tensor, condition: Batch, process: Process) -> Params:
        """The clean estimate, guided where asked for."""
        params = self.denoiser(noisy, t, condition)
        guidance = self.config.guidance
        if self.space.condition is not None and guidance != 1:
            every = torch.ones_like(t, dtype=torch.bool)
            without = self.denoiser(noisy, t, condition, every)
            params = {
                name: without[name] + guidance * (value - without[name])
                for name, value in params.items()
            }
        return self.space.clean(params, noisy, t, process)

    # ------------------------------------------------------------ likelihood

    @torch.no_grad()
    def log_prob(self, batch: Batch, rng: torch.Generator, samples: int = 1) -> FieldScores:
        """The bound of − log p in nats, unbiased in ``BOUND_TIMES`` × ``samples`` random times.

        Categories integrate over t evenly, real values over λ = log SNR evenly (where their
        integrand is flattest), a mix over the mean of the two densities: the weight is 1/density.
        """
        batch = self._whole(batch)
        process, rows = self.process, _rows(batch)
        ends = self.space.bound_ends(batch, rng, process)
        total = {name: value.clone() for name, value in ends.items()}
        rounds = 1 if self.config.block == 1 else BOUND_TIMES * samples  # 1: exact
        for number in range(rounds):
            share = torch.rand(rows, generator=rng, device=rng.device).to(self._device)
            t, weight = self._bound_times(share, number, rounds, process)
            noisy = self.space.corrupt(batch, t, rng, process)
            params = self._answers(noisy, t, batch)
            terms = self.space.bound(params, batch, noisy, t, process)
            for name, value in terms.items():
                total[name] = total[name] + weight * value / rounds
        return FieldScores(total, torch.stack(list(total.values())).sum(0))

    def _answers(self, noisy: Batch, t: Tensor, batch: Batch) -> Params:
        """The network's, of noised records of which the clean ones are known."""
        if self.blocks is None:
            return self.denoiser(noisy, t, batch)
        answers: Params = self.blocks(noisy, batch, batch)[0]
        return answers

    def _bound_times(
        self, share: Tensor, number: int, rounds: int, process: Process
    ) -> tuple[Tensor, Tensor]:
        """(t, 1/density of t) from even numbers in [0, 1), stratified over the rounds."""
        kinds = {f.continuous for f in self.space.fields.values()}
        first = torch.tensor(process.t_first, device=share.device)
        last = torch.tensor(1 - T_MIN, device=share.device)
        high, low = process.log_snr(first), process.log_snr(last)
        if kinds == {False}:
            return ((share + number) / rounds).clamp(T_MIN, 1), torch.ones_like(share)
        if kinds == {True}:
            t = process.time_of(high - (high - low) * (share + number) / rounds)
            return t, (high - low) / process.rate(t)
        # half of the rounds each way, both weighed by the mean density: the balance heuristic of
        # Veach & Guibas 1995
        share = (share + number // 2) / (rounds // 2)
        by_snr = process.time_of(high - (high - low) * share)
        t = by_snr if number % 2 else share.clamp(T_MIN, 1 - T_MIN)
        inside = (t >= first).to(t.dtype)
        return t, 1 / (0.5 + 0.5 * inside * process.rate(t) / (high - low))

    def flow_log_prob(self, batch: Batch, rng: torch.Generator, steps: int = FLOW_STEPS) -> Tensor:
        """log p in nats, (B,), by the probability flow: exact up to the steps of the integral, and
        for more than ``EXACT_TRACE`` elements up to the noise of the estimated divergence.

        Raises ConfigError when a field is not continuous.
        """
        if not self.space.continuous:
            raise ConfigError(
                "a likelihood by the flow needs continuous values only",
                hint="Use log_prob, the bound, which every space has.",
            )
        process = self.process
        times = process.time_of(
            torch.linspace(
                float(process.log_snr(torch.tensor(process.t_first))),
                float(process.log_snr(torch.tensor(1 - T_MIN))),
                steps + 1,
                device=self._device,
            )
        )
        x = {name: process.alpha(times[0]) * batch[name] for name in self.space.names}
        log_p = torch.zeros(_rows(batch), device=self._device)
        for now, then in itertools.pairwise(times):
            first, spread = self._flow(x, now, batch, rng, process)
            ahead = {name: value + (then - now) * first[name] for name, value in x.items()}
            second, spread_ahead = self._flow(ahead, then, batch, rng, process)
            half = 0.5 * (then - now)
            x = {name: value + half * (first[name] + second[name]) for name, value in x.items()}
            log_p = log_p + half * (spread + spread_ahead)
        for value in x.values():
            log_p = log_p - 0.5 * (value**2 + math.log(2 * math.pi)).flatten(1).sum(1)
        # log p(x_0) = log p(α x_0) + d log α, α a hair below 1
        return log_p + self.space.elements * float(torch.log(process.alpha(times[0])))

    def _flow(
        self, x: Batch, t: Tensor, condition: Batch, rng: torch.Generator, process: Process
    ) -> tuple[Batch, Tensor]:
        """(dx/dt, its divergence per record (B,))."""
        rows = _rows(x)
        shapes = {name: value.shape for name, value in x.items()}
        sizes = [value[0].numel() for value in x.values()]
        with torch.enable_grad():
            flat = torch.cat([value.flatten(1) for value in x.values()], dim=1).detach()
            flat.requires_grad_(True)
            parts = torch.split(flat, sizes, dim=1)
            noisy = {n: part.reshape(shapes[n]) for n, part in zip(shapes, parts, strict=True)}
            time = t.expand(rows)
            slopes = self.space.slope(
                self.space.clean(self.denoiser(noisy, time, condition), noisy, time, process),
                noisy,
                time,
                process,
            )
            velocity = torch.cat([value.flatten(1) for value in slopes.values()], dim=1)
            spread = divergence(velocity, flat, rng)
        return {name: value.detach() for name, value in slopes.items()}, spread.detach()

    @torch.no_grad()
    def denoise_error(self, batch: Batch, t: float, rng: torch.Generator) -> FieldScores:
        """The training loss at one time, per record and field."""
        batch = self._whole(batch)
        process, rows = self.process, _rows(batch)
        times = torch.full((rows,), t, device=self._device)
        noisy = self.space.corrupt(batch, times, rng, process)
        params = self._answers(noisy, times, batch)
        fields = self.space.denoise_loss(params, batch, noisy, times, process)
        return FieldScores(fields, torch.stack(list(fields.values())).sum(0))

    @property
    def _device(self) -> torch.device:
        return next(self.parameters()).device


def _even_times(rows: int, rng: torch.Generator, device: torch.device) -> Tensor:
    """(rows,) times in [0, 1), each uniform and together evenly spread."""
    start = torch.rand(1, generator=rng, device=rng.device).to(device)
    order = torch.randperm(rows, generator=rng, device=rng.device).to(device)
    return (start + order / rows) % 1.0


def _full_mask(mask: Tensor, value: Tensor) -> Tensor:
    """``mask`` of a trimmed batch at the value's whole shape: what was cut off is not known."""
    if mask.shape == value.shape:
        return mask
    return torch.nn.functional.pad(mask, (0, value.shape[1] - mask.shape[1]), value=False)


def _rows(batch: Batch) -> int:
    return len(next(iter(batch.values())))


def _device(batch: Batch) -> torch.device:
    return next(iter(batch.values())).device
