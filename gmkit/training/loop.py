"""The training loop: plain torch, one screen of steps, resumable to the bit.

A step draws its batch and its noise from (seed, step) and nothing else, so a run that was killed
and resumed ends with the same weights as one that was not. What is written meanwhile (checkpoints,
metrics) never feeds back into the mathematics, unless a time budget drives the schedule.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gmkit.codecs import Batch
from gmkit.config import TrainingConfig
from gmkit.errors import Interrupted, TrainingError
from gmkit.families import Family, Step
from gmkit.observer import Observer, Progress
from gmkit.randomness import derive, generator
from gmkit.training.batches import Batches, in_order
from gmkit.training.checkpoint import (
    Checkpoint,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from gmkit.training.ema import EMA
from gmkit.training.log import MetricsLog
from gmkit.training.optimisers import Optimiser, rate_factor
from gmkit.training.private import PrivateGradients
from gmkit.training.stopping import StopRequest

REPORT_SECONDS = 0.25
"""Between two reports to the observer; each costs one look at the loss on the device."""
LOG_STEPS = 25
MAX_ROLLBACKS = 3


@dataclass
class State:
    """All that a checkpoint holds beside weights and optimisers."""

    step: int = 0
    """Steps done."""
    elapsed: float = 0.0
    """Seconds of work over all processes of this run."""
    rate: float = 1.0
    """Factor on the learning rate, halved by each rollback."""
    rollbacks: int = 0
    best: float = math.inf
    """Lowest validation loss."""
    stale: int = 0
    """Validations since then."""
    players: list[str] = field(default_factory=list)
    """Who was validated."""
    done: bool = False


@dataclass
class Trainer:
    """Trains one family on tensors in memory."""

    family: Family
    train: Batch
    valid: Batch
    config: TrainingConfig
    seed: int
    folder: Path
    precision: torch.dtype = torch.float32
    observer: Observer = field(default_factory=Observer)
    spent: float = 0.0
    """Seconds of the time budget already used when training starts."""
    carry: Mapping[str, Any] = field(default_factory=dict)
    """Facts of the run that every checkpoint keeps."""

    def __post_init__(self) -> None:
        self.device = next(self.family.parameters()).device
        self.batches = Batches(
            self.train, self.family.space, self.config.batch_size, self.seed, self.device
        )
        named = dict(self.family.named_parameters())
        names = {id(p): name for name, p in named.items()}
        moved = {p: self.family.player_parameters(p) for p in self.family.players}
        self.optimisers = {
            player: Optimiser(
                {names[id(p)]: p for p in owned}, self.config, self.family.betas(player)
            )
            for player, owned in moved.items()
        }
        self.ema = EMA(self.family, self.config.ema, moved) if self.config.ema else None
        self.best: dict[str, Tensor] = {}
        self.state = State(elapsed=self.spent)
        self._bad = 0
        self._noise = derive(self.seed, "step")
        self._rng = torch.Generator(self.device)
        self._valid_batches: list[Batch] | None = None
        self.private = (
            PrivateGradients(self.family, self.train, self.config)
            if self.config.dp_epsilon
            else None
        )

    # ------------------------------------------------------------ the run

    def run(self, *, resume: bool = False) -> State:
        """Train to the end and leave the averaged (or best) weights in the family.

        Raises Interrupted after a signal, once a checkpoint is written; TrainingError when the
        loss stays non-finite after ``MAX_ROLLBACKS`` rollbacks.
        """
        found = latest_checkpoint(self.folder) if resume else None
        if found is not None:
            self._restore(load_checkpoint(found))
        log = MetricsLog(self.folder, after=self.state.step, tensorboard=self.config.tensorboard)
        started = time.monotonic() - self.state.elapsed
        try:
            with StopRequest() as stop:
                self.family.train()
                if found is None:
                    self.save()  # from now on there is always something to go back to
                self._steps(stop, log, started)
                self.state.done = True
                path = self.save()
                if stop.signal:  # it came with the last step
                    raise self._stopped(stop.signal, path)
        finally:
            log.close()
            self.family.eval()
            if self.private is not None:
                self.private.close()
        self._adopt()
        return self.state

    def _steps(self, stop: StopRequest, log: MetricsLog, started: float) -> None:
        """Step until the steps, the budget or the patience is used up."""
        state, config = self.state, self.config
        steps = config.steps if self.family.learned is None else 0  # else it says itself
        meter = Meter(self.observer, log, steps or None, self.batches.batch_size, self.progress)
        saved = time.monotonic()
        while not state.done and self.progress() < 1:
            terms = self.step(state.step)
            now = time.monotonic()
            state.elapsed = now - started
            if terms is None:
                self._skipped(log)
                continue
            self._bad = 0
            state.step += 1
            meter.add(state, terms, now)
            if config.evaluate_every and state.step % config.evaluate_every == 0:
                self._validate(log)
            if (config.save_steps and state.step % config.save_steps == 0) or (
                now - saved > config.save_every
            ):
                self.save()
                saved = time.monotonic()
            if stop.signal:
                raise self._stopped(stop.signal, self.save())

    def _stopped(self, number: int, path: Path) -> Interrupted:
        """What is raised for a signal, once the checkpoint ``path`` is written."""
        return Interrupted(
            f"stopped after step {self.state.step}; saved {path}",
            signal=number,
            hint=f"Go on with: gmkit train --resume {self.folder}",
        )

    def progress(self) -> float:
        """Share of the training done, by steps or time, whichever is further; of a family that
        learns by itself, what it says."""
        if self.family.learned is not None:
            return self.family.learned
        shares = [0.0]
        if self.config.steps:
            shares.append(self.state.step / self.config.steps)
        if self.config.time_budget:
            shares.append(self.state.elapsed / self.config.time_budget)
        return min(1.0, max(shares))

    def step(self, index: int) -> dict[str, Tensor] | None:
        """One step of every player. None when a gradient was not finite: nothing was changed
        by that player."""
        progress = self.progress()
        self._rng.manual_seed((self._noise + index) % 2**63)
        rng = self._rng
        if self.family.learned is not None:
            with torch.no_grad():
                return self.family.learn(self.train, Step(index, progress, rng))
        batch = {} if self.private else self.batches.at(index)
        shown: dict[str, Tensor] = {}
        for player, share in self.family.turns(progress):
            optimiser = self.optimisers[player]
            terms = self._backward(batch, Step(index, share, rng, player))
            if not optimiser.clip(self.config.clip):
                for other in self.optimisers.values():
                    other.clear()
                return None
            factor = rate_factor(optimiser.steps, share, self.config)
            optimiser.set_rate(factor * self.state.rate)
            optimiser.step()
            for other in self.optimisers.values():
                if other is not optimiser:
                    other.clear()  # what this loss left with another player
            for name, value in terms.items():
                shown[name] = value.detach() if value.requires_grad else value
        if self.ema is not None:
            self.ema.update(index, {name: o.steps for name, o in self.optimisers.items()})
        return shown

    def _backward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Leave gradients with the parameters. Of private training no loss is told: it would tell
        of the records."""
        if self.private is not None:
            self.private.backward(self._losses, step)
            return {"epsilon": torch.tensor(self.private.guarantee.epsilon)}
        terms = self._losses(batch, step)
        terms["loss"].backward()  # type: ignore[no-untyped-call]
        return terms

    def _losses(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Losses in the chosen number format."""
        if self.precision is torch.float32:
            return self.family.losses(batch, step)
        with torch.autocast(self.device.type, self.precision):
            return self.family.losses(batch, step)

    # ------------------------------------------------------------ validation and faults

    @torch.no_grad()
    def _validate(self, log: MetricsLog) -> None:
        """Loss on held-out records with averaged weights; remembers the best, counts staleness."""
        if not self.valid or not len(next(iter(self.valid.values()))) or self.private:
            return
        if self._valid_batches is None:
            self._valid_batches = in_order(
                self.valid, self.family.space, self.batches.batch_size, self.device
            )
        players = [player for player, _ in self.family.turns(self.progress())]
        if players != self.state.players:  # another stage of training, with losses of its own
            self.state.players, self.state.best, self.state.stale = players, math.inf, 0
        sums: dict[str, float] = {}
        rows = 0
        self.family.eval()
        with self._averaged():
            for number, batch in enumerate(self._valid_batches):
                rng = generator(self.seed, "valid", number, device=self.device)
                count = len(next(iter(batch.values())))
                rows += count
                for player in players:
                    terms = self._losses(batch, Step(self.state.step, 1.0, rng, player))
                    for name, value in terms.items():
                        sums[name] = sums.get(name, 0.0) + float(value) * count
        self.family.train()
        figures = {name: value / rows for name, value in sums.items()}
        log.write("valid", self.state.step, figures)
        if figures["loss"] < self.state.best:
            self.state.best, self.state.stale = figures["loss"], 0
            if self.config.patience:
                self.best = {name: value.clone() for name, value in self.weights().items()}
        else:
            self.state.stale += 1
            last = players == [player for player, _ in self.family.turns(1.0)]
            self.state.done = last and 0 < self.config.patience <= self.state.stale

    def _skipped(self, log: MetricsLog) -> None:
        """A non-finite step: skip it; after several in a row go back and slow down."""
        self._bad += 1
        self.state.step += 1  # the same batch with the same noise would fail again
        log.write("event", self.state.step, {}, event="step skipped: the gradient was not finite")
        if self._bad < self.config.skips:
            return
        self._bad = 0
        rollbacks, rate = self.state.rollbacks + 1, self.state.rate / 2
        found = latest_checkpoint(self.folder)
        if rollbacks > MAX_ROLLBACKS or found is None:
            raise TrainingError(
                f"the gradient was not finite in {self.config.skips} steps in a row, "
                f"after {self.state.rollbacks} rollbacks; the learning rate was "
                f"{self.config.learning_rate * self.state.rate:.2g}",
                hint="Try --set training.learning_rate=1e-4, and look for extreme values in the "
                "data. The last checkpoint is kept.",
            )
        self._restore(load_checkpoint(found))
        self.state.rollbacks, self.state.rate = rollbacks, rate
        text = f"rolled back to step {self.state.step}, learning rate halved"
        log.write("event", self.state.step, {}, event=text)
        self.observer.note(f"The gradient was not finite: {text}.")

    # ------------------------------------------------------------ state

    def weights(self) -> dict[str, Tensor]:
        """What the finished model will hold: averaged parameters, and buffers."""
        weights = {k: v.detach() for k, v in self.family.state_dict().items()}
        return {**weights, **(self.ema.state() if self.ema is not None else {})}

    def save(self) -> Path:
        """Write a checkpoint."""
        tensors: dict[str, Mapping[str, Tensor]] = {"model": self.family.state_dict()}
        tensors |= {f"optimiser-{name}": o.state() for name, o in self.optimisers.items()}
        if self.ema is not None:
            tensors["ema"] = self.ema.state()
        if self.best:
            tensors["best"] = self.best
        state = vars(self.state) | {"best": self.state.best if self.state.best < math.inf else None}
        facts = {"state": state, "carry": dict(self.carry)}
        return save_checkpoint(self.folder, self.state.step, tensors, facts)

    def _restore(self, checkpoint: Checkpoint) -> None:
        """Stand where the checkpoint was written."""
        model = dict(checkpoint.tensors["model"])
        self.family.make_room({name: tuple(value.shape) for name, value in model.items()})
        self.family.load_state_dict(model)
        for name, optimiser in self.optimisers.items():
            optimiser.load(checkpoint.tensors[f"optimiser-{name}"])
        if self.ema is not None:
            self.ema.load(dict(checkpoint.tensors["ema"]))
        self.best = dict(checkpoint.tensors.get("best", {}))
        facts = checkpoint.facts["state"]
        best = math.inf if facts["best"] is None else facts["best"]
        # in place, for the loop holds it while rolling back
        vars(self.state).update(vars(State(**{**facts, "best": best})))
        for warning in checkpoint.warnings:
            self.observer.note(warning)

    def _averaged(self) -> AbstractContextManager[None]:
        """Within, the family holds its averaged weights."""
        return self.ema.applied() if self.ema is not None else nullcontext()

    def _adopt(self) -> None:
        """Leave the best (early stopping) or averaged weights in the family."""
        self.family.load_state_dict(self.best or self.weights())


class Meter:
    """Averages loss terms between reports without waiting for the device at each step."""

    def __init__(
        self,
        observer: Observer,
        log: MetricsLog,
        steps: int | None,
        batch_size: int,
        progress: Callable[[], float],
    ) -> None:
        """``progress`` gives the share of the training done, by earlier processes too."""
        self.progress, self.began = progress, progress()
        self.observer, self.log = observer, log
        self.steps, self.batch_size = steps, batch_size
        self._terms: list[Mapping[str, Tensor]] = []
        self._shown = self._first = time.monotonic()
        self._count = 0

    def add(self, state: State, terms: Mapping[str, Tensor], now: float) -> None:
        """Take in one step's terms, which need no gradient, at the ``time.monotonic()`` of its
        end; report and log when it is time."""
        self._terms.append(terms)
        self._count += 1
        log, show = state.step % LOG_STEPS == 0, now - self._shown >= REPORT_SECONDS
        if not (log or show):
            return
        means = self._means()
        if show:
            self._shown = now
            rate = self._count * self.batch_size / (now - self._first)
            progress = self.progress()
            gained = progress - self.began
            left = (now - self._first) * (1 - progress) / gained if gained > 0 else None
            self.observer.progress(Progress(state.step, self.steps, means, rate, left))
        if log:
            self.log.write("train", state.step, means, seconds=round(state.elapsed, 3))
            self._terms.clear()

    def _means(self) -> dict[str, float]:
        """Of each term over the steps that showed it since the last log, in one look at the
        device."""
        shown = [value for terms in self._terms for value in terms.values()]
        looked = iter(torch.stack(shown).tolist())
        values: dict[str, list[float]] = {}
        for terms in self._terms:
            for name in terms:
                values.setdefault(name, []).append(next(looked))
        return {name: math.fsum(some) / len(some) for name, some in values.items()}
