"""The training loop: resumed to the bit, guarded against what is not finite, and no litter."""

from __future__ import annotations

import json
import math
import signal
import time
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from gmkit.errors import TrainingError
from gmkit.families.vae import VAE, VAEConfig
from gmkit.fields import Categorical, Space
from gmkit.observer import Observer
from gmkit.training.checkpoint import latest_checkpoint, load_checkpoint
from gmkit.training.ema import EVERY
from gmkit.training.loop import Meter, State
from gmkit.trunks import TrunkConfig

WORD = Categorical(size=5, shape=(7,), layout="sequence", end=0)


class Killed(BaseException):
    """Stands for SIGKILL: nothing in gmkit may catch it."""


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


# ------------------------------------------------------------ resuming


def vae():
    torch.manual_seed(0)
    return VAE(
        Space({"w": WORD}),
        VAEConfig(latent=3, word_drop=0.2),
        TrunkConfig(width=16, depth=1, head_width=8),
    )


def words(n=96, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return {"w": WORD.close(torch.randint(0, 5, (n, 7), generator=rng)).to(torch.uint8)}


def run_in_pieces(trainer, make, cuts, folder, **options):
    """Train, killed at each of ``cuts`` and taken up again; the family at the end."""
    for number, cut in enumerate([*cuts, None]):
        family = make()
        inner = family.losses

        def losses(batch, step, cut=cut, family=family, inner=inner):
            if family.training and step.index == cut:
                raise Killed
            return inner(batch, step)

        family.losses = losses
        training = trainer(family, folder=folder, **options)
        if cut is None:
            return family, training.run(resume=number > 0)
        with pytest.raises(Killed):
            training.run(resume=number > 0)
    return None


@pytest.mark.parametrize(("optimiser", "ema"), [("adamw", 0.0), ("muon", 0.9)])
def test_killed_and_resumed_equals_straight(trainer, sha, tmp_path, optimiser, ema):
    options = {
        "train": words(),
        "valid": words(20, 1),
        "optimiser": optimiser,
        "ema": ema,
        "save_steps": 10,
        "evaluate_every": 8,
        "learning_rate": 3e-3,
        "steps": 30,
    }
    straight, state = run_in_pieces(trainer, vae, [], tmp_path / "a", **options)
    pieces, other = run_in_pieces(trainer, vae, [4, 17], tmp_path / "b", **options)
    assert sha(pieces) == sha(straight) and sha(straight) != sha(vae())
    assert {**vars(state), "elapsed": 0} == {**vars(other), "elapsed": 0}
    assert state.step == 30 and state.done
    kept = [(row["kind"], row["step"]) for row in rows(tmp_path / "b")]
    assert kept == [(row["kind"], row["step"]) for row in rows(tmp_path / "a")]
    a, b = ([row for row in rows(tmp_path / n) if row["kind"] == "valid"] for n in "ab")
    assert a == b and len(a) == 3


def test_resuming_a_finished_run_changes_nothing(trainer, point, sha):
    first, second = point(), point()
    trainer(first).run()
    state = trainer(second).run(resume=True)
    assert sha(first) == sha(second) and state.step == 40 and second.visits == []


def test_without_a_checkpoint_resume_starts_anew(trainer, point):
    family = point()
    assert trainer(family).run(resume=True).step == 40
    assert family.visits == list(range(40))


def test_early_stopping_goes_on_where_it_stood(trainer, point, sha, tmp_path):
    options = {
        "train": {"x": torch.full((64,), 5.0)},
        "valid": {"x": torch.full((16,), 1.0)},
        "evaluate_every": 4,
        "patience": 3,
        "steps": 500,
        "save_steps": 6,
        "ema": 0.0,
        "learning_rate": 0.05,
    }
    straight, state = run_in_pieces(trainer, point, [], tmp_path / "a", **options)
    pieces, other = run_in_pieces(trainer, point, [26, state.step - 1], tmp_path / "b", **options)
    assert (state.step, state.stale, state.best) == (other.step, other.stale, other.best)
    assert sha(straight) == sha(pieces)


# ------------------------------------------------------------ the end


def test_patience_stops_and_keeps_the_best_weights(trainer, point, tmp_path):
    """Training pulls w from 0 to 5 past 1, where the held-out records lie."""
    family = point()
    state = trainer(
        family,
        {"x": torch.full((64,), 5.0)},
        {"x": torch.full((16,), 1.0)},
        evaluate_every=4,
        patience=3,
        steps=500,
        ema=0.0,
    ).run()
    valid = [row for row in rows(tmp_path) if row["kind"] == "valid"]
    losses = [row["loss"] for row in valid]
    best = losses.index(min(losses))
    assert state.step == valid[best + 3]["step"] < 500 and state.stale == 3
    assert abs(family.w.item() - 1) < 0.25
    assert state.best == pytest.approx(min(losses), rel=1e-5)
    assert load_checkpoint(latest_checkpoint(tmp_path)).facts["state"]["done"] is True


def test_finished_weights_are_the_averages(trainer, point):
    family = point()
    training = trainer(family, ema=0.9)
    values, update = [], training.ema.update

    def watched(index, made):
        values.append(family.w.item())
        update(index, made)

    training.ema.update = watched
    training.run()
    average = 0.0
    for k, value in list(enumerate(values))[EVERY - 1 :: EVERY]:
        decay = min(0.9, (1 + k) / (10 + k)) ** EVERY
        average = decay * average + (1 - decay) * value
    assert family.w.item() == pytest.approx(average, rel=1e-4)
    assert family.w.item() != pytest.approx(values[-1], rel=1e-4)
    assert float(family.seen) == 40  # buffers are the trained ones
    assert not family.training


def test_time_budget_ends_near_the_budget(trainer, point):
    began = time.monotonic()
    state = trainer(point(), steps=0, time_budget=0.5).run()
    assert 0.5 <= time.monotonic() - began < 5
    assert 0.5 <= state.elapsed < 2 and state.step > 5


def test_time_spent_before_counts(trainer, point):
    training = trainer(point(), steps=0, time_budget=100.0)
    training.spent = 99.7
    training.state.elapsed = 99.7
    began = time.monotonic()
    training.run()
    assert time.monotonic() - began < 5


# ------------------------------------------------------------ not finite


def test_a_bad_step_is_skipped(trainer, point, tmp_path):
    before = {}
    family = point({5: "nan", 6: lambda f: before.update(w=float(f.w)), 4: None})
    inner = trainer(family)
    after = {}
    step = inner.step

    def watched(index):
        shown = step(index)
        after[index] = float(family.w.detach())
        return shown

    inner.step = watched
    state = inner.run()
    assert state.step == 40 and state.rollbacks == 0
    assert after[4] == after[5] == before["w"] != after[6]
    events = [row for row in rows(tmp_path) if row["kind"] == "event"]
    assert [row["event"] for row in events] == ["step skipped: the gradient was not finite"]
    assert family.w.isfinite().all()


def test_bad_steps_in_a_row_roll_back_with_half_the_rate(trainer, point, tmp_path):
    at = dict.fromkeys(range(10, 13), lambda f: None if f.visits.count(8) == 2 else "nan")
    family = point(at)
    training, notes = trainer(family, save_steps=4, skips=3), []
    training.observer.note = notes.append
    state = training.run()
    assert (state.rollbacks, state.rate, state.step) == (1, 0.5, 40)
    assert family.visits == [*range(13), *range(8, 40)]
    assert notes == ["The gradient was not finite: rolled back to step 8, learning rate halved."]
    rates = [g["lr"] for part in training.optimisers["model"].parts for g in part.param_groups]
    assert max(rates) < 0.5 * 0.05


def test_poisoned_weights_are_restored(trainer, point):
    """Weights that became non-finite make every gradient so, until the rollback."""

    def poison(family):
        if family.visits.count(10) == 1:
            family.w.data.fill_(math.nan)

    family = point({10: poison})
    state = trainer(family, save_steps=4, skips=3).run()
    assert state.rollbacks == 1 and family.w.isfinite().all()


def test_a_loss_that_stays_bad_ends_with_advice(trainer, point, tmp_path):
    family = point(dict.fromkeys(range(10, 40), "nan"))
    with pytest.raises(
        TrainingError, match="not finite in 3 steps in a row, after 3 rollbacks"
    ) as e:
        trainer(family, save_steps=4, skips=3).run()
    assert "learning rate was 0.0063" in e.value.message
    assert "--set training.learning_rate=1e-4" in e.value.hint
    assert family.visits.count(10) == 4
    assert not family.training
    checkpoint = load_checkpoint(latest_checkpoint(tmp_path))
    assert checkpoint.step == 8 and checkpoint.tensors["model"]["w"].isfinite().all()


def test_non_finite_weights_are_never_saved(trainer, point, tmp_path):
    family = point()
    training = trainer(family, steps=3)
    training.run()
    before = latest_checkpoint(tmp_path)
    family.w.data.fill_(math.inf)
    with pytest.raises(TrainingError, match="finite"):
        training.save()
    assert latest_checkpoint(tmp_path) == before
    assert load_checkpoint(before).tensors["model"]["w"].isfinite().all()


# ------------------------------------------------------------ players


def test_a_players_loss_leaves_no_gradient_with_another(trainer, point):
    """The first player's loss reaches b too; b must move by its own loss alone."""

    class Two(point):
        players = ("first", "second")

        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
            del self.w

        def player_parameters(self, player):
            return [self.a if player == "first" else self.b]

        def losses(self, batch, step):
            if step.player == "first":
                return {"loss": 100 * (self.a + self.b).sum()}
            return {"loss": (self.b - 1).square().sum(), "second": self.b.detach().sum()}

    family = Two()
    trainer(family, steps=5, ema=0.0, warmup=0).run()
    assert float(family.a) < 0 < float(family.b)


# ------------------------------------------------------------ what is left alone, what is told


def test_global_state_is_left_alone(trainer):
    def state():
        return (
            torch.get_default_dtype(),
            torch.get_num_threads(),
            torch.is_grad_enabled(),
            torch.get_rng_state().tolist(),
            signal.getsignal(signal.SIGINT),
            signal.getsignal(signal.SIGTERM),
            list(warnings.filters),
            Path.cwd(),
        )

    family = vae()
    before = state()
    trainer(family, train=words(), valid=words(9, 1), steps=6, evaluate_every=3).run()
    assert state() == before


def test_validation_is_on_averages_in_evaluation_mode_and_leaves_no_trace(
    trainer, point, sha, tmp_path
):
    seen = []

    class Watched(point):
        def losses(self, batch, step):
            if not self.training:
                seen.append(float(self.w))
            return super().losses(batch, step)

    watched, plain = Watched(), point()
    training = trainer(
        watched, valid={"x": torch.ones(5)}, evaluate_every=10, folder=tmp_path / "a"
    )
    averages, update = {}, training.ema.update

    def noting(index, made):
        update(index, made)
        averages[index] = float(training.ema.averages[0])

    training.ema.update = noting
    training.run()
    assert seen == [averages[k] for k in (9, 19, 29, 39)]
    trainer(plain, folder=tmp_path / "b").run()
    assert sha(watched) == sha(plain)


def test_metrics_rows_have_the_terms(trainer, point, tmp_path):
    trainer(point(), valid={"x": torch.ones(5)}, steps=50, evaluate_every=25).run()
    found = rows(tmp_path)
    assert [(r["kind"], r["step"]) for r in found] == [
        ("train", 25),
        ("valid", 25),
        ("train", 50),
        ("valid", 50),
    ]
    assert all({"loss", "size"} <= set(r) for r in found)


def test_time_left_counts_from_where_this_process_began(tmp_path, monkeypatch):
    heard = []

    class Log:
        def write(self, *_, **__):
            pass

    class Listener(Observer):
        def progress(self, progress):
            heard.append(progress)

    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    shares = iter([0.5, 0.6])
    meter = Meter(Listener(), Log(), 1000, 8, lambda: next(shares))
    meter.add(State(step=600), {"loss": torch.tensor(2.0)}, 110.0)
    assert heard[0].seconds_left == pytest.approx(40)  # 10 s brought it from .5 to .6
    assert heard[0].items_per_second == pytest.approx(0.8)
    assert heard[0].terms == {"loss": 2.0}
